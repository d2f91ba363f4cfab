"""What Litestar and uvicorn take by themselves: `python -m bench.bare PORT DATABASE REDIS FOLDER`.

GET /list answers with what is in `list.json` of the folder, POST /enqueue with `enqueue.json`; POST
/row-and-queue inserts a row and puts its number on a list of Redis first. Started as the API is.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import redis
import uvicorn
from litestar import Litestar, get, post

from postwire.store.pool import make_pool, transaction
from postwire_demo.processes import HOST

_, _port, _database, _redis, _folder = sys.argv
#: As many as the API has.
_pool = make_pool(_database, 10)
_queue = redis.Redis.from_url(_redis)
_listed, _asked = (
    msgspec.json.decode((Path(_folder) / name).read_bytes())
    for name in ("list.json", "enqueue.json")
)


@get("/list", sync_to_thread=False)
def _list() -> Any:
    return _listed


@post("/enqueue", status_code=200, sync_to_thread=False)
def _enqueue(data: dict[str, str]) -> Any:  # noqa: ARG001
    return _asked


@post("/row-and-queue", status_code=200, sync_to_thread=True)
def _row_and_queue(data: dict[str, str]) -> Any:
    with transaction(_pool) as connection:
        row = connection.execute(
            "INSERT INTO bare (account) VALUES (%s) RETURNING id", [data["accountId"]]
        ).fetchone()
    _queue.rpush("bare", row[0] if row else "")
    return _asked


uvicorn.run(
    Litestar([_list, _enqueue, _row_and_queue], logging_config=None, openapi_config=None),
    host=HOST,
    port=int(_port),
    log_config=None,
    access_log=False,
    server_header=False,
    proxy_headers=False,
    ws="none",
    limit_concurrency=1000,
    timeout_keep_alive=75,
)
