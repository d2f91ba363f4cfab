"""Structured logs: one JSON line an event on standard output, for our code and for libraries.

Of an exception that nobody foresaw, they hold what it is and where it came from, and never its
words: a database's are the row that it refused, a parser's the letter that it could not read.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from typing import TextIO

import structlog
from structlog.processors import ExceptionRenderer
from structlog.typing import EventDict, ExcInfo

from postwire.errors import PostwireError, SettingsError

log = structlog.get_logger()

#: Libraries that print mail content, protocol bytes or tokens below this level. python-socketio and
#: engineio print each packet at INFO, the one with the token included.
_AT_LEAST = {
    "imapclient": logging.INFO,
    "imapclient.imaplib": logging.INFO,
    "socketio": logging.WARNING,
    "engineio": logging.WARNING,
    "httpx": logging.WARNING,
    "httpcore": logging.INFO,
}
#: Exceptions of one chain that are told; a chain may be a ring.
_CAUSES = 10


def set_up(level: str, process: str, stream: TextIO | None = None) -> None:
    """Log at `level` and above, to standard output unless told; `process` is named in each line."""

    def name_process(_: object, __: str, event: EventDict) -> EventDict:
        event.setdefault("process", process)
        return event

    shared: list[structlog.typing.Processor] = [
        name_process,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        ExceptionRenderer(_without_words),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name, least in _AT_LEAST.items():
        logging.getLogger(name).setLevel(max(least, logging.getLevelName(level)))
    sys.excepthook = lambda _, error, __: _tell_of(error)
    threading.excepthook = lambda args: _tell_of(args.exc_value)
    sys.unraisablehook = lambda args: _tell_of(args.exc_value)


def _tell_of(error: BaseException | None) -> None:
    """Tell of what Python itself would print, words and all."""
    if not isinstance(error, (KeyboardInterrupt, SystemExit)):
        log.critical("an exception was caught by nobody", exc_info=error)


def _without_words(exc_info: ExcInfo) -> str:
    """The exception and what led to it, oldest first, as frames and names; our own with words."""
    told: list[str] = []
    error: BaseException | None = exc_info[1]
    while error is not None and len(told) < _CAUSES:
        told.append("".join(traceback.format_tb(error.__traceback__)) + _name(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\nwhich led to\n\n".join(reversed(told))


def _name(error: BaseException) -> str:
    if isinstance(error, (PostwireError, SettingsError)):
        return f"{type(error).__name__}: {error}"
    # A number says which of its errors the system or the database means.
    number = getattr(error, "sqlstate", None) or getattr(error, "errno", None)
    return type(error).__qualname__ + (f" ({number})" if number else "")
