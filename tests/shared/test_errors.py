from __future__ import annotations

from postwire import errors


def test_an_error_without_words_says_what_its_class_means() -> None:
    assert str(errors.CursorMoved()) == (
        "Another worker stored this batch first; the batch was dropped."
    )
    assert str(errors.NotFound("There is no account a1.")) == "There is no account a1."


def test_every_error_answers_whether_trying_again_helps_and_has_words() -> None:
    found = [
        error for error in _below(errors.PostwireError) if error.__module__ == "postwire.errors"
    ]

    assert len(found) > 10
    for error in found:
        assert issubclass(error, errors.TransientError) != issubclass(error, errors.PermanentError)
        assert str(error()).endswith(".")


def test_a_busy_server_may_say_how_long_to_wait() -> None:
    assert errors.ServerBusy(retry_after=30).retry_after == 30
    assert errors.ServerBusy().retry_after > 0


def _below(base: type[errors.PostwireError]) -> set[type[errors.PostwireError]]:
    direct = set(base.__subclasses__())
    return direct.union(*(_below(each) for each in direct)) or set()
