"""The places where a model serves, and how a new version is rolled out there."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from everfresh.spec.fields import Section


class AllAtOnce(Section):
    """The new version is loaded and warmed beside the old one, then takes all traffic in one step."""

    kind: Literal["all_at_once"]


class BlueGreen(Section):
    """A second endpoint is built, checked, and then takes all traffic; the first is kept for a while."""

    kind: Literal["blue_green"]


class Canary(Section):
    """The new version gets a growing share of the traffic, in percent; the last step is 100."""

    kind: Literal["canary"]
    steps: tuple[Annotated[int, Field(gt=0, le=100)], ...] = (5, 25, 100)

    @model_validator(mode="after")
    def _steps_grow_to_100(self) -> Canary:
        if not self.steps or list(self.steps) != sorted(set(self.steps)) or self.steps[-1] != 100:
            raise ValueError("steps grow and end with 100, as in [5, 25, 100]")
        return self


class Shadow(Section):
    """The new version answers a copy of the traffic; nobody sees its answers until it is promoted."""

    kind: Literal["shadow"]


Rollout = Annotated[AllAtOnce | BlueGreen | Canary | Shadow, Field(discriminator="kind")]


class LocalTargetSpec(Section):
    """The inference server on this machine, at 127.0.0.1."""

    kind: Literal["local"]
    port: int = Field(8080, ge=1, le=65535)
    rollout: Rollout = AllAtOnce(kind="all_at_once")


# A union of one is a plain type; the alias is where further targets join it.
TargetSpec = LocalTargetSpec
