from pathlib import Path

import pandas as pd
import pytest

from everfresh.errors import SpecNotFound
from everfresh.loop.checking import check_specs
from everfresh.settings import Settings
from everfresh.testing.projects import write_project

THREE_FAULTS = """\
name: rides
task: clasification
data:
  source: {kind: csv, path: rides.csv}
  labl: late
monitoring: {schedule: "61 * * * *"}
"""


@pytest.fixture
def projects(checkout: Settings, table: pd.DataFrame) -> Path:
    write_project(checkout.projects, table.head(10))
    return checkout.projects


def test_a_sound_spec_has_no_faults(projects: Path, checkout: Settings) -> None:
    (found,) = check_specs(["rides"], checkout)

    assert found.faults == ()
    assert str(found) == f"{projects / 'rides.yaml'}: no faults"


def test_all_faults_are_said_at_once(projects: Path, checkout: Settings) -> None:
    (projects / "rides.yaml").write_text(THREE_FAULTS)
    (found,) = check_specs(["rides"], checkout)

    assert len(found.faults) >= 3
    for wrong in ("clasification", "labl", "61"):
        assert wrong in str(found)
    assert len(found.to_json()["faults"]) == len(found.faults)


@pytest.mark.parametrize(
    "estimator", ["os.system", "sklearn.linear_model.Logistic", "sklearn.linear_model.Ridge", "nowhere.Model"]
)
def test_an_estimator_that_cannot_be_a_candidate_is_a_fault(
    projects: Path, checkout: Settings, table: pd.DataFrame, estimator: str
) -> None:
    write_project(projects, table.head(10), training={"candidates": [{"name": "odd", "estimator": estimator}]})
    (found,) = check_specs(["rides"], checkout)

    assert len(found.faults) == 1
    assert estimator in str(found)


def test_without_names_every_spec_is_checked(projects: Path, checkout: Settings) -> None:
    (projects / "other.yml").write_text(THREE_FAULTS)
    other, rides = check_specs([], checkout)

    assert (other.file.name, rides.file.name) == ("other.yml", "rides.yaml")
    assert other.faults
    assert not rides.faults


def test_a_spec_that_is_not_there_is_said_with_the_one_that_is_meant(projects: Path, checkout: Settings) -> None:
    with pytest.raises(SpecNotFound, match="Did you mean 'rides'"):
        check_specs(["ride"], checkout)


def test_an_empty_folder_is_said(checkout: Settings) -> None:
    with pytest.raises(SpecNotFound, match="There is none yet"):
        check_specs([], checkout)


def test_a_caution_is_said_and_is_no_fault(checkout: Settings, table: pd.DataFrame) -> None:
    write_project(checkout.projects, table.head(10), inference_log={"redact": {"carrier": "hash"}})
    (found,) = check_specs(["rides"], checkout)
    assert found.faults == ()
    assert str(found).splitlines()[0].endswith("rides.yaml: no faults")
    assert "'carrier' is hashed in the log, so its drift and its quality are not watched" in str(found).splitlines()[1]
    assert found.to_json()["cautions"] == list(found.cautions)
