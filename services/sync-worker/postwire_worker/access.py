"""Logging in to an account, by its password or by an access token.

An access token is shared by all processes and used until shortly before its end. One of them at a
time asks for the next: it holds the row in `oauth_token` for the time, with no transaction open,
and the others look at the row until it is there.
"""

from __future__ import annotations

import time
from contextlib import suppress

from postwire.errors import (
    AuthenticationFailed,
    CredentialUnreadable,
    KeyMissing,
    StoreUnavailable,
    TransientError,
)
from postwire.model import Account
from postwire.oauth import Provider
from postwire.store import accounts, oauth_tokens
from postwire.store.oauth_tokens import Tokens
from postwire.store.pool import transaction
from postwire_worker import imap, token_endpoint
from postwire_worker.imap import Session
from postwire_worker.runtime import Runtime
from postwire_worker.token_endpoint import Granted, Misconfigured

#: Seconds before its end that an access token is replaced; half of its time where it has less.
MARGIN = 5 * 60.0
#: Seconds to wait for another process that asks, and between two looks.
PATIENCE = token_endpoint.LIMIT + 5
_LOOK = 0.2
#: Seconds between attempts to write down what was given: a refresh token may be given only once.
_AGAIN = (0.5, 2.0, 5.0)


def open_session(runtime: Runtime, account: Account) -> Session:
    """A session that is logged in; the caller closes it, or hands it to `imap.using`.

    Raises:
        AuthenticationFailed: the server refuses the login, or the provider the access.
        CredentialUnreadable, KeyMissing: what is stored cannot be opened.
        AddressForbidden, ConnectionLost, CertificateRejected: as `client.log_in`.
        CapabilityMissing, ServerBusy: likewise.
        TransientError: there is no access token right now.
    """
    if account.oauth_provider is None:
        return imap.open_session(account, runtime.password(account), runtime.dialer)
    token, cached = access_token(runtime, account)
    try:
        return imap.open_session(account, token, runtime.dialer)
    except AuthenticationFailed:
        # It may have been withdrawn before its time; a new one is as good as an answer gets.
        if not cached:
            raise
    token, _ = access_token(runtime, account, refused=token)
    return imap.open_session(account, token, runtime.dialer)


def access_token(
    runtime: Runtime, account: Account, refused: str | None = None
) -> tuple[str, bool]:
    """An access token other than the `refused` one, and whether it was there already.

    Raises:
        AuthenticationFailed, CredentialUnreadable, KeyMissing: there will be none.
        ServerBusy, TransientError: there is none right now.
        NotFound: nor is there the account any more.
    """
    until = time.monotonic() + PATIENCE
    while True:
        if token := _stored(runtime, account, refused):
            return token, True
        if tokens := _claim(runtime, account):
            return _asked(runtime, account, tokens, refused)
        if time.monotonic() > until:
            raise TransientError("The access is being renewed; it takes too long.")
        time.sleep(_LOOK)


def _stored(runtime: Runtime, account: Account, refused: str | None) -> str | None:
    with transaction(runtime.pool) as connection:
        tokens = oauth_tokens.get(connection, account)
    return _usable(runtime, account, tokens, refused)


def _usable(
    runtime: Runtime, account: Account, tokens: Tokens | None, refused: str | None
) -> str | None:
    if tokens is None or tokens.access_token is None or not tokens.fresh:
        return None
    with suppress(CredentialUnreadable, KeyMissing):
        token = runtime.keyring.open(account.id, tokens.access_token, "access token")
        return token if token != refused else None
    return None


def _claim(runtime: Runtime, account: Account) -> Tokens | None:
    with transaction(runtime.pool) as connection:
        tokens = oauth_tokens.claim(connection, account, runtime.holder)
        now = None if tokens else accounts.get(connection, account.id)
        if now and now.credential_revision != account.credential_revision:
            raise TransientError("The account was connected anew meanwhile.")
        return tokens


def _asked(
    runtime: Runtime, account: Account, tokens: Tokens, refused: str | None
) -> tuple[str, bool]:
    """The token that we alone may ask for now, unless another was faster before."""
    try:
        if token := _usable(runtime, account, tokens, refused):
            _let_go(runtime, account)
            return token, True
        granted = _refresh(runtime, account, tokens)
    except BaseException:
        _let_go(runtime, account)
        raise
    _keep(runtime, account, tokens, granted)
    return granted.access_token, False


def _refresh(runtime: Runtime, account: Account, tokens: Tokens) -> Granted:
    kept = tokens.refresh_token
    refresh_token = runtime.keyring.open(account.id, kept, "refresh token")
    try:
        return token_endpoint.refresh(_provider(runtime, account), refresh_token, runtime.dialer)
    except AuthenticationFailed:
        # Where we were held up for so long that another has asked, ours was the last but one.
        with transaction(runtime.pool) as connection:
            latest = oauth_tokens.get(connection, account)
        if latest is None or latest.refresh_token != kept:
            raise TransientError("The access was renewed meanwhile.") from None
        raise


def _provider(runtime: Runtime, account: Account) -> Provider:
    provider = runtime.providers.get(account.oauth_provider or "")
    if provider is None:
        raise Misconfigured(
            f"POSTWIRE_OAUTH_PROVIDERS does not name {account.oauth_provider}; "
            "whoever runs Postwire has to set it."
        )
    return provider


def _keep(runtime: Runtime, account: Account, tokens: Tokens, granted: Granted) -> None:
    """Write down what was given, unless the user has entered another credential meanwhile."""
    seal = runtime.keyring.seal
    access = seal(account.id, granted.access_token, "access token")
    renewed = granted.refresh_token
    rotated = seal(account.id, renewed, "refresh token") if renewed else None
    fresh_for = max(granted.expires_in - MARGIN, granted.expires_in / 2)
    for wait in (*_AGAIN, None):
        try:
            with transaction(runtime.pool) as connection:
                oauth_tokens.keep(
                    connection,
                    account,
                    tokens.refresh_token,
                    access_token=access,
                    refresh_token=rotated,
                    fresh_for=fresh_for,
                )
        except StoreUnavailable:
            if wait is None:
                raise
            time.sleep(wait)
        else:
            return


def _let_go(runtime: Runtime, account: Account) -> None:
    # Nobody is kept for ever: the hold runs out by itself.
    with suppress(StoreUnavailable), transaction(runtime.pool) as connection:
        oauth_tokens.let_go(connection, account, runtime.holder)
