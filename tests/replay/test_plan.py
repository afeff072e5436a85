from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from everfresh.errors import CannotReplay
from everfresh.replay.plan import MOST_CHECKS, Plan, plan_replay
from everfresh.spec.project import ProjectSpec

YEAR = datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 12, 31, tzinfo=UTC)


def spec(checks: str = "0 0 * * 1", retrains: str | None = None) -> ProjectSpec:
    content: dict[str, Any] = {
        "name": "rides",
        "task": "classification",
        "data": {"source": {"kind": "csv", "path": "rides.csv"}, "label": "late", "time_column": "at"},
        "monitoring": {"schedule": checks},
        "retraining": {"when": {"schedule": retrains}},
    }
    return ProjectSpec.model_validate(content)


def test_the_first_model_is_trained_after_a_sixth_of_the_history_at_midnight() -> None:
    plan = plan_replay(spec(), *YEAR)

    assert plan.start == datetime(2013, 3, 2, tzinfo=UTC)
    assert plan.steps[0].start == plan.start
    assert plan.steps[-1].end == YEAR[1]


def test_or_when_it_is_said() -> None:
    assert plan_replay(spec(), *YEAR, datetime(2013, 7, 1, tzinfo=UTC)).start == datetime(2013, 7, 1, tzinfo=UTC)


def test_checks_come_when_the_schedule_fires() -> None:
    plan = plan_replay(spec("0 6 * * 1"), *YEAR)

    assert {(step.end.weekday(), step.end.hour) for step in plan.steps[:-1]} == {(0, 6)}
    assert len(plan.steps) == 45


@pytest.mark.parametrize("checks", ["0 * * * *", "0 0 * * *", "*/15 * * * *"])
def test_a_schedule_that_fires_often_is_thinned_evenly(checks: str) -> None:
    plan = plan_replay(spec(checks), *YEAR)
    lengths = {step.end - step.start for step in plan.steps[:-1]}

    assert MOST_CHECKS / 2 < len(plan.steps) <= MOST_CHECKS + 1
    assert len(lengths) == 1


@given(
    checks=some.sampled_from(["0 0 * * 1", "0 * * * *", "30 3 1 * *", "0 0 29 2 *"]),
    days=some.floats(0.1, 800),
    share=some.floats(0.01, 0.99),
)
def test_the_steps_cover_the_time_without_gaps(checks: str, days: float, share: float) -> None:
    first, last = YEAR[0], YEAR[0] + timedelta(days=days)
    plan = plan_replay(spec(checks), first, last, first + (last - first) * share)

    ends = [plan.start, *(step.end for step in plan.steps)]
    assert [step.start for step in plan.steps] == ends[:-1]
    assert ends == sorted(set(ends))
    assert ends[-1] == last


def due(plan: Plan) -> list[str]:
    return [f"{step.end:%m-%d}" for step in plan.steps if step.retrain_is_due]


def test_a_retrain_is_due_in_the_step_in_which_its_schedule_fires() -> None:
    assert due(plan_replay(spec("0 0 * * 1", "0 3 15 * *"), *YEAR))[:3] == ["03-18", "04-22", "05-20"]
    assert due(plan_replay(spec("0 0 * * 1", "0 0 * * 1"), *YEAR))[:2] == ["03-04", "03-11"]
    assert due(plan_replay(spec("0 0 * * 1"), *YEAR)) == []


def test_a_retrain_is_due_even_where_the_checks_are_thinned() -> None:
    assert len(due(plan_replay(spec("0 * * * *", "0 3 15 * *"), *YEAR))) == 10


@pytest.mark.parametrize("start", [YEAR[0], YEAR[1], YEAR[0] - timedelta(days=1), YEAR[1] + timedelta(days=1)])
def test_a_first_training_before_or_after_the_history_is_refused(start: datetime) -> None:
    with pytest.raises(CannotReplay, match=f"the first training at {start:%Y-%m-%d} is not between 2013-01-01 and"):
        plan_replay(spec(), *YEAR, start)


def test_a_history_of_hours_cannot_be_replayed() -> None:
    with pytest.raises(CannotReplay):
        plan_replay(spec(), YEAR[0] + timedelta(hours=1), YEAR[0] + timedelta(hours=5))
