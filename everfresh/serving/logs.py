"""What the server writes to its standard error: lines for people, or one JSON object a line for programs.

What a request said may stand in a message. It can neither begin a line of its own nor colour a terminal: whatever is
not printable is written as an escape.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from everfresh.errors import InvalidSetting

FORMAT = "EVERFRESH_LOG_FORMAT"
ACCESS = "EVERFRESH_ACCESS_LOG"

MOST_IDS = 32
SELDOM_S = 60.0

_BARE = re.compile(r"[\w./:{}+-]+")
_FORMATTERS = {"text": "TextLines", "json": "JsonLines"}

access_logger = logging.getLogger("everfresh.access")


def logging_config(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The configuration of `logging` for the server and its workers, by `EVERFRESH_LOG_FORMAT`.

    Raises:
        InvalidSetting: the variable is neither text nor json.
    """
    formatter = f"{__name__}.{_FORMATTERS[_format(environment)]}"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "filters": {"seldom": {"()": f"{__name__}.Seldom"}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"},
            "seldom": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["seldom"],
                "stream": "ext://sys.stderr",
            },
        },
        "loggers": {
            "_granian": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
            "granian.access": {"handlers": [], "level": "WARNING", "propagate": False},
            "everfresh": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
            # A collector that is away is told of once a minute, not with every batch of spans.
            "opentelemetry": {"handlers": ["seldom"], "level": "WARNING", "propagate": False},
        },
        # Whatever else is imported: without this its warnings would be lines of no form at all.
        "root": {"handlers": ["stderr"], "level": "WARNING"},
    }


def logs_access(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether every request gets a line, by `EVERFRESH_ACCESS_LOG`.

    Raises:
        InvalidSetting: the variable is neither on nor off.
    """
    text = environment.get(ACCESS) or "off"
    if text not in ("on", "off"):
        raise InvalidSetting(ACCESS, text, "on or off")
    return text == "on"


def log_uncaught() -> None:
    """Have warnings, and exceptions that end a thread, logged like everything else."""
    logging.captureWarnings(True)
    threading.excepthook = _log_ended_thread


def about(*request_ids: str) -> dict[str, Any]:
    """The `extra` of a log call about requests: several where they were answered together.

    >>> about("7f3a")
    {'facts': {'request_id': '7f3a'}}
    """
    if len(request_ids) == 1:
        return {"facts": {"request_id": request_ids[0]}}
    return {"facts": {"requests": len(request_ids), "request_ids": list(request_ids[:MOST_IDS])}}


def line_of(logger: str, sentence: str, environment: Mapping[str, str] = os.environ, level: int = logging.INFO) -> str:
    """The line for a sentence, for a process that has no `logging` of its own; text where the setting is no format."""
    formatter = JsonLines() if environment.get(FORMAT) == "json" else TextLines()
    return formatter.format(logging.LogRecord(logger, level, "", 0, sentence, None, None))


class JsonLines(logging.Formatter):
    """One JSON object a line, in ASCII. The `facts` of a record become fields of their own."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname,
            "logger": record.name,
            "pid": record.process,
            "message": printable(record.getMessage()),
        }
        for name, value in _facts(record).items():
            entry.setdefault(name, value)
        if trace := _trace(self, record):
            entry["exception"] = "\n".join(trace)
        return json.dumps(entry, default=_text)


class TextLines(logging.Formatter):
    """A line for people. The `facts` of a record stand behind its message, a traceback in indented lines below."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s [%(process)d] ")

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        record.asctime = self.formatTime(record)
        facts = " ".join(f"{name}={_word(value)}" for name, value in _facts(record).items())
        line = self.formatMessage(record) + printable(record.getMessage()) + (f" ({facts})" if facts else "")
        return "\n    ".join((line, *_trace(self, record)))


class Seldom(logging.Filter):
    """Lets a message of a logger pass once a minute, whatever numbers stand in it."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        key, now = (record.name, str(record.msg)), time.monotonic()
        passes = now - self._last.get(key, -SELDOM_S) >= SELDOM_S
        if passes:
            self._last[key] = now
        return passes


def printable(text: str) -> str:
    r"""The text with everything that is not printable as an escape: ends of lines, colours, changes of direction.

    >>> printable("x\nINFO forged \x1b[31m")
    'x\\nINFO forged \\x1b[31m'
    """
    if text.isprintable():
        return text
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return "".join(escaped)


def _format(environment: Mapping[str, str]) -> str:
    text = environment.get(FORMAT) or "text"
    if text not in _FORMATTERS:
        raise InvalidSetting(FORMAT, text, "text or json")
    return text


def _facts(record: logging.LogRecord) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = getattr(record, "facts", {})
    return {name: _plain(value) for name, value in facts.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _text(value: Any) -> str:
    return printable(str(value))


def _word(value: Any) -> str:
    """A value that can be told from what stands around it.

    >>> _word("flights"), _word("Ada L."), _word(["a", "b"])
    ('flights', '"Ada L."', 'a,b')
    """
    if isinstance(value, list):
        return ",".join(map(_word, value))
    text = str(value)
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    parts = [formatter.formatException(record.exc_info)] if record.exc_info and record.exc_info[0] else []
    parts += [formatter.formatStack(record.stack_info)] if record.stack_info else []
    return [printable(line) for part in parts for line in part.split("\n")]


def _log_ended_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_type is SystemExit:
        return
    name = ended.thread.name if ended.thread is not None else "?"
    trace = (ended.exc_type, ended.exc_value or ended.exc_type(), ended.exc_traceback)
    logging.getLogger("everfresh.serving").error("The thread %s ended", name, exc_info=trace)
    sys.stderr.flush()
