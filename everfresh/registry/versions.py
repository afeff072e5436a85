"""A registered version, as it is read back from MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from everfresh.spec.metrics import Metric

CHALLENGER = "challenger"
CHAMPION = "champion"
PREVIOUS = "previous"

Scores = Mapping[str, float] | Mapping[Metric, float]
"""By metric; a mapping of metrics is no mapping of texts to a type checker, though every metric is a text."""


@dataclass(frozen=True)
class ModelVersion:
    """One version of a project's model; `tags` are the registry's own words, the properties read them.

    Anybody with access to MLflow can write a tag, so one that cannot be read counts as missing.
    """

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
    def data_fingerprint(self) -> str:
        """The fingerprint of the table that it was made from."""
        return self.tags.get("everfresh.data_fingerprint", "")

    @property
    def trained_from(self) -> datetime | None:
        """The time of the oldest row that it was trained on."""
        return self._time("everfresh.trained_from")

    @property
    def trained_through(self) -> datetime | None:
        """The time of the newest row that it was trained on."""
        return self._time("everfresh.trained_through")

    @property
    def as_of(self) -> datetime | None:
        """The moment it was trained for, in the time of the data."""
        return self._time("everfresh.as_of")

    @property
    def mode(self) -> str:
        """`replay` if a replay made it, else `production`."""
        return self.tags.get("everfresh.mode", "production")

    @property
    def parent_version(self) -> int | None:
        """The champion of the time when it was made."""
        return self._number("everfresh.parent_version")

    @property
    def replaced(self) -> int | None:
        """The champion that it took the place of."""
        return self._number("everfresh.replaced")

    @property
    def promoted_at(self) -> datetime | None:
        """When it last became the champion by a rollout."""
        return self._time("everfresh.promoted_at")

    @property
    def demoted_at(self) -> datetime | None:
        """When a rollback last took it out of production."""
        return self._time("everfresh.demoted_at")

    @property
    def was_rolled_back(self) -> bool:
        """Whether it was taken out of production after its last rollout."""
        demoted, promoted = self.demoted_at, self.promoted_at
        return demoted is not None and (promoted is None or promoted < demoted) and CHAMPION not in self.aliases

    @property
    def holdout_scores(self) -> dict[str, float]:
        """Its scores on the rows that were held out when it was trained, by metric."""
        try:
            scores = json.loads(self.tags.get("everfresh.holdout", "{}"))
        except ValueError:
            return {}
        return scores if isinstance(scores, dict) else {}

    @property
    def verdict(self) -> str:
        """The status of its verdict, or an empty string where it was never judged."""
        return self.tags.get("everfresh.verdict", "")

    @property
    def verdict_reason(self) -> str:
        """What decided its verdict, in a sentence."""
        return self.tags.get("everfresh.verdict_reason", "")

    @property
    def override_until(self) -> datetime | None:
        """When the override of its verdict ends, where somebody overrode it."""
        return self._time("everfresh.override_until")

    @property
    def may_serve(self) -> bool:
        """Whether its verdict lets it serve, or did until its override ended; see `may_serve_at`."""
        return self.verdict in ("PASS", "OVERRIDDEN")

    def may_serve_at(self, now: datetime) -> bool:
        """Whether its verdict lets it serve at `now`: an override counts until it ends, and never without an end."""
        until = self.override_until
        return self.verdict == "PASS" or (self.verdict == "OVERRIDDEN" and until is not None and _utc(now) < until)

    @property
    def bundle_digest(self) -> str:
        """The content digest of its bundle."""
        return self.tags.get("everfresh.bundle_digest", "")

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"

    def _time(self, tag: str) -> datetime | None:
        try:
            return _utc(datetime.fromisoformat(self.tags.get(tag, "")))
        except ValueError:
            return None

    def _number(self, tag: str) -> int | None:
        text = self.tags.get(tag, "")
        return int(text) if text.isdecimal() else None


def tag_time(moment: datetime) -> str:
    """A time as tags hold it: UTC, ISO 8601; one without a zone is taken as UTC."""
    return _utc(moment).isoformat()


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
