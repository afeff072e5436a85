"""What each kind of target can do. `everfresh check` refuses a spec that asks for more; nothing is done otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from everfresh.spec.targets import LocalTargetSpec, RolloutKind

ROLLOUTS: tuple[str, ...] = get_args(RolloutKind)

CAPABILITIES: Mapping[str, frozenset[str]] = {"local": frozenset(LocalTargetSpec.rollouts)}
