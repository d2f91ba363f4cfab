"""What may be told of a login."""

from __future__ import annotations

import pytest

from postwire import login


@pytest.mark.parametrize(
    "host", ["imap.example.com", "imap.example.com.", "a_b", "::1", "10.0.0.1"]
)
def test_hosts_have_names_or_addresses(host: str) -> None:
    login.check_host(host)


@pytest.mark.parametrize("host", ["", "-x.example", "a b", "a..b", "x" * 64, "https://x", "a/b"])
def test_what_is_no_host_is_refused_and_not_repeated(host: str) -> None:
    with pytest.raises(ValueError, match=r"^host: write a host name like imap\.example\.com"):
        login.check_host(host)


def test_addresses_and_lines_are_refused_without_being_repeated() -> None:
    login.check_address("ann@example.com")
    login.check_line("password", "correct horse ✓")
    with pytest.raises(ValueError, match=r"^address: write it as name@example\.com$"):
        login.check_address("ann @example.com")
    with pytest.raises(ValueError, match=r"^password: it may not hold line breaks or NUL$"):
        login.check_line("password", "hunter2\r\nA LOGOUT")
