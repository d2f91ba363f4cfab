"""Structured logs: one JSON line an event on standard output, for our code and for libraries."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import EventDict

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


def set_up(level: str, process: str) -> None:
    """Log at `level` and above; `process` is named in each line."""

    def name_process(_: object, __: str, event: EventDict) -> EventDict:
        event.setdefault("process", process)
        return event

    shared: list[structlog.typing.Processor] = [
        name_process,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
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
