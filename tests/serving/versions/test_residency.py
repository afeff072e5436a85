from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from everfresh.packaging.batch import Batch
from everfresh.serving.versions.models import load_model
from everfresh.serving.versions.residency import Residency
from everfresh.serving.versions.state import bundle_directory, install_bundle

ROW = Batch(1, {}, {})


class Answering:
    """A scorer that answers with a number, and says when it was loaded."""

    path = "onnx"

    def __init__(self, number):
        self.number = number

    def score(self, batch):
        return np.full(batch.rows, float(self.number))


@pytest.fixture
def loads():
    return []


@pytest.fixture
def hold(loads):
    residency = Residency(budget_bytes=250)

    def hold_one(number, weight=100):
        def load():
            loads.append(number)
            return Answering(number)

        return residency.hold(str(number), "onnx", weight, load)

    return hold_one


def test_a_scorer_is_loaded_when_it_is_asked_and_stays(hold, loads):
    scorer = hold(1)
    assert (scorer.is_resident, loads) == (False, [])
    assert [scorer.score(ROW)[0] for _ in range(3)] == [1.0, 1.0, 1.0]
    assert (scorer.is_resident, loads) == (True, [1])


def test_the_one_that_was_not_asked_for_longest_leaves(hold, loads):
    one, two, three = hold(1), hold(2), hold(3)
    for scorer in (one, two, one, three):
        scorer.score(ROW)
    assert [scorer.is_resident for scorer in (one, two, three)] == [True, False, True]
    assert two.score(ROW)[0] == 2.0
    assert [scorer.is_resident for scorer in (one, two, three)] == [False, True, True]
    assert loads == [1, 2, 3, 2]


def test_one_that_is_larger_than_the_budget_is_served_alone(hold):
    small, large = hold(1), hold(2, weight=1000)
    small.score(ROW)
    assert large.score(ROW)[0] == 2.0
    assert (small.is_resident, large.is_resident) == (False, True)


def test_one_that_is_no_longer_served_takes_no_place(hold):
    hold(1).score(ROW)
    gc.collect()
    two, three = hold(2), hold(3)
    two.score(ROW)
    three.score(ROW)
    assert two.is_resident
    assert three.is_resident


def test_many_who_ask_at_once_load_it_once(hold, loads):
    scorer = hold(1)
    start = threading.Barrier(8)

    def ask():
        start.wait()
        return scorer.score(ROW)[0]

    with ThreadPoolExecutor(8) as threads:
        assert [asked.result() for asked in [threads.submit(ask) for _ in range(8)]] == [1.0] * 8
    assert loads == [1]


def test_a_model_that_has_left_is_not_quick_and_answers_as_before(root, minutes, tmp_path, features, v1):
    residency = Residency(budget_bytes=1)
    flights = load_model(bundle_directory(root, "flights", 1), "flights", 1, residency=residency)
    assert flights.is_quick
    install_bundle(tmp_path, minutes.bundle, version=1)
    load_model(bundle_directory(tmp_path, "minutes", 1), "minutes", 1, residency=residency)
    assert not flights.is_quick
    rows = flights.reader.read(
        {"distance": [1.0], "stops": [1], "weekend": [True], "carrier": ["AA"], "booked_at": [0]}
    )
    assert flights.scorer.score(rows.batch).shape == (1, 2)
    assert flights.is_quick
