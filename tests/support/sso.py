"""An OAuth provider on the loopback: a token endpoint (RFC 6749 §6) and introspection (RFC 7662).

It is as strict as a provider, and misbehaves where a test says so.
"""

from __future__ import annotations

import json
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qs

from postwire.oauth import Providers, make_providers

HOST = "127.0.0.1"
CLIENT_ID = "postwire"
CLIENT_SECRET = "canary-client-secret"

#: Sends an answer to one request in a way of its own.
Misbehaviour: TypeAlias = "Callable[[BaseHTTPRequestHandler], None]"


@dataclass(slots=True)
class Sso:
    """Who has granted what, and what was asked."""

    port: int = 0
    #: User by refresh token, and user with the end of it by access token.
    grants: dict[str, str] = field(default_factory=dict)
    access: dict[str, tuple[str, float]] = field(default_factory=dict)
    #: What the tokens given from now on are like.
    expires_in: float = 3600
    rotates: bool = False
    #: Seconds that an answer takes.
    delay: float = 0
    misbehaves: Misbehaviour | None = None
    #: The forms that came to the token endpoint.
    asked: list[dict[str, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """The token endpoint."""
        return f"http://{HOST}:{self.port}/token"

    @property
    def providers(self) -> Providers:
        """What an operator sets, to use it as `corp`."""
        return make_providers(self.setting)

    @property
    def setting(self) -> str:
        """The same as text."""
        corp = {"token_url": self.url, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        return json.dumps({"corp": {**corp, "scope": "mail"}})

    def grant(self, user: str) -> str:
        """A refresh token that the user has granted."""
        token = f"canary-refresh-{secrets.token_urlsafe()}"
        self.grants[token] = user
        return token

    def withdraw(self, user: str) -> None:
        """Take back what the user has granted, and all that was given for it."""
        self.grants = {token: whose for token, whose in self.grants.items() if whose != user}
        self.end_access(user)

    def end_access(self, user: str) -> None:
        """End the user's access tokens before their time."""
        self.access = {token: one for token, one in self.access.items() if one[0] != user}

    def refresh(self, form: dict[str, str]) -> tuple[int, dict[str, object]]:
        """The answer of RFC 6749 §5."""
        with self.lock:
            self.asked.append(form)
            if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
                return 401, {"error": "invalid_client"}
            if form.get("grant_type") != "refresh_token":
                return 400, {"error": "unsupported_grant_type"}
            old = form.get("refresh_token", "")
            user = self.grants.get(old)
            if user is None:
                return 400, {"error": "invalid_grant", "error_description": f"no {old}"}
            token = f"canary-access-{secrets.token_urlsafe()}"
            self.access[token] = (user, time.monotonic() + self.expires_in)
            said: dict[str, object] = {
                "access_token": token,
                "token_type": "bearer",
                "expires_in": self.expires_in,
            }
            if self.rotates:
                # The one that was used is good no more.
                del self.grants[old]
                said["refresh_token"] = self.grant(user)
            return 200, said

    def introspect(self, token: str) -> dict[str, object]:
        """The answer of RFC 7662 §2.2."""
        user, until = self.access.get(token, ("", 0.0))
        if time.monotonic() >= until:
            return {"active": False}
        return {"active": True, "username": user, "scope": "mail", "client_id": CLIENT_ID}


@contextmanager
def sso() -> Iterator[Sso]:
    """Run a provider."""
    state = Sso()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - theirs
            pass

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = parse_qs(self.rfile.read(length).decode())
            form = {name: values[-1] for name, values in body.items()}
            with suppress(OSError):
                self._answer(form)

        def _answer(self, form: dict[str, str]) -> None:
            if self.path == "/introspect":
                send(self, 200, state.introspect(form.get("token", "")))
                return
            state.over.wait(state.delay)
            if state.misbehaves:
                state.asked.append(form)
                self.close_connection = True
                state.misbehaves(self)
                return
            send(self, *state.refresh(form))

    with serving(Handler) as state.port:
        try:
            yield state
        finally:
            state.over.set()


@contextmanager
def serving(
    handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Let `handler` answer, a thread each; the port."""
    server = ThreadingHTTPServer((HOST, 0), handler)
    server.daemon_threads = True
    if tls:
        # Not at accept, or who refuses the certificate would end the server.
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def send(
    handler: BaseHTTPRequestHandler,
    status: int,
    said: object,
    headers: dict[str, str] | None = None,
) -> None:
    """Answer; what is no bytes is sent as JSON."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def saying(status: int, said: object, headers: dict[str, str] | None = None) -> Misbehaviour:
    """A provider that says the same to everyone."""
    return lambda handler: send(handler, status, said, headers)


def dovecot_settings(provider: Sso, file: Path) -> str:
    """What makes a Dovecot take the provider's tokens; `file` is written for it."""
    file.write_text(
        f"introspection_url = http://{HOST}:{provider.port}/introspect\n"
        "introspection_mode = post\n"
        "force_introspection = yes\n"
        "username_attribute = username\n"
        "active_attribute = active\n"
        "active_value = true\n"
        "timeout_msecs = 5000\n"
    )
    file.chmod(0o644)
    return (
        "auth_mechanisms = plain login xoauth2 oauthbearer\n"
        "passdb {\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n"
        f"  args = {file}\n}}\n"
    )
