"""docs/configuration.md, from the settings classes; `make docs` writes it."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from postwire import settings

_HEAD = """\
# Configuration

Every setting is an environment variable. Each process reads its own and no others; one that is
missing, malformed or unknown stops it with a sentence that says so, and none of the values.
`postwire` is the command ([operations.md](operations.md)), which reads what it needs for what it
is asked. [.env.example](../.env.example) is a file to begin with.

This page is made from the code by `make docs`.

| setting | default | read by | meaning |
| --- | --- | --- | --- |
"""
_MARK = " **Secret.**"


def main() -> int:
    """Write the page to standard output."""
    sys.stdout.write(_HEAD + "".join(f"| {' | '.join(row)} |\n" for row in _rows()))
    return 0


def _rows() -> Iterator[tuple[str, ...]]:
    comments = _comments()
    readers: dict[tuple[str, str], list[str]] = {}
    fields: dict[tuple[str, str], FieldInfo] = {}
    kinds = [*settings.PROCESSES.items(), *(("postwire", kind) for kind in settings.COMMAND)]
    for process, kind in kinds:
        for name, field in kind.model_fields.items():
            key = name, next(comments[one, name] for one in _names(kind) if (one, name) in comments)
            fields[key] = field
            if process not in readers.setdefault(key, []):
                readers[key].append(process)
    for (name, meaning), processes in sorted(readers.items()):
        field = fields[name, meaning]
        secret = _MARK if "SecretStr" in str(field.annotation) else ""
        yield (
            f"`{settings.PREFIX}{name.upper()}`",
            _default(field),
            ", ".join(processes),
            meaning.replace("|", "\\|") + secret,
        )


def _names(kind: type) -> list[str]:
    return [one.__name__ for one in kind.__mro__]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be set"
    value = field.get_default(call_default_factory=True)
    value = value.get_secret_value() if isinstance(value, SecretStr) else value
    text = ",".join(value) if isinstance(value, list) else str(value)
    return f"`{text}`" if text not in {"", "None"} else "empty"


def _comments() -> dict[tuple[str, str], str]:
    """The words above each field of each class."""
    source = inspect.getsource(settings)
    lines = source.splitlines()
    found = {}
    for class_ in ast.parse(source).body:
        if isinstance(class_, ast.ClassDef):
            for field in class_.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    found[class_.name, field.target.id] = _above(lines[: field.lineno - 1])
    return found


def _above(lines: list[str]) -> str:
    words: list[str] = []
    while lines and lines[-1].strip().startswith("#:"):
        words.insert(0, lines.pop().strip().removeprefix("#:").strip())
    return " ".join(words)


if __name__ == "__main__":
    sys.exit(main())
