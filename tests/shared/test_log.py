from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from postwire import log
from postwire.errors import StoreUnavailable

CANARY = "a line of somebody's mail"


def _fail_twice() -> None:
    try:
        Path(CANARY).read_text()
    except OSError as error:
        raise KeyError(CANARY) from error


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Undo what set_up does to the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    yield
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
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


def test_of_an_exception_its_kind_and_place_are_told_and_not_its_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.set_up("INFO", "api")

    try:
        _fail_twice()
    except KeyError:
        structlog.get_logger().exception("failed")
        logging.getLogger("library").exception("failed, too")

    ours, theirs = (json.loads(line)["exception"] for line in capsys.readouterr().out.splitlines())
    assert ours == theirs
    assert CANARY not in ours
    before, _, after = ours.partition("which led to")
    assert before.strip().endswith("FileNotFoundError (2)")
    assert after.endswith("KeyError")
    assert "test_log.py" in before
    assert "test_log.py" in after


def test_what_we_foresaw_keeps_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "api")

    structlog.get_logger().error("failed", exc_info=StoreUnavailable("It does not answer."))

    line = json.loads(capsys.readouterr().out)
    assert line["exception"] == "StoreUnavailable: It does not answer."


def test_a_ring_of_exceptions_ends(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "api")
    one, other = ValueError(), TypeError()
    one.__cause__, other.__cause__ = other, one

    structlog.get_logger().error("failed", exc_info=one)

    assert json.loads(capsys.readouterr().out)["exception"].endswith("ValueError")


def test_what_nobody_caught_is_told_as_a_line_and_without_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.set_up("INFO", "api")

    def fail() -> None:
        raise ValueError(CANARY)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    ending = threading.Thread(target=sys.exit)
    ending.start()
    ending.join()

    said = capsys.readouterr()
    line = json.loads(said.out)
    assert (line["level"], line["process"]) == ("critical", "api")
    assert line["exception"].endswith("ValueError")
    assert CANARY not in said.out + said.err


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
