"""Where a process runs: taken from the environment, and never part of a decision about a model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Everything that differs between a laptop and a cluster. No secret is kept here: URLs stay in the environment.

    Attributes:
        root: the checkout; `projects/`, `mlruns/`, `reports/` and `.everfresh/` lie in it.
        home: what this machine's stack writes: logs, process files, inference logs, labels.
        projects: the folder of the specs.
        tracking_uri: MLflow's database or server.
        artifacts: where MLflow keeps artifacts: a folder, or s3://, abfss://, wasbs://.
        prefect_port: where `everfresh up` starts the Prefect server.
        mlflow_port: where `everfresh up` starts the MLflow UI.
        allowed_imports: prefixes of import paths that a spec may name, beside `sklearn.` and the project's own folder.
    """

    root: Path
    home: Path
    projects: Path
    tracking_uri: str
    artifacts: str
    prefect_port: int
    mlflow_port: int
    allowed_imports: tuple[str, ...]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """The settings of this process; relative paths count from EVERFRESH_ROOT, or from the current folder."""
        root = Path(environment.get("EVERFRESH_ROOT", ".")).resolve()
        return cls(
            root=root,
            home=root / environment.get("EVERFRESH_HOME", ".everfresh"),
            projects=root / environment.get("EVERFRESH_PROJECTS", "projects"),
            tracking_uri=environment.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root / 'mlruns' / 'mlflow.db'}",
            artifacts=environment.get("EVERFRESH_ARTIFACTS") or str(root / "mlruns" / "artifacts"),
            prefect_port=int(environment.get("EVERFRESH_PREFECT_PORT", "4200")),
            mlflow_port=int(environment.get("EVERFRESH_MLFLOW_PORT", "5000")),
            allowed_imports=("sklearn.", *_prefixes(environment.get("EVERFRESH_ALLOWED_IMPORTS", ""))),
        )

    @property
    def prefect_url(self) -> str:
        """The API of the Prefect server that this process talks to."""
        return os.environ.get("PREFECT_API_URL") or f"http://127.0.0.1:{self.prefect_port}/api"

    @property
    def mlflow_url(self) -> str:
        """The address of the MLflow UI."""
        return f"http://127.0.0.1:{self.mlflow_port}"


def _prefixes(text: str) -> tuple[str, ...]:
    """A prefix ends at a dot, so that `acme` allows `acme.models` and not `acmeevil`."""
    return tuple(f"{part.strip().rstrip('.')}." for part in text.split(",") if part.strip())
