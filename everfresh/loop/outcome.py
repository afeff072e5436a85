"""How a flow ended: what serves now, and why, in one sentence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from everfresh.errors import NoChampion
from everfresh.evaluation.verdict import Verdict
from everfresh.loop.permission import Permission
from everfresh.registry.versions import ModelVersion

Status = Literal["promoted", "rejected", "kept", "waiting", "rolled_back", "unchanged"]


@dataclass(frozen=True)
class Outcome:
    """The result of a flow.

    Attributes:
        status: what became of the version that the flow was about. `kept`: nothing was tried. `rejected`: a
            gate said no. `waiting`: it passed, and waits for its rollout or a person. `unchanged`: it was so already.
        reason: the sentence that a person reads.
        version: the version that the flow was about, where there is one.
        serving: the champion after the flow, where there is one.
        cause: why it was tried at all, where somebody or something asked for it.
    """

    status: Status
    reason: str
    version: int | None = None
    serving: int | None = None
    cause: str = ""

    @classmethod
    def kept(cls, reason: str, serving: int | None) -> Outcome:
        """Nothing was tried."""
        return cls("kept", reason, serving=serving)

    @classmethod
    def no_champion(cls, project: str) -> Outcome:
        """Nothing was tried, for nothing serves yet; the sentence says what to do."""
        return cls.kept(str(NoChampion(project)), None)

    @classmethod
    def trained(cls, version: ModelVersion, verdict: Verdict, serving: int | None) -> Outcome:
        """A version was made, or was there already, and was judged."""
        if version.version == serving:
            return cls.already_serving(version)
        if not verdict.passed:
            return cls("rejected", f"{version} may not serve. {verdict.reason}", version.version, serving)
        return cls("waiting", f"{version} may serve. {verdict.reason}", version.version, serving)

    @classmethod
    def already_serving(cls, version: ModelVersion) -> Outcome:
        """The version was the champion before."""
        return cls("unchanged", f"{version} is the champion already.", version.version, version.version)

    @classmethod
    def not_permitted(cls, permission: Permission, version: ModelVersion, serving: int | None) -> Outcome:
        """The version may not be rolled out, or not yet."""
        status: Status = "waiting" if permission.status == "waiting" else "rejected"
        return cls(status, permission.reason, version.version, serving)

    @property
    def waits_for_rollout(self) -> bool:
        """Whether there is a version that a deploy may go on with."""
        return self.status == "waiting" and self.version is not None

    @property
    def is_no(self) -> bool:
        """Whether somebody or something said no."""
        return self.status == "rejected"

    def to_json(self) -> dict[str, Any]:
        """For `--json` and for reports."""
        return asdict(self)
