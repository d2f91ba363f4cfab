"""What is said in the SASL exchanges of OAuth."""

from __future__ import annotations

import pytest

from postwire_worker import sasl


def test_oauthbearer_is_as_the_rfc_shows_it() -> None:
    # Given the user and the token of RFC 7628 §4.1
    exchange = sasl.oauthbearer("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==")
    # When the server is ready
    # Then it is said so; host and port may be left away
    assert exchange.respond(b"") == (
        b"n,a=user@example.com,\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
    )


def test_a_name_cannot_leave_its_place() -> None:
    exchange = sasl.oauthbearer("a=b,c", "t")
    assert exchange.respond(b"") == b"n,a=a=3Db=2Cc,\x01auth=Bearer t\x01\x01"


def test_xoauth2_is_as_google_shows_it() -> None:
    exchange = sasl.xoauth2("someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg")
    assert exchange.respond(b"") == (
        b"user=someuser@example.com\x01"
        b"auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\x01\x01"
    )


@pytest.mark.parametrize(
    ("exchange", "acknowledgement"),
    [(sasl.oauthbearer("u", "canary"), b"\x01"), (sasl.xoauth2("u", "canary"), b"")],
)
def test_a_refusal_is_acknowledged_and_read(
    exchange: sasl.Exchange, acknowledgement: bytes
) -> None:
    # Given a token that was shown
    assert b"canary" in exchange.respond(b"")
    # When the server says why it refuses, and goes on asking
    said = [exchange.respond(b'{"status":"invalid_token","scope":"mail"}')]
    assert exchange.status == "invalid_token"
    said += [exchange.respond(one) for one in (b"", b"{", b"[]", b"\xff", b'{"status":1}')]
    # Then it is never shown again, and what makes no sense is no status
    assert said == [acknowledgement] * 6
    assert exchange.status is None
    assert "canary" not in repr(exchange)
