"""Print, or write to a file, how each estimator and pipeline is served, and how far that is from what was fitted."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path

from sklearn import __version__

from everfresh.markdown import markdown_table
from everfresh.testing.estimators.catalogue import Case, every_estimator, made_of_others, preparations
from everfresh.testing.estimators.conformance import Served, serve

_HEAD = """# How estimators are served

Written by `python -m everfresh.testing.estimators docs/estimators.md` with scikit-learn {version}; do not edit.

Each pipeline was fitted on a small table (floats, integers up to 2^53, booleans, times, categories, ids longer than
float64 can tell apart; a tenth of it missing), packed, opened as a server does, and asked rows that are meant to break
it: extremes, unseen and missing categories, values at and right beside the thresholds of trees, found by bisection.
The difference is the largest one between the served and the fitted pipeline's answer, absolute up to 1 and relative
above.

- **compiled**: an exact plan in float64, run by ONNX Runtime.
- **without frames**: scikit-learn's own fitted steps, called with arrays; several times as fast as with frames.
- **with frames**: the stored pipeline as it is.
- **refused**: cannot be packed, and says why.
"""


def main(arguments: Sequence[str]) -> None:
    """Measure all cases; the argument, if there is one, is the file to write."""
    measured = []
    with tempfile.TemporaryDirectory() as directory:
        for number, case in enumerate(chain(every_estimator(), made_of_others(), preparations())):
            served = serve(case, Path(directory) / str(number))
            sys.stderr.write(f"{case.name} ({case.learns}): {served.way}, {served.difference:.2g}\n")
            measured.append((case, served))
    text = "\n".join(_document(measured)) + "\n"
    if arguments:
        Path(arguments[0]).write_text(text)
    else:
        sys.stdout.write(text)


def _document(measured: Sequence[tuple[Case, Served]]) -> Iterator[str]:
    yield _HEAD.format(version=__version__)
    for group, found in groupby(measured, key=lambda pair: pair[0].group):
        yield f"## {group[0].upper()}{group[1:]}\n"
        rows = [(case.name, case.learns, served.way, _measured(served), _reason(served)) for case, served in found]
        yield markdown_table(("pipeline", "learns", "served", "largest difference", "why"), rows) + "\n"


def _measured(served: Served) -> str:
    if not served.rows:
        return ""
    flips = f", {served.flips} labels differ" if served.flips else ""
    return f"{served.difference:.1g} in {served.rows:,} rows{flips}"


def _reason(served: Served) -> str:
    """Why it is not compiled."""
    if served.way == "compiled":
        return ""
    return served.reason.partition("because ")[2] or served.reason


if __name__ == "__main__":
    main(sys.argv[1:])
