from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import ThreadpoolController, threadpool_info

from everfresh.training import cores
from everfresh.training.cores import fair_share


@pytest.fixture(autouse=True)
def _looks_anew() -> None:
    """What is loaded is looked up once a process, and other tests have loaded more libraries since."""
    for looked_up in (cores._openmp, cores._blas, cores._usual_blas):
        looked_up.cache_clear()


def threads(user_api: str) -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == user_api]


def openmp_has(count: int) -> AbstractContextManager[object]:
    """As many threads as on a machine with that many cores."""
    limited: AbstractContextManager[object] = ThreadpoolController().select(user_api="openmp").limit(limits=count)
    return limited


def test_a_fit_leaves_a_core_to_others_and_gives_all_back() -> None:
    before = threads("openmp"), threads("blas")
    with openmp_has(8), fair_share():
        assert set(threads("openmp")) == {7}
        assert set(threads("blas")) == {1}
    assert (threads("openmp"), threads("blas")) == before


@pytest.mark.parametrize("usual", [1, 2])
def test_a_fit_has_at_least_one_thread(usual: int) -> None:
    with openmp_has(usual), fair_share():
        assert set(threads("openmp")) == {1}


def test_fits_side_by_side_share_the_cores_and_the_last_one_gives_blas_back() -> None:
    before = threads("blas")
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()

    def first() -> list[int]:
        with openmp_has(9), fair_share():
            first_in.set()
            assert second_in.wait(10)
            seen = threads("openmp")
        first_out.set()
        return seen

    def second() -> tuple[list[int], list[int]]:
        assert first_in.wait(10)
        with openmp_has(9), fair_share():
            second_in.set()
            assert first_out.wait(10)
            return threads("openmp"), threads("blas")

    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(first), pool.submit(second)
        assert set(running[0].result(20)) == {8}
        assert set(running[1].result(20)[0]) == {4}
        assert set(running[1].result(20)[1]) == {1}
        assert threads("blas") == before  # while both threads are still there


def test_boosting_is_the_same_model_with_any_number_of_threads() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(3000, 4))
    y = x[:, 0] + random.normal(size=3000) > 0
    answers = []
    for count in (1, 2):
        with openmp_has(count):
            answers.append(HistGradientBoostingClassifier(max_iter=5, random_state=0).fit(x, y).predict_proba(x))
    np.testing.assert_array_equal(*answers)
