"""A name server of a test's own, which may answer otherwise the next time."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass(slots=True)
class Names:
    """Stands in for the system's resolver; it knows no names but those it was given."""

    #: The answers to each name, in order; the last one stays.
    answers: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def lead(self, name: str, *answers: tuple[str, ...]) -> None:
        """Answer with these addresses the first time, with those the second, and so on."""
        self.answers[name] = list(answers)


def stand_in(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Put it in the resolver's place; addresses are left to the resolver."""
    names, resolve = Names(), socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in names.answers:
            return list(resolve(host, port, *args, **options))
        names.asked.append(name)
        answers = names.answers[name]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [one for each in addresses for one in resolve(each, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names
