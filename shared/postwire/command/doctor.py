"""`postwire doctor`: is everything as it should be, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol

import click

from postwire.command import checks
from postwire.command.console import about, as_json, fill, out, plain
from postwire.command.findings import Finding, fail
from postwire.settings import PROCESSES

#: Where a service registers what can be looked at only with its code.
GROUP = "postwire.doctor"
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@dataclass(frozen=True, slots=True)
class Ask:
    """Which mail server is to be looked at; with `log_in`, also whether the account gets in."""

    address: str | None
    account: str | None
    security: str | None
    log_in: bool


class Look(Protocol):
    """What a service registers."""

    def __call__(self, ask: Ask) -> Iterator[Finding]:
        """What is found at the mail server."""


@click.command(
    help=about(
        "Look whether all is well, and say what mends what is not.\n\n"
        "Settings, database, Redis, the processes that are alive; with --imap or --account the way "
        "to a mail server, from where this runs (in the sync-worker's image). Nothing is changed. "
        "Exit code: 0 well, or warnings; 1 something fails.",
        "postwire doctor",
        "postwire doctor --for api",
        "postwire doctor --imap imap.example.com:993",
        "postwire doctor --account ann@example.com --login",
    )
)
@click.option(
    "--for", "process", type=click.Choice(list(PROCESSES)), help="Whose settings these are."
)
@click.option("--imap", metavar="HOST:PORT", help="A mail server to look at.")
@click.option("--account", metavar="ID|ADDRESS", help="An account whose mail server to look at.")
@click.option(
    "--security",
    type=click.Choice(["tls", "starttls", "none"]),
    help="With --imap; else tls at port 993, and starttls elsewhere.",
)
@click.option("--login", is_flag=True, help="With --account: log in, once, and out again.")
@click.option("--json", "json_", is_flag=True, help="For machines.")
def doctor(
    *,
    process: str | None,
    imap: str | None,
    account: str | None,
    security: str | None,
    login: bool,
    json_: bool,
) -> int:
    """Look at one after the other; the first that fails keeps none of the others from its turn."""
    if imap and account:
        raise click.UsageError("Give either --imap or --account.")
    if login and not account:
        raise click.UsageError("--login needs --account.")
    found: list[Finding] = []
    for finding in _all(process, Ask(imap, account, security, login)):
        found.append(finding)
        if not json_:
            _write(finding)
    if json_:
        as_json(found)
    return 1 if any(one.level == "fail" for one in found) else 0


def _all(process: str | None, ask: Ask) -> Iterator[Finding]:
    yield from checks.settings(process)
    yield from checks.database()
    yield from checks.redis()
    if ask.address or ask.account:
        look = _registered()
        if look is None:
            yield fail(
                "imap: there is no IMAP code here",
                "run it where the sync-worker runs, for its way to the server is what counts",
            )
        else:
            yield from look(ask)


def _registered() -> Look | None:
    found: Callable[..., Look] | None = next(
        (one.load for one in entry_points(group=GROUP, name="imap")), None
    )
    return found() if found else None


def _write(finding: Finding) -> None:
    words = plain(finding.what) + (f": {plain(finding.todo)}" if finding.todo else "")
    mark = click.style(f"{finding.level:<4}", fg=_COLOURS[finding.level])
    out(f"{mark}  {fill(words, indent=6).lstrip()}")
