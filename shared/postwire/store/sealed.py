"""Everything that is sealed, as whoever changes keys sees it: which key, and one account's at once.

An account's credential and what oauth has made of it change together, or `oauth_token` would be
bound to a credential that is no more. Tokens that somebody is asking for right now stay as they
are, for what he brings replaces exactly those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from psycopg import Connection
from psycopg.rows import TupleRow

from postwire.credentials import Kind
from postwire.model import AccountId
from postwire.store import rows

#: Seconds after which nobody brings a token any more, once his right to ask has run out.
_LATE = 60.0


@dataclass(frozen=True, slots=True)
class Secrets:
    """What is sealed of one account; tokens are None where there are none."""

    credential: bytes = field(repr=False)
    oauth_provider: str | None = None
    refresh_token: bytes | None = field(default=None, repr=False)
    access_token: bytes | None = field(default=None, repr=False)
    #: Somebody asks for new tokens.
    held: bool = False


def behind(
    connection: Connection[TupleRow], prefix: bytes, after: AccountId | None, limit: int
) -> list[AccountId]:
    """Accounts after that one, in order, of which something does not begin with `prefix`."""
    found = connection.execute(
        """
        SELECT account.id
          FROM account
          LEFT JOIN oauth_token ON account_id = account.id
         WHERE (%(after)s::uuid IS NULL OR account.id > %(after)s)
           AND (substr(account.credential, 1, %(length)s) <> %(prefix)s
                OR substr(refresh_token, 1, %(length)s) <> %(prefix)s
                OR substr(access_token, 1, %(length)s) <> %(prefix)s)
         ORDER BY account.id
         LIMIT %(limit)s
        """,
        {"prefix": prefix, "length": len(prefix), "after": after, "limit": limit},
    )
    return [AccountId(id_) for (id_,) in found]


def some(connection: Connection[TupleRow], prefix: bytes) -> list[tuple[AccountId, Secrets]]:
    """A few accounts whose credential begins with `prefix`, the latest ones first."""
    found = connection.execute(
        """
        SELECT id, credential, oauth_provider
          FROM account
         WHERE substr(credential, 1, %s) = %s
         ORDER BY created_at DESC
         LIMIT 5
        """,
        [len(prefix), prefix],
    )
    return [(AccountId(id_), Secrets(*of)) for id_, *of in found]


def lock(connection: Connection[TupleRow], account_id: AccountId) -> Secrets | None:
    """What is sealed of the account, kept from all others until the transaction ends.

    None where there is no such account, or somebody else has it right now.
    """
    locked = connection.execute(
        "SELECT 1 FROM account WHERE id = %s FOR NO KEY UPDATE SKIP LOCKED", [account_id]
    ).fetchone()
    if not locked:
        return None
    # By a statement of its own, which sees what was committed until the lock was had.
    cursor = connection.cursor(row_factory=rows.of(Secrets))
    return cursor.execute(
        """
        SELECT account.credential, oauth_provider, refresh_token, access_token,
               coalesce(held_until + make_interval(secs => %s) > now(), false) AS held
          FROM account
          LEFT JOIN oauth_token ON account_id = account.id
                               AND oauth_token.credential = account.credential
         WHERE account.id = %s
        """,
        [_LATE, account_id],
    ).fetchone()


def replace(
    connection: Connection[TupleRow], account_id: AccountId, old: Secrets, new: Secrets
) -> bool:
    """Put `new` in the place of `old`; False where that is not what is there.

    What was got by a former credential of the account goes: nobody can use it.
    """
    both = {
        "id": account_id,
        "old": old.credential,
        "new": new.credential,
        "refresh": new.refresh_token,
        "access": new.access_token,
    }
    replaced = connection.execute(
        "UPDATE account SET credential = %(new)s WHERE id = %(id)s AND credential = %(old)s", both
    )
    if not replaced.rowcount:
        return False
    connection.execute(
        "DELETE FROM oauth_token WHERE account_id = %(id)s AND credential <> %(old)s", both
    )
    connection.execute(
        """
        UPDATE oauth_token
           SET credential = %(new)s, refresh_token = %(refresh)s, access_token = %(access)s,
               fresh_until = CASE WHEN %(access)s::bytea IS NOT NULL THEN fresh_until END
         WHERE account_id = %(id)s
        """,
        both,
    )
    return True


def count(connection: Connection[TupleRow]) -> Mapping[tuple[bytes, Kind], int]:
    """How much of each kind is sealed with each key; what is no sealed credential counts as b""."""
    counted = connection.execute(
        r"""
        SELECT substr(sealed, 1, position('\x00'::bytea IN sealed)), kind, count(*)
          FROM (SELECT credential AS sealed,
                       CASE WHEN oauth_provider IS NULL THEN 'password'
                            ELSE 'refresh token' END AS kind
                  FROM account
                 UNION ALL
                SELECT refresh_token, 'refresh token' FROM oauth_token
                 UNION ALL
                SELECT access_token, 'access token' FROM oauth_token) AS everything
         WHERE sealed IS NOT NULL
         GROUP BY 1, 2
        """
    )
    return {(bytes(prefix), kind): number for prefix, kind, number in counted}
