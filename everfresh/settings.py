"""Where a process runs: taken from the environment, and never part of a decision about a model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from everfresh.errors import InvalidSetting

Mode = Literal["production", "replay"]

_MODES: tuple[Mode, ...] = ("production", "replay")


@dataclass(frozen=True)
class Settings:
    """Everything that differs between a laptop and a cluster. `docs/settings.md` lists the variables.

    Attributes:
        root: the checkout; `projects/`, `mlruns/`, `reports/` and `.everfresh/` lie in it.
        home: what this machine's stack writes: logs, process files, inference logs, labels.
        projects: the folder of the specs.
        reports: the folder of what commands write for people: `run.json`, the last check of each project, scores.
        tracking_uri: MLflow's database or server.
        artifacts: where MLflow keeps artifacts: a folder, or s3://, abfss://, wasbs://.
        serving_keys: the file of the inference server's API keys; it need not be there.
        prefect_port: where `everfresh up` starts the Prefect server.
        mlflow_port: where `everfresh up` starts the MLflow UI.
        allowed_imports: prefixes of import paths that a spec may name, beside `sklearn.` and the project's own folder.
        mode: `replay` where history is replayed: its events start no retrains elsewhere, and its versions say so.
        prefect_api_url: the API of a Prefect server that the environment names; None for this machine's own.
    """

    root: Path
    home: Path
    projects: Path
    reports: Path
    tracking_uri: str = field(repr=False)  # it may hold a password
    artifacts: str
    serving_keys: Path
    prefect_port: int
    mlflow_port: int
    allowed_imports: tuple[str, ...]
    mode: Mode = "production"
    prefect_api_url: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """The settings of this process; relative paths count from EVERFRESH_ROOT, or from the current folder.

        A variable that is set to nothing counts as not set.

        Raises:
            InvalidSetting: a variable holds what it cannot mean.
        """
        root = Path(environment.get("EVERFRESH_ROOT") or ".").resolve()
        prefect_port = _port("EVERFRESH_PREFECT_PORT", environment, default=4200)
        mlflow_port = _port("EVERFRESH_MLFLOW_PORT", environment, default=5000)
        if prefect_port == mlflow_port:
            raise InvalidSetting("EVERFRESH_MLFLOW_PORT", str(mlflow_port), "a port that is not Prefect's as well")
        home = root / (environment.get("EVERFRESH_HOME") or ".everfresh")
        return cls(
            root=root,
            home=home,
            projects=root / (environment.get("EVERFRESH_PROJECTS") or "projects"),
            reports=root / (environment.get("EVERFRESH_REPORTS") or "reports"),
            tracking_uri=environment.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root / 'mlruns' / 'mlflow.db'}",
            artifacts=environment.get("EVERFRESH_ARTIFACTS") or str(root / "mlruns" / "artifacts"),
            serving_keys=root / (environment.get("EVERFRESH_SERVING_KEYS") or home / "keys.json"),
            prefect_port=prefect_port,
            mlflow_port=mlflow_port,
            allowed_imports=("sklearn.", *_prefixes(environment.get("EVERFRESH_ALLOWED_IMPORTS", ""))),
            mode=_mode(environment),
            prefect_api_url=environment.get("PREFECT_API_URL") or None,
        )

    def to_environment(self) -> dict[str, str]:
        """The variables from which another process reads these same settings."""
        variables = {
            "EVERFRESH_ROOT": str(self.root),
            "EVERFRESH_HOME": str(self.home),
            "EVERFRESH_PROJECTS": str(self.projects),
            "EVERFRESH_REPORTS": str(self.reports),
            "EVERFRESH_ARTIFACTS": self.artifacts,
            "EVERFRESH_SERVING_KEYS": str(self.serving_keys),
            "EVERFRESH_PREFECT_PORT": str(self.prefect_port),
            "EVERFRESH_MLFLOW_PORT": str(self.mlflow_port),
            "EVERFRESH_ALLOWED_IMPORTS": ",".join(prefix for prefix in self.allowed_imports if prefix != "sklearn."),
            "EVERFRESH_MODE": self.mode,
            "MLFLOW_TRACKING_URI": self.tracking_uri,
        }
        return variables | ({"PREFECT_API_URL": self.prefect_api_url} if self.prefect_api_url else {})

    @property
    def prefect_url(self) -> str:
        """The API of the Prefect server that this process talks to."""
        return self.prefect_api_url or f"http://127.0.0.1:{self.prefect_port}/api"

    @property
    def has_own_prefect(self) -> bool:
        """Whether the Prefect server is this machine's to start."""
        own = (f"http://{host}:{self.prefect_port}/api" for host in ("127.0.0.1", "localhost"))
        return self.prefect_url.rstrip("/") in own

    @property
    def mlflow_url(self) -> str:
        """The address of the MLflow UI."""
        return self.tracking_uri if not self.has_own_mlflow else f"http://127.0.0.1:{self.mlflow_port}"

    @property
    def has_own_mlflow(self) -> bool:
        """Whether the MLflow UI is this machine's to start: it is not where MLFLOW_TRACKING_URI names a server."""
        return not self.tracking_uri.startswith(("http://", "https://"))


def _port(variable: str, environment: Mapping[str, str], default: int) -> int:
    text = (environment.get(variable) or str(default)).strip()
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise InvalidSetting(variable, text, "a port, from 1 to 65535")
    return int(text)


def _mode(environment: Mapping[str, str]) -> Mode:
    text = environment.get("EVERFRESH_MODE") or "production"
    for mode in _MODES:
        if text == mode:
            return mode
    raise InvalidSetting("EVERFRESH_MODE", text, "production or replay")


def _prefixes(text: str) -> tuple[str, ...]:
    """A prefix ends at a dot, so that `acme` allows `acme.models` and not `acmeevil`."""
    return tuple(f"{name}." for part in text.split(",") if (name := part.strip().rstrip(".")))
