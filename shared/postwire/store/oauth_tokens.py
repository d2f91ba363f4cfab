"""Access tokens, shared by all processes, and the right to ask for a new one.

Everything here is bound to the credential it was got by: once the user has entered another one, it
is as if it were not there. It is bound by the account's row: a credential that is sealed again is
changed there and here in one transaction, and who has read it before goes by `credential_revision`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from psycopg import Connection
from psycopg.rows import TupleRow

from postwire.model import Account
from postwire.store import rows

#: Seconds that one process alone may ask for; longer than it lets a provider take.
HOLD = 60.0


@dataclass(frozen=True, slots=True)
class Tokens:
    """What an account's credential has become; both sealed. `fresh`: the access token will do."""

    refresh_token: bytes = field(repr=False)
    access_token: bytes | None = field(repr=False)
    fresh: bool


def get(connection: Connection[TupleRow], account: Account) -> Tokens | None:
    """The account's tokens; None where none were got by its credential."""
    cursor = connection.cursor(row_factory=rows.of(Tokens))
    return cursor.execute(
        """
        SELECT coalesce(refresh_token, account.credential) AS refresh_token, access_token,
               coalesce(fresh_until > now(), false) AS fresh
          FROM oauth_token
          JOIN account ON account.id = account_id AND account.credential = oauth_token.credential
         WHERE account_id = %s AND credential_revision = %s
        """,
        [account.id, account.credential_revision],
    ).fetchone()


def claim(connection: Connection[TupleRow], account: Account, holder: str) -> Tokens | None:
    """Make `holder` the one that asks for a new token; None where another does so already.

    None as well where the account's credential is another one by now.
    """
    cursor = connection.cursor(row_factory=rows.of(Tokens))
    return cursor.execute(
        """
        INSERT INTO oauth_token (account_id, credential, holder, held_until)
        SELECT id, credential, %(holder)s, now() + make_interval(secs => %(hold)s)
          FROM account
         WHERE id = %(id)s AND credential_revision = %(credential)s
           FOR SHARE -- keeps it from being sealed again meanwhile
            ON CONFLICT (account_id) DO UPDATE
           SET credential = excluded.credential, holder = excluded.holder,
               held_until = excluded.held_until,
               refresh_token = CASE oauth_token.credential WHEN excluded.credential
                                    THEN oauth_token.refresh_token END,
               access_token = CASE oauth_token.credential WHEN excluded.credential
                                   THEN oauth_token.access_token END,
               fresh_until = CASE oauth_token.credential WHEN excluded.credential
                                  THEN oauth_token.fresh_until END
         WHERE oauth_token.credential <> excluded.credential
            OR oauth_token.held_until IS NULL OR oauth_token.held_until <= now()
        RETURNING coalesce(refresh_token, credential) AS refresh_token, access_token,
                  coalesce(fresh_until > now(), false) AS fresh
        """,
        {
            "id": account.id,
            "credential": account.credential_revision,
            "holder": holder,
            "hold": HOLD,
        },
    ).fetchone()


def keep(
    connection: Connection[TupleRow],
    account: Account,
    used: bytes,
    *,
    access_token: bytes,
    refresh_token: bytes | None,
    fresh_for: float,
) -> bool:
    """Keep what was given for the refresh token `used`; False where that is not the latest.

    `refresh_token` takes the place of `used` where there is one. `fresh_for` is in seconds.
    """
    kept = connection.execute(
        """
        UPDATE oauth_token
           SET access_token = %(access)s, refresh_token = coalesce(%(refresh)s, refresh_token),
               fresh_until = now() + make_interval(secs => %(fresh_for)s),
               holder = NULL, held_until = NULL
         WHERE account_id = %(id)s
           AND credential = (SELECT credential FROM account
                              WHERE id = %(id)s AND credential_revision = %(credential)s)
           AND coalesce(refresh_token, credential) = %(used)s
        """,
        {
            "id": account.id,
            "credential": account.credential_revision,
            "used": used,
            "access": access_token,
            "refresh": refresh_token,
            "fresh_for": fresh_for,
        },
    )
    return kept.rowcount > 0


def forget(connection: Connection[TupleRow], account: Account) -> None:
    """Drop what was got by any former credential of the account."""
    connection.execute(
        "DELETE FROM oauth_token WHERE account_id = %s AND credential <> %s",
        [account.id, account.credential],
    )


def let_go(connection: Connection[TupleRow], account: Account, holder: str) -> None:
    """Let another process ask, for nothing was given to `holder`."""
    connection.execute(
        "UPDATE oauth_token SET holder = NULL, held_until = NULL "
        "WHERE account_id = %s AND holder = %s",
        [account.id, holder],
    )
