"""The one way out of compiling, a part of a pipeline that has no exact export, and what would show an inexact one."""

from __future__ import annotations

from collections.abc import Mapping

Change = Mapping[str, float | str]
"""Columns of a row that get another value; NaN is a missing one, of a category as well."""


class NoExactExport(Exception):
    """Raised deep inside the compiler; its text is the reason. It never leaves `compile_pipeline`."""


def kind(part: object) -> str:
    """The name of a part's class, for reasons."""
    return type(part).__name__
