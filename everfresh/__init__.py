"""everfresh keeps a production model fresh.

Importing this package imports nothing else: each part is imported by the one who uses it, so that
`everfresh --help` and the inference server start without pandas, MLflow or scikit-learn.
"""

import os

__version__ = "0.1.0"

# OpenMP's threads wait for each other by spinning, unless told before its library is loaded. On a machine that has
# something else to do, too, that made boosting 4 times slower (measured on two busy cores); it made it faster nowhere.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# ONNX Runtime numbers the machine and tells its maker what it runs, unless told before it is loaded not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
