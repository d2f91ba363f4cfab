from __future__ import annotations

import asyncio
from contextlib import ExitStack

from engineio.packet import CLOSE, MESSAGE, Packet

from postwire_gateway.outbox import MAX_WAITING, Outbox
from support.gateway import Browse, MakeEvent, Sign, Spawn, Tell, deaf_socket

#: Bytes of memory that a browser which does not read may cost: what waits, as much again on its way
#: through the writer, and some for aiohttp's buffer.
BOUND = 3 * MAX_WAITING


class Written:
    """A WebSocket that takes everything."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def write(self, frame: bytes) -> bool:
        self.frames.append(frame)
        return True


async def test_it_counts_the_bytes_that_wait() -> None:
    outbox = Outbox()
    outbox.put_nowait(Packet(MESSAGE, "x" * 1000))
    outbox.put_nowait(Packet(CLOSE))
    outbox.put_nowait(None)
    assert 1000 < outbox.waiting < 2000
    assert not outbox.is_full

    outbox.put_nowait(Packet(MESSAGE, "x" * MAX_WAITING))
    assert outbox.is_full

    for _ in range(4):
        await outbox.get()
    assert outbox.waiting == 0


async def test_nothing_overtakes_what_waits_or_is_on_its_way_to_the_writer() -> None:
    # Given a queue with a packet in it
    outbox, outbox.wire = Outbox(), None
    assert not outbox.write(b"nobody is there")
    outbox.wire = wire = Written()
    outbox.put_nowait(Packet(MESSAGE, "first"))
    assert not outbox.write(b"second")

    # When the packet is taken out, as Python 3.11 does for who waits with a timeout
    taken = asyncio.ensure_future(outbox.get())
    await asyncio.sleep(0)
    assert outbox.empty()

    # Then a frame goes past the queue only once the packet has arrived
    assert not outbox.write(b"second")
    await taken
    outbox.task_done()
    assert outbox.write(b"second")
    assert wire.frames == [b"second"]


async def test_browsers_that_do_not_read_cost_a_bounded_memory(
    redis_url: str, spawn: Spawn, browse: Browse, token: Sign, tell: Tell, event: MakeEvent
) -> None:
    # Given twenty browsers in rooms of their own that do not read, and one that does
    running = await spawn(redis_url)
    reader = await browse(running.port, token(), accountId="a1")
    deaf = [f"deaf{n}" for n in range(20)]
    with ExitStack() as stack:
        for name in deaf:
            connection = await deaf_socket(running.port, token(name, (name,)), name)
            stack.enter_context(connection)
        before = running.peak()

        # When each is told 4.5 MB
        for _ in range(300):
            for name in deaf:
                await tell(event(account_id=name, count=0, email_address=name + "x" * 15_000))
            await tell(event(count=0))
            await reader.next()

        # Then the gateway has kept little of it
        assert running.peak() - before < len(deaf) * BOUND
    assert reader.connected
