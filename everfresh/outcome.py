"""How a flow ended: what serves now, and why, in one sentence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["promoted", "rejected", "kept", "waiting", "rolled_back", "unchanged"]


@dataclass(frozen=True)
class Outcome:
    """The result of a flow.

    Attributes:
        status: what became of the version that the flow was about. `kept`: nothing was tried. `rejected`: a
            gate said no. `waiting`: a person must approve. `unchanged`: it was so already.
        reason: the sentence that a person reads.
        version: the version that the flow was about, where there is one.
        serving: the version that serves after the flow, where one does.
    """

    status: Status
    reason: str
    version: int | None = None
    serving: int | None = None

    @property
    def changed_what_serves(self) -> bool:
        """Whether another version serves than before."""
        return self.status in ("promoted", "rolled_back")

    def to_json(self) -> dict[str, Any]:
        """For `--json` and for reports."""
        return asdict(self)
