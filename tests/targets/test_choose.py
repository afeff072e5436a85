from __future__ import annotations

from pathlib import Path

from everfresh.settings import Settings
from everfresh.spec.loading import load_spec
from everfresh.targets.capabilities import CAPABILITIES, ROLLOUTS
from everfresh.targets.choose import targets_of
from everfresh.targets.local import LocalTarget

SPEC = """
name: flights
task: classification
data:
  source: {kind: parquet, path: flights.parquet}
  label: delayed
targets:
  - {kind: local, port: 8090}
  - {kind: local, port: 8091}
"""


def test_the_targets_come_in_the_order_of_the_spec_and_keep_their_things_apart(tmp_path: Path) -> None:
    file = tmp_path / "flights.yaml"
    file.write_text(SPEC)
    settings = Settings.from_environment({"EVERFRESH_ROOT": str(tmp_path)})
    targets = targets_of(load_spec(file), settings)
    assert [target.name for target in targets] == ["local:8090", "local:8091"]
    assert targets[0].address("flights") == "http://127.0.0.1:8090/v2/models/flights/infer"
    roots = [target.inference_root for target in targets]
    assert len(set(roots)) == 2
    assert all(root.is_relative_to(settings.home) for root in roots)


def test_a_target_says_what_everfresh_check_allows(tmp_path: Path) -> None:
    assert LocalTarget(8090, tmp_path).rollouts == CAPABILITIES["local"]
    assert CAPABILITIES["local"] <= set(ROLLOUTS)
