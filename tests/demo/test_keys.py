"""The demo's secrets."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

from postwire_demo.keys import load


def test_secrets_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    first = load(tmp_path / "secrets.json")
    assert load(tmp_path / "secrets.json") == first
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_each_secret_is_another_one(tmp_path: Path) -> None:
    keys = load(tmp_path / "one.json")
    values = [value for _, value in keys]
    assert len(set(values)) == len(values)
    assert load(tmp_path / "two.json").jwt != keys.jwt
    assert len(base64.b64decode(keys.credential.partition(":")[2])) == 32
