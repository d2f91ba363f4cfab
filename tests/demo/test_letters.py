"""The demo's mail is varied, and nearly all of it is well-formed."""

from __future__ import annotations

from datetime import UTC, datetime
from email import policy
from email.parser import BytesParser

from postwire_demo.letters import as_sent, next_letter, seeds

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_every_kind_of_letter_comes_by() -> None:
    letters = [next_letter(number, NOW) for number in range(60)]
    assert len({letter["Subject"] for letter in letters}) > 8
    assert len({letter["From"] for letter in letters}) > 4
    assert any(letter.get_body(("html",)) for letter in letters)
    assert any(list(letter.iter_attachments()) for letter in letters)


def test_each_letter_has_an_id_of_its_own() -> None:
    assert len({next_letter(number, NOW)["Message-ID"] for number in range(60)}) == 60


def test_letters_travel_with_the_line_ends_of_mail() -> None:
    sent = as_sent(next_letter(3, NOW))
    assert sent.count(b"\n") == sent.count(b"\r\n")


def test_the_first_mail_has_a_conversation_and_one_that_is_malformed() -> None:
    parser = BytesParser(policy=policy.default)
    found = [parser.parsebytes(seed.content) for seed in seeds(NOW)]
    ids = {message["Message-ID"] for message in found}
    answers = [message for message in found if message["In-Reply-To"]]
    assert len(answers) == 3
    assert all(message["In-Reply-To"] in ids for message in answers)
    assert [bool(message.defects) for message in found].count(True) == 1
