"""A Valkey for tests that are not Python: `python -m support.lent_valkey` prints its URL.

It runs until standard input ends, as it does when the process that asked for it has died.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
from pathlib import Path

from postwire_demo.servers import valkey

if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="postwire-valkey-") as made:
        folder = Path(made)
        with valkey(folder / "data", folder / "log", secrets.token_urlsafe()) as url:
            sys.stdout.write(f"{url}\n")
            sys.stdout.flush()
            sys.stdin.read()
