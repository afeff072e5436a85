"""everfresh keeps a production model fresh.

Importing this package imports nothing else: each part is imported by the one who uses it, so that
`everfresh --help` and the inference server start without pandas, MLflow or scikit-learn.
"""

__version__ = "0.1.0"
