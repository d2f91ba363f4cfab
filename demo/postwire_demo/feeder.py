"""Delivers a new message every few seconds: `python -m postwire_demo.feeder`.

It knows nothing of Postwire: it is what the rest of the world is to a mailbox.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from itertools import count

from imapclient.exceptions import IMAPClientError
from pydantic import PositiveFloat
from pydantic_settings import BaseSettings, SettingsConfigDict

from postwire_demo.letters import as_sent, next_letter, now
from postwire_demo.mail import MailAccount, connect, deliver

#: Seconds between attempts, when the mail server is away.
RETRY = 3.0


class FeederSettings(BaseSettings):
    """What the feeder reads from POSTWIRE_DEMO_*."""

    model_config = SettingsConfigDict(
        env_prefix="POSTWIRE_DEMO_", env_nested_delimiter="_", env_nested_max_split=1
    )

    #: POSTWIRE_DEMO_IMAP_HOST, _PORT, _SECURITY, _USERNAME, _PASSWORD.
    imap: MailAccount
    #: Seconds from one message to the next.
    every: PositiveFloat = 5


def main() -> None:
    """Deliver until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    settings = FeederSettings(_secrets_dir=os.environ.get("POSTWIRE_SECRETS_DIR"))  # type: ignore[call-arg]
    # Another row of letters at each start, without a memory of the last one.
    numbers = count(int(time.time()))
    while True:
        try:
            _feed(settings, numbers)
        except (OSError, IMAPClientError) as error:
            print(f"The mail server is away ({error}); trying again.", flush=True)
            time.sleep(RETRY)


def _feed(settings: FeederSettings, numbers: count[int]) -> None:
    with connect(settings.imap) as session:
        while True:
            letter = next_letter(next(numbers), now())
            deliver(session, as_sent(letter), now())
            print(f"{letter['From'].addresses[0].display_name}: {letter['Subject']}", flush=True)
            time.sleep(settings.every)


if __name__ == "__main__":
    main()
