"""IDLE, byte by byte: whatever pieces it comes in, and whatever a server does with it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postwire.errors import ConnectionLost, ServerBusy
from postwire_worker.idle import Idle, Phase
from support.dovecot import Dovecot
from support.fake_imap import server_context
from support.mailbox import trusting
from support.processes import eventually

STARTED = b"+ idling\r\n"


class Pair:
    """Our end in IDLE, and the server's."""

    def __init__(self, ours: socket.socket, theirs: socket.socket, ahead: bytes = b"") -> None:
        ours.settimeout(0)
        theirs.settimeout(5)
        self.ours, self.theirs = ours, theirs
        self.idle = Idle(ours, ahead, "other")

    def heard(self) -> bytes:
        """What the server has got so far."""
        return self.theirs.recv(1000)

    def says(self, data: bytes) -> bool:
        """Whether we take it for a change."""
        self.theirs.sendall(data)
        return self.idle.read()


def pair(ahead: bytes = b"") -> Pair:
    return Pair(*socket.socketpair(), ahead)


@pytest.fixture
def plain() -> Iterator[Pair]:
    made = pair()
    yield made
    made.ours.close()
    made.theirs.close()


@pytest.fixture
def secured(dovecot: Dovecot) -> Iterator[Pair]:
    """The same in TLS over the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    done: list[ssl.SSLSocket] = []

    def shake() -> None:
        done.append(server_context(dovecot).wrap_socket(accepted, server_side=True))

    thread = threading.Thread(target=shake)
    thread.start()
    ours = trusting(dovecot).ssl_context.wrap_socket(client, server_hostname="127.0.0.1")
    thread.join()
    made = Pair(ours, done[0])
    yield made
    ours.close()
    done[0].close()


def until(made: Pair, phase: Phase) -> bool:
    """Read until the phase is reached; whether there was a change."""
    changed = False

    def reached() -> bool:
        nonlocal changed
        changed |= made.idle.read()
        return made.idle.phase is phase

    assert eventually(reached, 5)
    return changed


def test_idle_is_asked_for_and_agreed_to(plain: Pair) -> None:
    assert plain.heard() == b"PW1 IDLE\r\n"
    assert not plain.idle.waits
    assert plain.says(STARTED) is False
    assert plain.idle.waits


@pytest.mark.parametrize(
    "line",
    [
        b"* 5 EXISTS\r\n",
        b"* 5 exists\r\n",
        b"* 5 EXPUNGE\r\n",
        b"* 5 FETCH (FLAGS (\\Seen))\r\n",
        b"* VANISHED 5:7\r\n",
        b"* 5 EXISTS\n",
    ],
)
def test_a_change_is_one(plain: Pair, line: bytes) -> None:
    assert plain.says(STARTED + line) is True


@pytest.mark.parametrize(
    "line",
    [
        b"* OK Still here\r\n",
        b"* 5 RECENT\r\n",
        b"* FLAGS (\\Seen)\r\n",
        b"* CAPABILITY IMAP4rev1\r\n",
        b"\r\n",
        b"*\r\n",
        b"+\r\n",
        b"PW7 OK somebody else's\r\n",
        b"\0\xff\r\n",
    ],
)
def test_other_words_are_no_change(plain: Pair, line: bytes) -> None:
    assert plain.says(STARTED + line) is False
    assert plain.idle.waits


def test_a_change_in_the_same_segment_as_the_continuation_is_seen(plain: Pair) -> None:
    assert plain.says(b"+ idling\r\n* 5 EXISTS\r\n") is True


def test_a_change_before_the_continuation_is_seen(plain: Pair) -> None:
    assert plain.says(b"* FLAGS (x)\r\n* 5 EXISTS\r\n+ idling\r\n") is True
    assert plain.idle.waits


def test_what_was_read_ahead_counts() -> None:
    # Given lines that were read before IDLE began, the last of them half
    made = pair(ahead=b"* 5 EXISTS\r\n* 6 EXI")

    # When the rest comes
    # Then both are seen
    assert made.idle.read() is True
    assert made.says(b"STS\r\n") is True
    made.ours.close()
    made.theirs.close()


def test_a_line_may_come_byte_by_byte(plain: Pair) -> None:
    changes = [plain.says(bytes([byte])) for byte in STARTED + b"* 12 EXISTS\r\n"]
    assert changes.count(True) == 1
    assert changes[-1] is True


@given(
    st.lists(st.sampled_from([b"* 5 EXISTS\r\n", b"* OK x\r\n", b"+ idling\r\n", b"x\r\n"])),
    st.lists(st.integers(1, 12), max_size=20),
)
def test_the_pieces_do_not_matter(lines: list[bytes], cuts: list[int]) -> None:
    # Given any lines in any pieces
    data, made = b"".join(lines), pair()

    # When they come
    changed = False
    for cut in cuts:
        changed |= made.says(data[:cut])
        data = data[cut:]
    changed |= made.says(data)

    # Then what they say is the same
    assert changed == (b"* 5 EXISTS\r\n" in lines)
    made.ours.close()
    made.theirs.close()


@given(st.binary(max_size=200))
def test_any_bytes_are_understood_or_end_the_connection(data: bytes) -> None:
    made = pair()
    with suppress(ConnectionLost):
        assert made.says(data) in {True, False}
    made.ours.close()
    made.theirs.close()


@pytest.mark.parametrize(
    "said",
    [
        b"* BYE shutting down\r\n",
        b"* BYE\r\n",
        b"PW1 NO not now\r\n",
        b"PW1 BAD what?\r\n",
        b"PW1 OK done already\r\n",
        b"x" * 100_000,
    ],
    ids=["bye", "bye without a word", "no", "bad", "ok unasked", "endless"],
)
def test_a_server_that_will_not_is_left(plain: Pair, said: bytes) -> None:
    with pytest.raises(ConnectionLost):
        plain.says(said)


@pytest.mark.parametrize(
    "said", [b"* BYE Too many connections\r\n", b"PW1 NO [LIMIT] no more of these\r\n"]
)
def test_a_server_that_has_no_time_for_idle_is_busy(plain: Pair, said: bytes) -> None:
    with pytest.raises(ServerBusy):
        plain.says(said)


def test_the_end_of_the_connection_is_seen(plain: Pair) -> None:
    # Given a server that has read all, so that its end is not a reset
    plain.heard()
    plain.says(STARTED)

    # When it closes the connection
    plain.theirs.close()

    # Then there is no more to wait for
    with pytest.raises(ConnectionLost):
        plain.idle.read()


def test_a_last_change_before_the_end_is_an_end(plain: Pair) -> None:
    plain.theirs.sendall(STARTED + b"* 5 EXISTS\r\n")
    plain.theirs.close()
    with pytest.raises(ConnectionLost):
        plain.idle.read()


def test_idle_is_left_and_entered_again(plain: Pair) -> None:
    # Given a connection in IDLE
    plain.heard()
    plain.says(STARTED)

    # When it is renewed
    plain.idle.renew()
    assert plain.heard() == b"DONE\r\n"
    assert not plain.idle.waits

    # Then a change meanwhile is seen, and IDLE is asked for under a new tag
    assert plain.says(b"* 5 EXISTS\r\nPW1 OK done\r\n") is True
    assert plain.heard() == b"PW2 IDLE\r\n"
    plain.says(STARTED)
    assert plain.idle.waits


def test_only_what_waits_is_renewed(plain: Pair) -> None:
    # Given a server that has not agreed yet, or has not answered DONE
    plain.heard()
    plain.idle.renew()
    assert plain.idle.phase is Phase.ASKED
    plain.says(STARTED)
    plain.idle.renew()
    plain.idle.renew()

    # Then DONE was said once
    assert plain.heard() == b"DONE\r\n"


def test_a_refused_renewal_is_left(plain: Pair) -> None:
    plain.says(STARTED)
    plain.idle.renew()
    with pytest.raises(ConnectionLost):
        plain.says(b"PW1 NO\r\n")


def test_a_dead_connection_cannot_be_renewed(plain: Pair) -> None:
    plain.says(STARTED)
    plain.theirs.close()
    with pytest.raises(ConnectionLost):
        plain.idle.renew()


def test_a_chatty_server_does_not_keep_us(plain: Pair) -> None:
    # Given a server that has far more to say than is read at once
    plain.theirs.settimeout(0)
    sent = 0
    with suppress(BlockingIOError):
        while sent < 10_000_000:
            sent += plain.theirs.send(b"* OK chatter\r\n" * 1000)

    # When we read, we come back, and the rest is for the next time
    plain.idle.read()
    assert plain.idle.phase is Phase.ASKED


def test_tls_is_read_whole(secured: Pair) -> None:
    # Given a line over two records, behind a record as large as there are
    assert until(secured, Phase.ASKED) is False
    secured.theirs.sendall(STARTED + b"* OK " + b"x" * 16_000 + b"\r\n* 5 EX")
    until(secured, Phase.IDLING)
    secured.theirs.sendall(b"ISTS\r\n")

    # When it is read
    # Then it is a change
    assert eventually(secured.idle.read)


def test_the_end_of_tls_is_seen_though_tcp_goes_on(secured: Pair) -> None:
    # Given a server that says good-bye in TLS and keeps TCP open
    secured.theirs.sendall(STARTED)
    until(secured, Phase.IDLING)
    thread = threading.Thread(target=unwrap, args=[secured])
    thread.start()

    # When we read
    # Then the connection has ended
    def lost() -> bool:
        try:
            secured.idle.read()
        except ConnectionLost:
            return True
        return False

    assert eventually(lost)
    secured.ours.close()
    thread.join(10)


def unwrap(made: Pair) -> None:
    assert isinstance(made.theirs, ssl.SSLSocket)
    with suppress(OSError, ValueError):
        made.theirs.unwrap()


def test_garbage_in_tls_is_an_end(secured: Pair) -> None:
    secured.theirs.sendall(STARTED)
    until(secured, Phase.IDLING)
    raw = socket.socket(fileno=socket.dup(secured.theirs.fileno()))
    raw.sendall(b"* 5 EXISTS\r\n")

    def lost() -> bool:
        try:
            secured.idle.read()
        except ConnectionLost:
            return True
        return False

    assert eventually(lost)
    raw.close()
