"""Stretches of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Window:
    """From `start`, which belongs to it, up to `end`, which does not; both in UTC."""

    start: datetime
    end: datetime

    @classmethod
    def last(cls, days: int, as_of: datetime) -> Window:
        """The `days` days before `as_of`."""
        return cls(as_of - timedelta(days=days), as_of)

    @property
    def days(self) -> float:
        """How long it is."""
        return (self.end - self.start) / timedelta(days=1)

    def __str__(self) -> str:
        """The window for people; its times are shown where it does not begin and end at midnight.

        >>> print(Window(datetime(2013, 3, 1), datetime(2013, 3, 8)))
        2013-03-01 to 2013-03-08
        """
        whole_days = all(moment.time() == datetime.min.time() for moment in (self.start, self.end))
        shown = "%Y-%m-%d" if whole_days else "%Y-%m-%d %H:%M"
        return f"{self.start:{shown}} to {self.end:{shown}}"
