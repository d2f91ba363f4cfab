"""What goes wrong in the demo, in words for the one who started it."""

from __future__ import annotations


class DemoError(Exception):
    """The demo cannot go on; the message says what to do."""
