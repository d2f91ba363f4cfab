"""How the command begins and ends."""

from __future__ import annotations

import pytest

from postwire.command import main
from support.command import postwire

COMMANDS = ("doctor", "account", "job", "token", "migrate", "keys", "import-legacy")
OF_GROUPS = (
    *(("account", one) for one in ("list", "show", "explain")),
    *(("job", one) for one in ("list", "show", "retry")),
    *(("keys", one) for one in ("status", "rotate")),
)


@pytest.mark.parametrize("command", [(), *((one,) for one in COMMANDS), *OF_GROUPS])
def test_help_says_what_it_does_and_how_it_is_called(command: tuple[str, ...]) -> None:
    said = postwire(*command, "--help")
    assert said.code == 0
    first, *rest = said.stdout.splitlines()[2:]
    assert first.strip()
    assert any(line.startswith(f"    {' '.join(('postwire', *command))}") for line in rest)


def test_all_commands_are_known_to_the_tests() -> None:
    assert set(main.COMMANDS) == set(COMMANDS)


@pytest.mark.parametrize("arguments", [("keys", "destroy"), ("no",), ("account", "list", "--no")])
def test_what_it_does_not_know_it_refuses(arguments: tuple[str, ...]) -> None:
    ended = postwire(*arguments)
    assert (ended.code, ended.stdout) == (2, "")
    assert "No such" in ended.said


def test_what_nobody_foresaw_is_said_without_its_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a mistake, whose words hold a secret
    def fail(**_: object) -> int:
        raise LookupError("a secret")

    monkeypatch.setattr(main.root, "main", fail)
    assert main.main() == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "LookupError in test_main.py, line" in said
    assert "secret" not in said
