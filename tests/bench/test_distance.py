"""The way to a mail server that is far."""

from __future__ import annotations

import socket
import threading
import time

from bench.distance import distant
from postwire_demo.processes import HOST


def _serve(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"hello")
        while data := connection.recv(65536):
            connection.sendall(data)


def test_what_is_far_answers_late_and_in_whole() -> None:
    # Given a server that greets, and says everything again
    with socket.create_server((HOST, 0)) as listener:
        server = threading.Thread(target=_serve, args=[listener])
        server.start()
        # When it is a fifth of a second away
        with (
            distant(listener.getsockname()[1], 0.2) as port,
            socket.create_connection((HOST, port), timeout=10) as client,
        ):
            began = time.monotonic()
            # Then it greets after two round trips, and answers after one
            assert client.recv(100) == b"hello"
            assert time.monotonic() - began >= 0.4
            began = time.monotonic()
            client.sendall(b"a")
            assert client.recv(1) == b"a"
            assert time.monotonic() - began >= 0.2
            # And what is sent arrives in its order, and its end after it
            sent = bytes(range(256)) * 400
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            with client.makefile("rb") as answer:
                assert answer.read() == sent
        server.join(10)
