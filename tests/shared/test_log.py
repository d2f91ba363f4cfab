from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from postwire import log


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Undo what set_up does to the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in log._AT_LEAST:
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


def test_ours_and_a_librarys_lines_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "api")

    structlog.get_logger().info("synced", account="a1")
    logging.getLogger("some.library").warning("slow %s", "query")

    ours, theirs = map(json.loads, capsys.readouterr().out.splitlines())
    assert (ours["event"], ours["account"], ours["level"]) == ("synced", "a1", "info")
    assert (theirs["event"], theirs["level"]) == ("slow query", "warning")
    assert ours["process"] == theirs["process"] == "api"
    assert ours["timestamp"].endswith("Z")


def test_an_exception_stays_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "api")

    try:
        int("first\nsecond")
    except ValueError:
        structlog.get_logger().exception("failed")

    (line,) = capsys.readouterr().out.splitlines()
    assert "ValueError" in json.loads(line)["exception"]


def test_below_the_level_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("WARNING", "api")

    structlog.get_logger().info("quiet")
    logging.getLogger("library").info("quiet")

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_libraries_that_print_mail_or_tokens_keep_quiet(
    capsys: pytest.CaptureFixture[str], level: str
) -> None:
    log.set_up(level, "gateway")

    logging.getLogger("imapclient.imaplib").debug("secret")
    logging.getLogger("engineio").info("secret")
    logging.getLogger("socketio.server").info("secret")

    assert capsys.readouterr().out == ""
