"""`postwire account`: the accounts of all users, and the story of one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, get_args

import click

from postwire.command import story
from postwire.command.console import about, as_json, fill, listing, out, plain, table
from postwire.command.database import opened
from postwire.command.times import briefly, when
from postwire.model import Account, AccountState
from postwire.store import inspection
from postwire.store.inspection import Facts, Summary
from postwire.store.pool import snapshot


@click.group(
    help=about(
        "The accounts of all users, and the story of one.",
        "postwire account list --state auth_failed",
        "postwire account explain ann@example.com",
    )
)
def account() -> None:
    """Group what there is to do with accounts."""


@account.command(
    "list",
    help=about(
        "List accounts, the longest in their state first.",
        "postwire account list --state unreachable",
        "postwire account list --user ann --json",
    ),
)
@click.option("--user", metavar="ID", help="Only those of the user.")
@click.option(
    "--state", type=click.Choice(get_args(AccountState)), help="Only those in this state."
)
@click.option("--limit", type=click.IntRange(1, 100_000), default=200, show_default=True)
@click.option("--json", "json_", is_flag=True, help="For machines.")
def list_(*, user: str | None, state: AccountState | None, limit: int, json_: bool) -> int:
    """Look them up."""
    with opened() as pool, snapshot(pool) as connection:
        found = inspection.list_accounts(connection, user_id=user, state=state, limit=limit)
        now = inspection.now(connection)
    if json_:
        as_json(found)
        return 0

    def row(one: Summary) -> tuple[object, ...]:
        since, looked = briefly(one.state_since, now), briefly(one.last_synced_at, now)
        return one.id, one.address, one.user_id, one.state, since, looked

    table(
        ("ACCOUNT", "ADDRESS", "USER", "STATE", "SINCE", "LOOKED AT"),
        [row(one) for one in found],
        [one.state_reason for one in found],
    )
    return 0


@account.command(
    help=about(
        "Show the settings of one account, never its credential.",
        "postwire account show ann@example.com",
    )
)
@click.argument("which", metavar="ID|ADDRESS")
@click.option("--json", "json_", is_flag=True, help="For machines.")
def show(*, which: str, json_: bool) -> int:
    """Look it up."""
    with opened() as pool, snapshot(pool) as connection:
        found = inspection.find_account(connection, which)
        now = inspection.now(connection)
    if json_:
        as_json(_shown(found))
        return 0
    window = "all" if found.window_days is None else f"{found.window_days} days"
    every = "never by itself" if found.sync_every is None else f"every {found.sync_every} s"
    by = f"access by the provider {found.oauth_provider}" if found.oauth_provider else "a password"
    listing(
        (
            ("account", found.id),
            ("address", found.address),
            ("user", found.user_id),
            ("server", f"{found.host}:{found.port}, security {found.security}"),
            ("username", found.username),
            ("credential", by),
            ("mailboxes", ", ".join(found.mailboxes) if found.mailboxes else "INBOX and Sent"),
            ("window", window),
            ("synced", every),
            ("state", f"{found.state} since {when(found.state_since, now)}"),
            ("reason", found.state_reason),
            ("added", when(found.created_at, now)),
            ("looked at", when(found.last_synced_at, now)),
            ("position", f"epoch {found.epoch}, revision {found.revision}"),
        )
    )
    return 0


@account.command(
    help=about(
        "Tell the story of one account: what it does, why, and what comes next.\n\nIts state, who "
        "watches it, each mailbox, the last jobs, the audit, when it is next tried and why then. "
        "Nothing of its mail is shown.",
        "postwire account explain ann@example.com",
        "postwire account explain 3f0c2f6e-5d43-4c55-9d0e-2f9f0b0b8a11 --json",
    )
)
@click.argument("which", metavar="ID|ADDRESS")
@click.option("--json", "json_", is_flag=True, help="For machines.")
def explain(*, which: str, json_: bool) -> int:
    """Gather it and tell it."""
    with opened() as pool, snapshot(pool) as connection:
        facts = inspection.facts(connection, inspection.find_account(connection, which))
    if json_:
        as_json(_told(facts))
        return 0
    for heading, sentences in story.tell(facts):
        for number, sentence in enumerate(sentences):
            begin = f"{heading if number == 0 else '':<13}"
            out(fill(begin + plain(sentence), indent=13, first=0))
    return 0


def _shown(found: Account) -> dict[str, Any]:
    """All of the account but its credential."""
    return {name: value for name, value in asdict(found).items() if name != "credential"}


def _told(facts: Facts) -> dict[str, Any]:
    story_ = {heading: list(sentences) for heading, sentences in story.tell(facts)}
    return asdict(facts) | {"account": _shown(facts.account), "story": story_}
