"""What each kind of target can do: refused by `everfresh check` where a spec asks for more, never done as something else."""

from __future__ import annotations

from collections.abc import Mapping

ROLLOUTS = ("all_at_once", "blue_green", "canary", "shadow")

CAPABILITIES: Mapping[str, frozenset[str]] = {
    "local": frozenset({"all_at_once"}),
}
