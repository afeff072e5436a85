"""Questions that wait together are answered together, each as if it had been alone."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from everfresh.data.inference_log import read_log
from everfresh.serving import dataplane
from everfresh.serving.dataplane import DataPlane
from everfresh.serving.inference import Asked
from everfresh.serving.metrics.counting import Metrics
from everfresh.serving.questions.question import Question
from everfresh.serving.recording.recorder import Recorder
from everfresh.serving.refusals import BadValue, DeadlineExceeded, ModelFailed, Overloaded, UnequalColumns
from everfresh.serving.versions.models import Choice, ModelTable, load_model
from everfresh.serving.versions.state import bundle_directory, install_bundle


class Plane:
    """A data plane with one model whose scorer counts its calls."""

    def __init__(self, root, model):
        self.root = root
        self.batches = []
        self.metrics = Metrics()
        self.recorder = Recorder(root, self.metrics)
        self._score = model.scorer.score
        self.path = model.scorer.path
        self.model = replace(model, scorer=self)
        self.threads = ThreadPoolExecutor(2)
        self.plane = DataPlane(ModelTable(), self.recorder, self.metrics, self.threads)
        self.before = lambda: None

    def score(self, batch):
        self.before()
        self.batches.append(batch.rows)
        return self._score(batch)

    def asked(self, table, request_id="r", **options):
        return Asked(Question(table), request_id, time.time_ns(), **options)

    def ask_all(self, *asked):
        """What becomes of questions that come at once, while another one is on its way."""

        async def run():
            choice = Choice(self.model)
            self.plane.coming = 1
            return await asyncio.gather(*(self.plane.infer(choice, one) for one in asked), return_exceptions=True)

        return asyncio.run(run())


@pytest.fixture
def quick(root, tmp_path):
    plane = Plane(tmp_path / "log", load_model(bundle_directory(root, "flights", 1), "flights", 1))
    yield plane
    plane.threads.shutdown()


@pytest.fixture
def slow(neighbours, tmp_path):
    install_bundle(tmp_path, neighbours.bundle, version=1)
    plane = Plane(tmp_path / "log", load_model(bundle_directory(tmp_path, "neighbours", 1), "neighbours", 1))
    yield plane
    plane.threads.shutdown()


def row(plain, number):
    return {name: values[number : number + 1] for name, values in plain.items()}


def test_questions_of_one_moment_are_one_batch_and_each_gets_its_own_answer(quick, plain, features, v1):
    answers = quick.ask_all(*(quick.asked(row(plain, number), f"r{number}") for number in range(40)))
    assert quick.batches == [40]
    np.testing.assert_allclose(np.vstack([a.answer for a in answers]), v1.answer(features), rtol=0, atol=1e-12)
    assert [list(answer.ids) for answer in answers] == [[f"r{number}-0"] for number in range(40)]


def test_a_lone_question_is_answered_before_the_loop_turns(quick, plain):
    asking = quick.plane.infer(Choice(quick.model), quick.asked(row(plain, 0)))
    with pytest.raises(StopIteration) as done:
        asking.send(None)
    assert done.value.value.rows == 1, "it was held back"
    assert quick.batches == [1]


def test_questions_of_a_slow_model_wait_only_while_it_is_busy(slow, plain, features, neighbours):
    slow.before = lambda: time.sleep(0.05)

    async def run():
        choice = Choice(slow.model)
        asking = [asyncio.ensure_future(slow.plane.infer(choice, slow.asked(row(plain, 0))))]
        await asyncio.sleep(0.01)
        asking += [asyncio.ensure_future(slow.plane.infer(choice, slow.asked(row(plain, n)))) for n in range(1, 40)]
        return await asyncio.gather(*asking)

    answers = asyncio.run(run())
    assert slow.batches == [1, 39]
    np.testing.assert_allclose(np.vstack([a.answer for a in answers]), neighbours.answer(features), rtol=0, atol=1e-12)


def test_a_batch_does_not_grow_beyond_its_limit(quick, plain, monkeypatch):
    monkeypatch.setattr(dataplane, "MOST_BATCH_ROWS", 16)
    quick.ask_all(*(quick.asked(row(plain, number)) for number in range(40)))
    assert quick.batches == [16, 16, 8]


def test_a_question_that_is_refused_costs_no_other_its_answer(quick, plain):
    good = [quick.asked(row(plain, number)) for number in range(3)]
    wrong = quick.asked({**row(plain, 3), "distance": ["far"]})
    longer = quick.asked({**row(plain, 3), "stops": [1, 2]})
    outcomes = quick.ask_all(good[0], wrong, good[1], longer, good[2])
    assert [type(outcome) for outcome in outcomes[1::2]] == [BadValue, UnequalColumns]
    assert str(outcomes[1]) == "Column 'distance', row 0: 'far' is not a number."
    assert [outcome.rows for outcome in outcomes[::2]] == [1, 1, 1]


def test_two_questions_whose_columns_make_up_for_each_other_are_both_refused(quick, plain):
    longer = quick.asked({**row(plain, 0), "stops": [1, 2], "distance": [1.0]})
    shorter = quick.asked({**row(plain, 0), "stops": [], "distance": [1.0]})
    assert {type(outcome) for outcome in quick.ask_all(longer, shorter)} == {UnequalColumns}


def test_questions_with_ids_and_without_are_answered_with_their_own(quick, plain):
    named = quick.asked({**row(plain, 0), "flight_id": ["f7"]}, "a")
    unnamed = quick.asked(row(plain, 1), "b")
    typed = quick.asked({**row(plain, 2), "distance": np.array([100.0])}, "c")
    assert [list(answer.ids) for answer in quick.ask_all(named, unnamed, typed)] == [["f7"], ["b-0"], ["c-0"]]


def test_the_log_has_every_question_of_a_batch_but_those_that_are_no_traffic(quick, plain):
    aside = Asked(Question(row(plain, 1), record=False), "aside", time.time_ns())
    quick.ask_all(quick.asked(row(plain, 0), "first"), aside, quick.asked(row(plain, 2), "last"))
    quick.recorder.flush()
    log = read_log(quick.root, "flights")
    assert list(log["id"]) == ["first-0", "last-0"]
    assert list(log["x.stops"]) == [plain["stops"][0], plain["stops"][2]]
    assert (log["latency_s"] >= 0).all()


def test_a_question_whose_asker_has_gone_is_not_computed(quick, plain):
    late = quick.asked(row(plain, 0), deadline=time.monotonic() - 0.001)
    in_time = quick.asked(row(plain, 1), deadline=time.monotonic() + 60)
    outcomes = quick.ask_all(late, in_time)
    assert isinstance(outcomes[0], DeadlineExceeded)
    assert outcomes[1].rows == 1
    assert quick.batches == [1]
    assert quick.metrics.snapshot().values["everfresh_expired_total"] == {(("model", "flights"),): 1}


def test_more_rows_than_may_wait_are_turned_away_and_counted(slow, plain, monkeypatch):
    monkeypatch.setattr(dataplane, "MOST_WAITING_ROWS", 10)
    outcomes = slow.ask_all(*(slow.asked(row(plain, number)) for number in range(15)))
    assert [type(outcome) for outcome in outcomes[10:]] == [Overloaded] * 5
    assert [outcome.rows for outcome in outcomes[:10]] == [1] * 10
    counted = slow.metrics.snapshot().values
    assert counted["everfresh_shed_total"] == {(("model", "neighbours"),): 5}
    assert slow.plane.waiting_rows() == {}
    assert slow.ask_all(slow.asked(row(plain, 0)))[0].rows == 1


@pytest.mark.parametrize("kind", ["quick", "slow"])
def test_a_model_that_raises_fails_its_batch_and_nothing_else(kind, request, plain):
    plane = request.getfixturevalue(kind)

    def explode():
        raise RuntimeError("secret detail")

    plane.before = explode
    outcomes = plane.ask_all(*(plane.asked(row(plain, number)) for number in range(2)))
    assert {type(outcome) for outcome in outcomes} == {ModelFailed}
    assert "secret" not in str(outcomes[0])
    plane.before = lambda: None
    assert plane.ask_all(plane.asked(row(plain, 0)))[0].rows == 1


def test_whoever_stops_waiting_holds_nobody_up(slow, plain):
    gate = threading.Event()
    slow.before = gate.wait

    async def run():
        choice = Choice(slow.model)
        first = asyncio.ensure_future(slow.plane.infer(choice, slow.asked(row(plain, 0))))
        gone = asyncio.ensure_future(slow.plane.infer(choice, slow.asked(row(plain, 1))))
        last = asyncio.ensure_future(slow.plane.infer(choice, slow.asked(row(plain, 2))))
        await asyncio.sleep(0.01)
        gone.cancel()
        gate.set()
        return await asyncio.gather(first, gone, last, return_exceptions=True)

    first, gone, last = asyncio.run(run())
    assert (first.rows, last.rows) == (1, 1)
    assert isinstance(gone, asyncio.CancelledError)
