"""`postwire token`, run as a process."""

from __future__ import annotations

import jwt

from postwire.tokens import Terms, verify_bearer
from support.command import postwire

SECRET = "s" * 32


def test_a_token_opens_what_is_the_users_until_its_end() -> None:
    made = postwire("token", "ann", "--hours", "2", jwt_secret=SECRET)
    assert made.code == 0
    token = made.stdout.strip()
    assert verify_bearer(SECRET, token) == "ann"
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (
        0 < claims["exp"] - jwt.decode(_hour(), options={"verify_signature": False})["exp"] < 3700
    )


def _hour() -> str:
    return postwire("token", "ann", jwt_secret=SECRET).stdout.strip()


def test_a_token_says_what_the_api_is_set_to_ask_for() -> None:
    made = postwire("token", "ann", jwt_secret=SECRET, jwt_audience="mail", jwt_user_claim="oid")
    assert verify_bearer(SECRET, made.stdout.strip(), Terms("mail", user_claim="oid")) == "ann"


def test_where_an_issuer_signs_it_says_where_tokens_come_from() -> None:
    ended = postwire("token", "ann", jwt_issuer="https://login.example.com")
    assert (ended.code, ended.stdout) == (2, "")
    assert "bearer tokens come from https://login.example.com; ask there" in ended.said


def test_without_a_secret_that_will_do_it_says_what_to_set() -> None:
    missing = postwire("token", "ann")
    assert (missing.code, missing.stdout) == (2, "")
    assert "POSTWIRE_JWT_SECRET: is missing" in missing.said
    short = postwire("token", "ann", jwt_secret="canary")
    assert (short.code, "canary" in short.stderr) == (2, False)
    assert "at least 32 bytes" in short.said
    assert postwire("token", "ann", "--hours", "0", jwt_secret=SECRET).code == 2
