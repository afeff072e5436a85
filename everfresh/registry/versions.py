"""A registered version, as it is read back from MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

CHALLENGER = "challenger"
CHAMPION = "champion"
PREVIOUS = "previous"


@dataclass(frozen=True)
class ModelVersion:
    """One version of a project's model; `tags` are the registry's own words, the properties read them."""

    name: str
    version: int
    run_id: str
    created_at: datetime
    aliases: tuple[str, ...]
    tags: Mapping[str, str]

    @property
    def key(self) -> str:
        """The content key of its lineage."""
        return self.tags.get("everfresh.key", "")

    @property
    def trained_through(self) -> datetime | None:
        """The time of the newest row that it was trained on."""
        text = self.tags.get("everfresh.trained_through")
        return datetime.fromisoformat(text) if text else None

    @property
    def replaced(self) -> int | None:
        """The champion that it took the place of."""
        text = self.tags.get("everfresh.replaced")
        return int(text) if text else None

    @property
    def verdict(self) -> str:
        """The status of its verdict, or an empty string where it was never judged."""
        return self.tags.get("everfresh.verdict", "")

    @property
    def may_serve(self) -> bool:
        """Whether its verdict lets it serve."""
        return self.verdict in ("PASS", "OVERRIDDEN")

    @property
    def bundle_digest(self) -> str:
        """The content digest of its bundle."""
        return self.tags.get("everfresh.bundle_digest", "")

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


def tag_time(moment: datetime) -> str:
    """A time as tags hold it: UTC, ISO 8601."""
    return moment.astimezone(UTC).isoformat()
