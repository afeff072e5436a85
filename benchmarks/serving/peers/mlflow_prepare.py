"""MLflow: the pipeline as a model of its scikit-learn flavour."""

import sys

import mlflow.sklearn
from served_model import load_pipeline

mlflow.sklearn.save_model(
    load_pipeline(),
    sys.argv[1],
    serialization_format="cloudpickle",
    pyfunc_predict_fn="predict_proba",
    pip_requirements=["scikit-learn"],
)
