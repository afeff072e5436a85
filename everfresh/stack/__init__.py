"""The embedded stack: Prefect, MLflow and the runner as processes of this machine."""
