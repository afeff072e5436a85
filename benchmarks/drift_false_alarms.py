"""How often a drift check alarms though nothing has changed: `python benchmarks/drift_false_alarms.py [repeats]`.

Sixty days of reference and seven of window, five columns, a level of 5 % over all of them, no floor for the effect (so
that the p-values are on trial, not the floor). For comparison, the usual test: Kolmogorov-Smirnov of each number
column at 5 %, rows taken as independent. Prints the share of checks that alarm, with the standard error of that share.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from scipy.stats import ks_2samp

from everfresh.data.columns import Column
from everfresh.monitoring.drift import measure_drift
from everfresh.monitoring.profile import build_profile, count
from everfresh.spec.monitoring import DriftSpec

REFERENCE_DAYS, WINDOW_DAYS, ROWS_PER_DAY = 60, 7, 144
LEVEL_5_PERCENT = DriftSpec(false_alarms=5.0, min_effect=0.0)
CHECKS = 100
NUMBERS = ("normal", "heavy", "zeros", "gaps")
COLUMNS = (*(Column(name, "float") for name in NUMBERS), Column("category", "category"))

Series = Callable[[np.random.Generator, int], np.ndarray]


def autoregressive(rho: float) -> Series:
    """Standard normal rows, each correlated with the one before."""

    def draw(generator: np.random.Generator, rows: int) -> np.ndarray:
        noise = generator.standard_normal(rows) * np.sqrt(1 - rho**2)
        noise[0] /= np.sqrt(1 - rho**2)
        return lfilter([1.0], [1.0, -rho], noise)

    return draw


def shared_by_the_day(rho: float) -> Series:
    """Half of the variance is the day's, and days are correlated; the other half is the row's."""

    def draw(generator: np.random.Generator, rows: int) -> np.ndarray:
        days = autoregressive(rho)(generator, rows // ROWS_PER_DAY)
        return (np.repeat(days, ROWS_PER_DAY) + generator.standard_normal(rows)) / np.sqrt(2)

    return draw


def table(draw: Series, generator: np.random.Generator) -> pd.DataFrame:
    """Reference and window in one: five columns of unlike shapes, independent of each other."""
    rows = (REFERENCE_DAYS + WINDOW_DAYS) * ROWS_PER_DAY
    normal, heavy, zeros, gaps, missing, category = (draw(generator, rows) for _ in range(6))
    return pd.DataFrame(
        {
            "normal": normal,
            "heavy": np.exp(1.5 * heavy),
            "zeros": np.where(zeros > 1, np.round(5 * (zeros - 1)), 0.0),
            "gaps": np.where(missing > 1.8, np.nan, gaps),
            "category": pd.Series(np.digitize(category, [-1.5, -0.5, 0.2, 0.8, 1.6]).astype(str), dtype="str"),
        }
    )


def alarms(draw: Series, seed: int) -> tuple[bool, bool]:
    """Whether one check alarms: ours, and the usual one."""
    rows = table(draw, np.random.default_rng(seed))
    times = pd.Series(pd.date_range("2013-01-01", periods=len(rows), freq="10min", tz="UTC"))
    cut = REFERENCE_DAYS * ROWS_PER_DAY
    reference, window = rows[:cut], rows[cut:]
    counts_of = build_profile(reference, COLUMNS, times=times[:cut])
    counts = count(counts_of, window, times=times[cut:])
    ours = measure_drift(counts_of, counts, LEVEL_5_PERCENT, checks_per_year=CHECKS).status == "DRIFT"
    usual = any(
        ks_2samp(reference[name].dropna(), window[name].dropna(), method="asymp").pvalue < 0.05 for name in NUMBERS
    )
    return ours, usual


def main(repeats: int) -> None:
    """Print one line per kind of rows."""
    kinds: dict[str, Series] = {
        "independent": autoregressive(0.0),
        "AR(1) 0.5": autoregressive(0.5),
        "AR(1) 0.95": autoregressive(0.95),
        "days 0.0": shared_by_the_day(0.0),
        "days 0.65": shared_by_the_day(0.65),
    }
    print(f"{repeats} checks each, nothing has changed, level 5 %")
    print(f"{'rows':14} {'everfresh':>16} {'KS per column':>16}")
    for name, draw in kinds.items():
        rates = np.array([alarms(draw, seed) for seed in range(repeats)]).mean(axis=0)
        errors = np.sqrt(rates * (1 - rates) / repeats)
        cells = [f"{100 * rate:6.1f} ± {100 * error:3.1f} %" for rate, error in zip(rates, errors, strict=True)]
        print(f"{name:14} {cells[0]:>16} {cells[1]:>16}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
