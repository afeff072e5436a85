"""Numbers that nobody counts: they are looked up when somebody asks."""

from __future__ import annotations

import resource
import sys
from datetime import datetime
from pathlib import Path

from everfresh.serving.metrics.counting import Family, Labels
from everfresh.serving.versions.models import LoadedModel, ModelTable

READY = Family("everfresh_ready", "gauge", "Whether every model that is asked for has a version that answers")
VERSION = Family("everfresh_model_version", "gauge", "The version that answers where nothing else is said")
SHARE = Family("everfresh_traffic_share", "gauge", "The share of the traffic that a version gets, in percent")
AGE = Family("everfresh_model_age_seconds", "gauge", "Seconds since a version was packed")
BEHIND = Family(
    "everfresh_model_data_age_seconds", "gauge", "Seconds since the newest row that a version was trained on"
)
MEMORY = Family("everfresh_worker_memory_bytes", "gauge", "Resident memory of the worker that answers this")

GAUGES = (READY, VERSION, SHARE, AGE, BEHIND, MEMORY)


def gauges_of(models: ModelTable, now: datetime, *, is_ready: bool) -> dict[Family, dict[Labels, float]]:
    """What serves at this moment, and how old it is."""
    served = models.current
    loaded = [model for one in served.values() for model in one.versions.values()]
    shares = {
        _labels(model): one.split.shares.get(version, 0.0)
        if model is not one.default
        else 100.0 - sum(one.split.shares.values())
        for one in served.values()
        for version, model in one.versions.items()
    }
    trained = [model for model in loaded if model.manifest.trained_through is not None]
    return {
        READY: {(): float(is_ready)},
        VERSION: {(("model", name),): float(one.default.version) for name, one in served.items()},
        SHARE: shares,
        AGE: {_labels(model): (now - model.manifest.created_at).total_seconds() for model in loaded},
        BEHIND: {_labels(m): (now - (m.manifest.trained_through or now)).total_seconds() for m in trained},
        MEMORY: {(): float(resident_bytes())},
    }


def resident_bytes() -> int:
    """The memory of this process that is in use now; where the system does not tell, the most that ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()
    except (OSError, ValueError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def _labels(model: LoadedModel) -> Labels:
    return (("model", model.name), ("version", str(model.version)))
