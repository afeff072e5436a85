from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from everfresh.training.warned import heard_warnings


def test_each_warning_is_heard_once_by_its_kind_and_first_line() -> None:
    with heard_warnings() as heard:
        for _ in range(3):
            warnings.warn("it did not converge\nsee the manual", RuntimeWarning, stacklevel=1)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert heard == ["RuntimeWarning: it did not converge", "DeprecationWarning: old"]


def test_two_threads_each_hear_their_own_whoever_leaves_first() -> None:
    both_in, first_out = threading.Barrier(2, timeout=10), threading.Event()

    def first() -> list[str]:
        with heard_warnings() as heard:
            both_in.wait()
            warnings.warn("from the first", UserWarning, stacklevel=1)
        first_out.set()
        return heard

    def second() -> list[str]:
        with heard_warnings() as heard:
            both_in.wait()
            warnings.warn("from the second", UserWarning, stacklevel=1)
            assert first_out.wait(10)
            warnings.warn("and again", UserWarning, stacklevel=1)
        return heard

    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(first), pool.submit(second)]
        assert answers[0].result(20) == ["UserWarning: from the first"]
        assert answers[1].result(20) == ["UserWarning: from the second", "UserWarning: and again"]
    with pytest.warns(UserWarning, match="as ever"):
        warnings.warn("as ever", UserWarning, stacklevel=1)


def test_filters_are_as_before_after_many_threads() -> None:
    before, shown_by = list(warnings.filters), warnings.showwarning

    def warn(number: int) -> list[str]:
        with heard_warnings() as heard:
            warnings.warn(f"number {number}", UserWarning, stacklevel=1)
        return heard

    with ThreadPoolExecutor(8) as pool:
        heard = list(pool.map(warn, range(200)))
    assert heard == [[f"UserWarning: number {number}"] for number in range(200)]
    assert warnings.filters == before
    assert warnings.showwarning is shown_by


def test_an_error_leaves_nothing_behind() -> None:
    before = list(warnings.filters)
    with pytest.raises(RuntimeError), heard_warnings():
        raise RuntimeError
    assert warnings.filters == before
