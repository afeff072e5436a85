"""Whole projects, small and real: a table with what tables have, a spec beside it, and a life in memory."""

from __future__ import annotations

from datetime import UTC, datetime

START = datetime(2013, 1, 1, tzinfo=UTC)
