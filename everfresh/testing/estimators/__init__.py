"""How scikit-learn's estimators, and pipelines as people build them, are served.

`python -m everfresh.testing.estimators` prints a table of all of them.
"""
