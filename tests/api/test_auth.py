"""Nothing of a user is shown or changed without that user's token."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.testing import TestClient

from postwire import jwks, tokens
from postwire.errors import TokenRejected
from postwire.settings import ApiSettings
from postwire_api import auth
from postwire_api import issuer as issuer_module
from postwire_api.app import create_app
from postwire_api.auth import Bearer, Connection
from support import rows
from support.issuer import ISSUER, Issuer, claims, ec_key, issuer, jwk, rsa_key, signed
from support.jwt import JWT_SECRET, REALTIME_SECRET, bearer
from support.sso import saying

Client = TestClient[Litestar]

#: What shows nothing of a user: the page, and the description of the API.
OPEN = {
    ("/", "GET"),
    ("/", "HEAD"),
    ("/{name}", "GET"),
    ("/{name}", "HEAD"),
    ("/assets/{name}", "GET"),
    ("/assets/{name}", "HEAD"),
    ("/api/docs", "GET"),
    ("/api/docs/openapi.json", "GET"),
    # Litestar's, for pages that there are not.
    ("/api/docs/{path}", "GET"),
}


def handlers(app: Litestar) -> Iterator[tuple[str, HTTPRouteHandler]]:
    for route in app.routes:
        # Of other kinds, websockets and mounted applications, there is none.
        assert isinstance(route, HTTPRoute), route.path
        for handler in route.route_handlers:
            yield route.path_format, handler


def test_every_route_but_the_page_and_the_docs_declares_the_bearer_guard(
    settings: ApiSettings, tmp_path: Path
) -> None:
    # Given the application with its page
    (tmp_path / "index.html").touch()
    app = create_app(settings.model_copy(update={"web_dir": tmp_path}))
    # When every route is looked at
    guarded = {
        (path, str(method)): any(isinstance(guard, Bearer) for guard in handler.resolve_guards())
        for path, handler in handlers(app)
        # What it answers there is the methods of the path.
        for method in handler.http_methods - {"OPTIONS"}
    }
    # Then those that have no guard are the ones that need none
    assert {route for route, guard in guarded.items() if not guard} == OPEN
    # And what is guarded is in the document that the tests of strangers are made from
    document = app.openapi_schema.to_schema()["paths"]
    documented = {(path, method.upper()) for path, one in document.items() for method in one}
    assert {route for route, guard in guarded.items() if guard} == documented


def test_a_request_without_a_proper_token_is_answered_401_with_a_hint(client: Client) -> None:
    bearers = ["Bearer", "Bearer ", "Bearer nonsense", "Bearer a.b.c", "Bearer " + "x" * 5000]
    for header in [None, "", "Basic YW5uOnB3", *bearers]:
        # When a request comes with such a header
        headers = {} if header is None else {"Authorization": header}
        answer = client.get("/api/accounts", headers=headers)
        # Then it is refused in words
        assert answer.status_code == 401, header
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["type"] == "/problems/token-rejected"
        assert "token" in answer.json()["detail"].lower()


def test_two_authorization_headers_are_refused(client: Client) -> None:
    # Given a valid token
    good = bearer()["Authorization"]
    # When it comes beside another header of that name
    answer = client.get(
        "/api/accounts", headers=[("Authorization", good), ("Authorization", "Bearer other")]
    )
    # Then neither is believed
    assert answer.status_code == 401


def test_a_token_of_another_secret_audience_algorithm_or_time_is_refused(client: Client) -> None:
    # Given tokens that are each wrong in one way
    realtime, _ = tokens.sign_realtime(REALTIME_SECRET, "ann", [])
    claims = {"sub": "ann", "aud": "postwire", "exp": 4_000_000_000}
    unsigned = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "none", "typ": "JWT"}, claims)
    )
    wrong = [
        tokens.sign_bearer("another secret that is long enough too", "ann", timedelta(hours=1)),
        tokens.sign_bearer(JWT_SECRET, "ann", -timedelta(hours=1)),
        tokens.sign_bearer(JWT_SECRET, "", timedelta(hours=1)),
        tokens.sign_bearer(JWT_SECRET, "a\0b", timedelta(hours=1)),
        tokens.sign_bearer(JWT_SECRET, "a" * 300, timedelta(hours=1)),
        jwt.encode({"sub": "ann", "aud": "postwire"}, JWT_SECRET, "HS256"),
        jwt.encode(claims | {"aud": "postwire-realtime"}, JWT_SECRET, "HS256"),
        realtime,
        f"{unsigned}.",
    ]
    for token in wrong:
        # When one is sent
        answer = client.get("/api/accounts", headers={"Authorization": f"Bearer {token}"})
        # Then it is refused
        assert answer.status_code == 401, token


def test_the_scheme_is_read_in_any_case(client: Client) -> None:
    # When the scheme is written in small letters, which RFC 9110 allows
    header = bearer()["Authorization"].replace("Bearer", "bearer")
    # Then the token counts
    assert client.get("/api/accounts", headers={"Authorization": header}).status_code == 200


class TestWithAnIssuer:
    """An installation whose tokens an identity provider signs."""

    @pytest.fixture
    def provider(self) -> Iterator[Issuer]:
        with issuer() as running:
            running.keys = [jwk(rsa_key(), "k1"), jwk(CURVE, "k2")]
            yield running

    @pytest.fixture
    def settings(self, settings: ApiSettings, provider: Issuer) -> ApiSettings:
        theirs = {"jwt_secret": None, "jwt_issuer": ISSUER, "jwks_url": provider.url}
        return settings.model_copy(update=theirs)

    def test_its_tokens_open_the_door(self, client: Client, provider: Issuer) -> None:
        for token in (signed(rsa_key(), "k1"), signed(CURVE, "k2")):
            assert asked(client, token).status_code == 200
        assert provider.asked == 1

    def test_others_do_not(self, client: Client) -> None:
        # Given tokens that are each wrong in one way, one of them the installation's of yesterday
        public = rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)
        wrong = [
            bearer()["Authorization"].removeprefix("Bearer "),
            by_hand({"alg": "HS256", "kid": "k1"}, claims(), public),
            by_hand({"alg": "none"}, claims(), None),
            by_hand({"alg": "none", "kid": "k1"}, claims(), None),
            signed(rsa_key(), "k2"),
            signed(rsa_key(n=2), "k1"),
            signed(rsa_key(), "k1", "PS256"),
            signed(rsa_key(), "k1", iss="https://id.example.com/realms/guests"),
            signed(rsa_key(), "k1", iss=None),
            signed(rsa_key(), "k1", aud="account"),
            signed(rsa_key(), "k1", sub="a" * 300),
            signed(rsa_key(), "k1", sub="a\0b"),
            signed(rsa_key(), "k1", sub="\ud800"),
            signed(rsa_key(), "k1")[:-6] + "AAAAAA",
            signed(rsa_key()),
        ]
        for n, token in enumerate(wrong):
            # When one is sent, then it is refused
            answer = asked(client, token)
            assert answer.status_code == 401, n
            assert answer.json()["type"] == "/problems/token-rejected"

    def test_while_its_keys_cannot_be_had_nobody_is_sent_away_for_good(
        self, client: Client, provider: Issuer
    ) -> None:
        # Given an issuer that is down since before the first request
        provider.misbehaves = saying(503, b"")
        # When a good token comes
        answer = asked(client, signed(rsa_key(), "k1"))
        # Then it is not called a wrong one
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/keys-unavailable"
        assert "cannot be had right now" in answer.json()["detail"]
        assert int(answer.headers["retry-after"]) >= issuer_module._PAUSE
        # And what could be no token of the issuer asks nobody
        assert asked(client, by_hand({"alg": "none"}, claims(), None)).status_code == 401
        assert provider.asked == 1

    def test_it_may_say_otherwise_who_the_user_is_and_whom_it_speaks_to(
        self, settings: ApiSettings
    ) -> None:
        # Given an installation that reads other claims
        theirs = {"jwt_audience": "https://mail.example.com", "jwt_user_claim": "oid"}
        with TestClient(create_app(settings.model_copy(update=theirs))) as client:
            rows.active(client.app.state.store, "ann-42")
            # When a token has them
            token = signed(rsa_key(), "k1", aud="https://mail.example.com", oid="ann-42")
            # Then it speaks for that user
            assert len(asked(client, token).json()["accounts"]) == 1
            assert asked(client, signed(rsa_key(), "k1", oid="ann-42")).status_code == 401

    def test_it_may_be_a_file(self, settings: ApiSettings, tmp_path: Path) -> None:
        # Given an installation that has the keys in a file
        file = tmp_path / "jwks.json"
        file.write_text(json.dumps({"keys": [jwk(CURVE)]}))
        update = {"jwks_url": "", "jwks_file": file}
        with TestClient(create_app(settings.model_copy(update=update))) as client:
            # Then a token that names no key is by the one that has no name
            assert asked(client, signed(CURVE)).status_code == 200
            assert asked(client, signed(CURVE, "k1")).status_code == 401


CURVE = ec_key()


def asked(client: Client, token: str) -> httpx.Response:
    return client.get("/api/accounts", headers={"Authorization": f"Bearer {token}"})


def by_hand(header: dict[str, str], said: dict[str, object], secret: bytes | None) -> str:
    """A token that PyJWT would not make."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, said)
    ]
    signature = hmac.digest(secret, b".".join(parts), "sha256") if secret else b""
    parts.append(base64.urlsafe_b64encode(signature).rstrip(b"="))
    return b".".join(parts).decode()


async def _no_more() -> bytes:
    raise AssertionError


async def _secret(_: str) -> str:
    return JWT_SECRET


_KEYS = jwks.read(json.dumps({"keys": [jwk(CURVE, "k1")]}).encode())


@pytest.mark.parametrize(
    "find_key", [_secret, auth._named(issuer_module.SigningKeys(_no_more, _KEYS))]
)
@given(text=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=80))
async def test_no_header_whatever_it_holds_passes_the_guard_or_breaks_it(
    find_key: auth.FindKey, text: str
) -> None:
    # Given a connection with a header that somebody made up
    scope: dict[str, object] = {
        "type": "http",
        "headers": [(b"authorization", text.encode())],
    }
    connection = Connection(scope)  # type: ignore[arg-type]
    # Then the guard refuses it by name
    with pytest.raises(TokenRejected):
        await Bearer(find_key, tokens.Terms())(connection, None)  # type: ignore[arg-type]
