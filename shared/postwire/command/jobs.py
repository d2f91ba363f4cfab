"""`postwire job`: what waits, runs, and ended how."""

from __future__ import annotations

from datetime import timedelta

import click

from postwire.command.console import about, as_json, listing, out, say, table
from postwire.command.database import opened
from postwire.command.times import briefly, parse, when
from postwire.errors import Conflict, QueueUnavailable, SettingsError
from postwire.jobs import enqueue_all, make_broker, make_redis
from postwire.settings import QueueSettings, load
from postwire.store import accounts, inspection
from postwire.store import jobs as store
from postwire.store.inspection import HeldJob
from postwire.store.jobs import Asked
from postwire.store.pool import snapshot, transaction

STATES = ("waiting", "active", "delayed", "completed", "failed")
#: States in which no login is tried.
_NO_LOGIN = ("paused", "auth_failed")


class _Age(click.ParamType[timedelta]):
    name = "AGE"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        age = parse(value)
        if age is None:
            self.fail("write 90s, 15m, 2h or 7d", param, ctx)
        return age


@click.group(
    help=about(
        "What waits, runs, and ended how.",
        "postwire job list --state failed",
        "postwire job retry ID",
    )
)
def job() -> None:
    """Group what there is to do with jobs."""


@job.command(
    "list",
    help=about(
        "List jobs, newest first.\n\nA job is one sync of one account. An automatic one that found "
        "nothing leaves no history.",
        "postwire job list --state failed --account ann@example.com",
        "postwire job list --state waiting --older-than 5m",
    ),
)
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--account", metavar="WHICH", help="Only those of the account; its id or address.")
@click.option(
    "--older-than", type=_Age(), help="Only those asked for longer ago: 90s, 15m, 2h, 7d."
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--json", "json_", is_flag=True, help="For machines.")
def list_(
    *,
    state: str | None,
    account: str | None,
    older_than: timedelta | None,
    limit: int,
    json_: bool,
) -> int:
    """Look them up."""
    with opened() as pool, snapshot(pool) as connection:
        found = inspection.list_jobs(
            connection,
            account_id=inspection.find_account(connection, account).id if account else None,
            state=state,  # type: ignore[arg-type] # one of STATES
            older_than=older_than,
            limit=limit,
        )
        now = inspection.now(connection)
    if json_:
        as_json(found)
        return 0
    table(
        ("JOB", "STATE", "WHY", "FOUND", "ASKED"),
        [(one.id, one.state, one.reason, one.found, briefly(one.created_at, now)) for one in found],
        [one.error for one in found],
    )
    return 0


@job.command(
    help=about("Show one job.", "postwire job show sync-3f0c…-1767225600000"),
)
@click.argument("id_", metavar="ID")
@click.option("--json", "json_", is_flag=True, help="For machines.")
def show(*, id_: str, json_: bool) -> int:
    """Look it up."""
    with opened() as pool, snapshot(pool) as connection:
        found = inspection.get_job(connection, id_)
        now = inspection.now(connection)
    if json_:
        as_json(found)
        return 0
    listing(
        (
            ("job", found.id),
            ("account", found.account_id),
            ("user", found.user_id),
            ("asked for", f"{when(found.created_at, now)} by {found.reason}, queue {found.queue}"),
            ("state", found.state),
            ("due", when(found.run_at, now)),
            ("started", when(found.started_at, now)),
            ("ended", when(found.finished_at, now)),
            ("held by", _held(found)),
            ("attempts", f"{found.attempts} of {store.ATTEMPTS} failed"),
            ("found", f"{found.found} messages"),
            ("error", found.error),
        )
    )
    return 0


def _held(found: HeldJob) -> str | None:
    return found.holder if found.state == "active" else None


@job.command(
    help=about(
        "Have the account of a failed job synced again, now.\n\nA new job is opened, in the queue "
        "of what people wait for. An account that is paused, or was refused, is not tried.",
        "postwire job retry sync-3f0c…-1767225600000",
    )
)
@click.argument("id_", metavar="ID")
def retry(id_: str) -> int:
    """Ask for it."""
    with opened() as pool, transaction(pool) as connection:
        failed = inspection.get_job(connection, id_)
        if failed.state != "failed":
            raise Conflict(f"The job has not failed, it is {failed.state}.")
        account = accounts.get(connection, failed.account_id)
        if account.state in _NO_LOGIN:
            raise Conflict(f"No login is tried: the account is {account.state}.")
        asked = store.ask(connection, account.id, account.user_id, "manual")
    out(asked.id)
    _enqueue(asked)
    return 0


def _enqueue(asked: Asked) -> None:
    """Put the job on its queue; it is a row already, so that the sweep finds it in any case."""
    try:
        settings = load(QueueSettings)
    except SettingsError:
        say("a watcher queues it within 30 s; with POSTWIRE_REDIS_URL set here it would be at once")
        return
    broker = make_broker(make_redis(settings.redis_url.get_secret_value()))
    try:
        enqueue_all(broker, [(asked.id, asked.queue)] if asked.enqueue else [])
    except QueueUnavailable:
        say("a watcher queues it once Redis answers")
    finally:
        broker.close()
