from __future__ import annotations

from postwire_gateway.main import Gateway
from support.gateway import Browse, Sign, until


async def test_a_socket_that_left_is_in_no_room_and_leaves_nothing_behind(
    running: Gateway, browse: Browse, token: Sign
) -> None:
    # Given two browsers in some rooms, one of which left one of them
    rooms = running.server.manager
    first = await browse(running.port, token(), accountId="a1", userId="u1")
    second = await browse(running.port, token(), accountId="a1")
    await first.call("leave", {"userId": "u1"})
    assert len(list(rooms.get_participants("/", "account:a1"))) == 2
    assert "user:u1" not in rooms.rooms["/"]

    # When one leaves, the other one stays
    await first.disconnect()
    await until(lambda: len(list(rooms.get_participants("/", "account:a1"))) == 1)

    # When both have left, nothing is kept
    await second.disconnect()
    await until(lambda: rooms.rooms == {})
    assert rooms._rooms_of == {}
    assert not any(rooms.pending_connect.values())
    assert not any(rooms.pending_disconnect.values())


async def test_a_socket_cannot_connect_twice(running: Gateway, browse: Browse, token: Sign) -> None:
    browser = await browse(running.port, token(), accountId="a1")

    await browser.eio.send(f'0{{"token":"{token()}"}}')

    assert (await browser.call("join", {"accountId": "a1"}))["ok"]
    assert len(list(running.server.manager.get_participants("/", None))) == 1
