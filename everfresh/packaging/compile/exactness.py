"""The one way out of compiling: a part of a pipeline that has no exact export."""

from __future__ import annotations


class NoExactExport(Exception):
    """Raised deep inside the compiler; its text is the reason. It never leaves `compile_pipeline`."""


def kind(part: object) -> str:
    """The name of a part's class, for reasons."""
    return type(part).__name__
