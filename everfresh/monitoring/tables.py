"""Markdown tables of things that came from production."""

from __future__ import annotations

from everfresh.markdown import markdown_table as markdown_table
from everfresh.markdown import plain as plain


def percent(share: float) -> str:
    """A share for people.

    >>> percent(0.0214)
    '2.1 %'
    """
    return f"{100 * share:.1f} %"
