"""The embedded stack: Prefect, MLflow and the runner as processes of this machine, listening on 127.0.0.1 only."""
