"""Postwire's queue and worker with a job that does nothing: `python -m bench.nothing THREADS`."""

from __future__ import annotations

import os
import sys
import time
from queue import SimpleQueue

import dramatiq

from postwire.jobs import ACTOR, QUEUE, make_broker, make_redis
from postwire_worker.__main__ import make_worker
from postwire_worker.ending import leave, on_signal

#: Where jobs write how long they waited.
WAITS = "bench:postwire:waits"


def main() -> int:
    """Work until SIGTERM."""
    client = make_redis(os.environ["REDIS_URL"])
    broker = make_broker(client)
    signals: SimpleQueue[None] = SimpleQueue()
    on_signal(lambda: signals.put(None))

    @dramatiq.actor(broker=broker, queue_name=QUEUE, actor_name=ACTOR)
    def nothing(asked: str) -> None:
        begun = time.time()
        if asked:
            client.rpush(WAITS, begun - float(asked))

    worker = make_worker(broker, [QUEUE], int(sys.argv[1]))
    worker.start()
    signals.get()
    worker.stop(timeout=1000)
    return 0


if __name__ == "__main__":
    leave(main())
