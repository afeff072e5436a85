"""Whether a version may be rolled out now: its verdict says yes, and a person where the spec asks for one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from everfresh.registry.versions import ModelVersion
from everfresh.spec.promotion import PromotionSpec


@dataclass(frozen=True)
class Permission:
    """The answer and its reason; `waiting` is a no that a person can turn into a yes."""

    status: Literal["granted", "refused", "waiting"]
    reason: str

    @property
    def granted(self) -> bool:
        """Whether the rollout may begin."""
        return self.status == "granted"


def may_deploy(promotion: PromotionSpec, version: ModelVersion, approved_by: str, now: datetime) -> Permission:
    """Whether `version` may be rolled out at `now`.

    Args:
        promotion: who or what must say yes.
        version: the version; its verdict was recorded in the registry.
        approved_by: the person who approved it, or an empty string.
        now: an override may have ended before it.
    """
    if not version.verdict:
        return Permission("refused", f"{version} was never judged; train it with `everfresh train {version.name}`.")
    if not version.may_serve_at(now):
        return Permission("refused", f"{version} may not serve: {version.verdict_reason}")
    if promotion.approval == "required" and not approved_by.strip():
        reason = (
            f"{version} passed its gates and waits for a person: `everfresh deploy {version.name} "
            f"--version {version.version} --approved-by NAME`, or the same in the Prefect UI."
        )
        return Permission("waiting", reason)
    by = f", approved by {approved_by.strip()}" if approved_by.strip() else ""
    return Permission("granted", f"{version.verdict_reason}{by}".rstrip("."))
