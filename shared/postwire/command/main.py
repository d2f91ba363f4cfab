"""Where the command begins, and where whatever goes wrong becomes words and an exit code."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from pathlib import Path

import click

from postwire import log
from postwire.command.console import WIDTH, say
from postwire.errors import PostwireError, SettingsError

_HELP = """\
Looks after a Postwire installation, from any of its images.

\b
  postwire doctor                  is everything as it should be, and what to do if not
  postwire account explain WHICH   what one account does, why, and what comes next
  postwire account list            the accounts of all users, by state
  postwire job list                what waits, runs, and ended how
  postwire migrate                 bring the schema up to date

Settings are read from POSTWIRE_* as by every process: see docs/configuration.md. What is done when
is in docs/operations.md. Exit code: 0 done or well, 1 something is wrong or left to do, 2 settings
or arguments will not do.
"""


#: Where each command is; only that one is loaded, for to load all takes a second.
COMMANDS = {
    "doctor": "doctor:doctor",
    "account": "accounts:account",
    "job": "jobs:job",
    "token": "bearer:token",
    "migrate": "schema:migrate",
    "keys": "keys:keys",
    "import-legacy": "legacy:import_legacy",
}


class _Root(click.Group):
    def list_commands(self, _: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, command = COMMANDS[name].split(":")
        found: click.Command = getattr(import_module(f"postwire.command.{module}"), command)
        return found


@click.group(
    cls=_Root,
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH},
)
def root() -> None:
    """Come first: every command passes here."""
    # What libraries log is for the processes' logs; a command says itself what is wrong.
    log.set_up("ERROR", "command", sys.stderr)


def main() -> int:
    """Do what the arguments say; return the exit code."""
    try:
        return root.main(prog_name="postwire", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        say("postwire: stopped. What was done stays done; run it again.")
        return 130
    except SettingsError as error:
        say(f"postwire: {error}")
        return 2
    except PostwireError as error:
        say(f"postwire: {error}")
        return 1
    except Exception as error:  # noqa: BLE001 - a tired person reads no traceback
        say(f"postwire: {_unforeseen(error)}")
        return 1


def _unforeseen(error: Exception) -> str:
    """Where it happened and what, without its words: a database's may be somebody's row."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    number = getattr(error, "sqlstate", None) or getattr(error, "errno", None)
    kind = type(error).__name__ + (f" {number}" if number else "")
    where = f"{Path(frame.filename).name}, line {frame.lineno}"
    return f"Something that nobody foresaw: {kind} in {where}. Report it with these words."


if __name__ == "__main__":
    sys.exit(main())
