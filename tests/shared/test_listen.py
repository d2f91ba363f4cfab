from __future__ import annotations

import socket

import pytest

from postwire.listen import listen


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ("0.0.0.0", {"127.0.0.1"}),  # noqa: S104
        ("127.0.0.1", {"127.0.0.1"}),
        ("::1", {"::1"}),
        ("::", {"127.0.0.1", "::1"}),
    ],
)
def test_an_address_is_listened_at_and_all_of_them_are_of_both_kinds(
    host: str, reached: set[str]
) -> None:
    with listen(host, 0) as listening:
        port = listening.getsockname()[1]
        assert {one for one in ("127.0.0.1", "::1") if accepts(one, port)} == reached


def test_what_is_sent_in_two_parts_does_not_wait_for_the_first_to_be_acknowledged() -> None:
    with (
        listen("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname(), timeout=5),
        listening.accept()[0] as taken,
    ):
        assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=5):
            return True
    except ConnectionRefusedError:
        return False
