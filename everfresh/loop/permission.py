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
    judged = may_serve(version, now)
    if not judged.granted:
        return judged
    person = approved_by.strip()
    if promotion.approval == "required" and not person:
        return Permission("waiting", f"{version} passed its gates and waits for a person: {_how_to_approve(version)}")
    if version.was_rolled_back and not person:
        return Permission(
            "waiting", f"{version} was rolled back and does not return by itself: {_how_to_approve(version)}"
        )
    return Permission("granted", f"{judged.reason}, approved by {person}" if person else judged.reason)


def may_serve(version: ModelVersion, now: datetime) -> Permission:
    """Whether the verdict on `version` lets it serve at `now`, whoever asks."""
    if not version.verdict:
        return Permission("refused", f"{version} was never judged; train it with `everfresh train {version.name}`.")
    if version.may_serve_at(now):
        return Permission("granted", version.verdict_reason.rstrip("."))
    ended = version.override_until
    if version.verdict == "OVERRIDDEN" and ended is not None:
        reason = f"{version} may not serve: its override ended at {ended:%Y-%m-%d %H:%M} UTC. {version.verdict_reason}"
        return Permission("refused", reason)
    return Permission("refused", f"{version} may not serve: {version.verdict_reason}")


def _how_to_approve(version: ModelVersion) -> str:
    command = f"`everfresh deploy {version.name} --version {version.version} --approved-by NAME`"
    return f"{command}, or the same in the Prefect UI."
