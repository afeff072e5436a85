"""Markdown of things that came from data, and so may hold anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_ESCAPED = str.maketrans({mark: f"\\{mark}" for mark in "\\|[]`"} | {"<": "&lt;", "\n": " ", "\r": " "})


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A table; its cells may hold anything.

    >>> print(markdown_table(("a", "b"), [("1", "x|y")]))
    | a | b |
    | --- | --- |
    | 1 | x\|y |
    """
    lines = [_line(head), _line(["---" for _ in head]), *(_line([plain(cell) for cell in row]) for row in rows)]
    return "\n".join(lines)


def plain(text: str) -> str:
    r"""`text` with everything harmless that would end a cell, start a tag, or load a picture from elsewhere.

    >>> plain("![x](https://example.org)")
    '!\\[x\\](https://example.org)'
    """
    return text.translate(_ESCAPED)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
