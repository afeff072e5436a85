from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from everfresh.spec.cautions import cautions
from everfresh.spec.faults import Fault
from everfresh.spec.loading import load_spec

Faults = Callable[[str], tuple[Fault, ...]]


def test_left_out_a_year_of_all_requests_is_kept_as_it_is(write, smallest):
    spec = load_spec(write(smallest))
    log = spec.inference_log
    assert (log.keep, log.sample, log.redact) == (timedelta(days=365), 1.0, {})
    assert cautions(spec) == ()


@pytest.mark.parametrize(
    ("section", "path", "allowed"),
    [
        ("{keep: 30m}", "keep", "at least 1h"),
        ("{keep: 0d}", "keep", "above 0"),
        ("{sample: 0}", "sample", "more than 0"),
        ("{sample: 1.5}", "sample", "1"),
        ("{redact: {carrier: hide}}", "redact.carrier", "drop"),
        ("{redact: [carrier]}", "redact", ""),
        ("{keep: 2d}", "keep", "a check looks back 7d"),
    ],
)
def test_what_the_log_cannot_do_is_a_fault(faults: Faults, smallest, section, path, allowed):
    (fault,) = faults(f"{smallest}inference_log: {section}\n")
    assert fault.path == f"inference_log.{path}"
    assert allowed in fault.allowed


def test_a_redacted_feature_and_a_sample_have_their_price_said(write, smallest):
    section = "inference_log: {sample: 0.25, redact: {tail_number: hash, name: drop}}\n"
    hashed, dropped, sampled = cautions(load_spec(write(smallest + section)))
    assert hashed.startswith("inference_log.redact.tail_number: 'tail_number' is hashed in the log, so its drift")
    assert "'name' is left out of the log" in dropped
    assert sampled.startswith("inference_log.sample: 75% of the requests leave no trace")


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("label", "comes back by id"),
        ("time_column", "the time of the rows"),
        ("id_column", "labels come back by the id"),
    ],
)
def test_what_monitoring_cannot_do_without_is_not_redacted(faults: Faults, smallest, key, why):
    data = "{source: {kind: csv, path: a.csv}, label: l, time_column: t, id_column: i}"
    column = {"label": "l", "time_column": "t", "id_column": "i"}[key]
    (fault,) = faults(f"name: m\ntask: classification\ndata: {data}\ninference_log: {{redact: {{{column}: hash}}}}\n")
    assert fault.path == f"inference_log.redact.{column}"
    assert why in fault.allowed
