"""The places where a model serves, and how a new version is rolled out there."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from everfresh.spec.fields import Section, Whole

RolloutKind = Literal["all_at_once", "blue_green", "canary", "shadow"]


class AllAtOnce(Section):
    """The new version is loaded and warmed beside the old one, then takes all traffic in one step."""

    kind: Literal["all_at_once"] = Field(description="All traffic in one step, once the new version is warm.")


class BlueGreen(Section):
    """A second endpoint is built, checked, and then takes all traffic; the first is kept for a while."""

    kind: Literal["blue_green"] = Field(description="A second endpoint takes over; the first is kept for a while.")


class Canary(Section):
    """The new version gets a growing share of the traffic, in percent; the last step is 100."""

    kind: Literal["canary"] = Field(description="A growing share of the traffic.")
    steps: tuple[Annotated[Whole, Field(gt=0, le=100)], ...] = Field(
        (5, 25, 100), description="The shares in percent: they grow and end with 100."
    )

    @field_validator("steps")
    @classmethod
    def _grow_to_100(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        if not steps or list(steps) != sorted(set(steps)) or steps[-1] != 100:
            raise ValueError("steps grow and end with 100, as in [5, 25, 100]")
        return steps


class Shadow(Section):
    """The new version answers a copy of the traffic; nobody sees its answers until it is promoted."""

    kind: Literal["shadow"] = Field(description="A copy of the traffic, whose answers nobody sees.")


Rollout = Annotated[AllAtOnce | BlueGreen | Canary | Shadow, Field(discriminator="kind")]


class LocalTargetSpec(Section):
    """The inference server on this machine, at 127.0.0.1."""

    kind: Literal["local"] = Field(description="The inference server on this machine.")
    port: Whole = Field(8080, ge=1, le=65535, description="Where it listens.")
    rollout: Rollout = Field(AllAtOnce(kind="all_at_once"), description="How a new version takes over.")

    rollouts: ClassVar[tuple[RolloutKind, ...]] = ("all_at_once",)
    """What it can do. The others are refused rather than done as something else: a rollout that nobody analyses is no
    canary."""

    place: ClassVar[tuple[str, ...]] = ("port",)
    """The keys that say where it is: two targets of one kind differ in one of them."""


# A union of one is a plain type, which takes no discriminator. A second target is a section with `kind`, `rollout`,
# `rollouts` and `place`, and this line becomes
#     TargetSpec = Annotated[LocalTargetSpec | OtherTargetSpec, Field(discriminator="kind")]
# Nothing else in this layer changes.
TargetSpec = LocalTargetSpec
