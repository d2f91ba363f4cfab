"""The demo's secrets: random, made once, kept beside the data that they open."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from pydantic import BaseModel, Field


def _password() -> str:
    # Hexadecimal: it stands in URLs, in settings files and on protocol lines as it is.
    return secrets.token_hex(24)


def _credential_key() -> str:
    return "demo:" + base64.b64encode(secrets.token_bytes(32)).decode()


class Keys(BaseModel):
    """Every secret of one demo."""

    jwt: str = Field(default_factory=_password)
    realtime: str = Field(default_factory=_password)
    credential: str = Field(default_factory=_credential_key)
    database: str = Field(default_factory=_password)
    redis: str = Field(default_factory=_password)
    mail: str = Field(default_factory=_password)


def load(path: Path) -> Keys:
    """The secrets kept at `path`, made at the first call."""
    if path.exists():
        return Keys.model_validate_json(path.read_text())
    keys = Keys()
    write_private(path, keys.model_dump_json(indent=1))
    return keys


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, at once or not at all."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.rename(path)
