"""How fast the API answers: one client and fifty, beside what Litestar takes for the same bytes."""

from __future__ import annotations

import secrets
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import psycopg

from bench import cost
from bench.load import Answered, Load, Request, run
from bench.result import Budget, Measurement, Table, alone, percentile, progress
from postwire.store.pool import make_pool
from postwire.tokens import sign_bearer
from postwire_demo import services
from postwire_demo.processes import HOST, accepts, free_port, spawn, stop, wait_until
from postwire_demo.servers import postgres, valkey
from support import many, rows
from support.system import make_values

CLIENTS = (1, 50)
#: Seconds of each measurement.
LASTING = 5.0
#: Messages of the mailbox that is listed.
MESSAGES = 5_000
#: Users that ask for syncs, and accounts of each: no account is asked for twice.
USERS, ACCOUNTS = 400, 50
COLUMNS = ("p50 ms", "p99 ms", "requests/s", "CPU ms/request")

ASK, MAIL, TALK = "Postwire, sync now", "Postwire, 50 messages", "Postwire, 50 conversations"
BARE_ASK, BARE_ROW, BARE_LIST = (
    "floor: Litestar, the JSON of sync now",
    "floor: the same with an INSERT and an RPUSH",
    "floor: Litestar, the JSON of 50 messages",
)


@dataclass(frozen=True, slots=True)
class Server:
    """A server and what it is asked for."""

    url: str
    pid: int
    requests: Mapping[str, list[Request]]
    #: Whose requests are used up.
    once: str = ""


def measure() -> Measurement:
    """Ask both servers, by turns."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postwire-bench-")))
        folder.chmod(0o755)
        values = stack.enter_context(running_servers(folder))
        api = stack.enter_context(running_api(values, folder))
        bare = stack.enter_context(running_bare(api, values, folder))
        pairs = [(api, ASK), (bare, BARE_ROW), (bare, BARE_ASK),
                 (api, MAIL), (api, TALK), (bare, BARE_LIST)]  # fmt: skip
        tables = {clients: ask_each(pairs, clients) for clients in CLIENTS}
        stalls = {
            "Postwire": list_while_asking(api, MAIL, ASK),
            "floor: Litestar, an INSERT and an RPUSH": list_while_asking(bare, BARE_LIST, BARE_ROW),
        }
    return Measurement("The API", words(), [
        *(Table(f"{clients} at once", COLUMNS, table, "bars", "p50 ms")
          for clients, table in tables.items()),
        Table("A list of messages while 50 clients ask for syncs",
              ("alone p50 ms", "alone p99 ms", "p50 ms", "p99 ms"), stalls),
    ], budgets(tables, stalls))  # fmt: skip


def words() -> str:
    """What was done."""
    return (
        "The API as it is deployed, on a durable PostgreSQL and a Valkey, without workers; the "
        f"clients are one process beside it on the same cores, {LASTING:.0f} s each. *Sync now* is "
        "a POST that opens a job of an account that has none, counts the request, and queues the "
        f"job; lists are the first 50 of a mailbox of {MESSAGES:,}. The limits on requests of one "
        "user are raised, and still counted. The floors are handlers of a bare Litestar, served by "
        "uvicorn with the same settings, that return the same JSON: without a token, a rate limit, "
        "validation, metrics or a log, so they are no API that anybody could run."
    )


@contextmanager
def running_servers(folder: Path) -> Iterator[dict[str, str]]:
    """PostgreSQL and Valkey; the settings of an API on them."""
    with (
        postgres(folder / "pg", folder / "pg.log", secrets.token_hex(8)) as database,
        valkey(folder / "valkey", folder / "valkey.log", secrets.token_hex(8)) as redis,
    ):
        port = str(free_port())
        values = make_values(database, redis, f"http://{HOST}:{port}", f"http://{HOST}:1")
        values |= {"api_port": port, "user_requests": "9999999", "user_costly_requests": "9999999"}
        services.migrate(values, folder / "migrate.log")
        yield values


@contextmanager
def running_api(values: dict[str, str], folder: Path) -> Iterator[Server]:
    """The API with what is asked of it."""
    url = f"http://{HOST}:{values['api_port']}"
    requests = {ASK: fill_accounts(values), **fill_mailbox(values)}
    with services.stopping_together() as started:
        started.append(services.start("api", values, folder))
        services.wait_until_ready(started)
        yield Server(url, started[0].process.pid, requests, once=ASK)


@contextmanager
def running_bare(api: Server, values: Mapping[str, str], folder: Path) -> Iterator[Server]:
    """The bare handlers; they answer with what the API answers."""
    with psycopg.connect(values["database_url"]) as connection:
        connection.execute(
            "CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account uuid)"
        )
    asking = api.requests[ASK].pop()
    (folder / "enqueue.json").write_bytes(answer(api, asking))
    (folder / "list.json").write_bytes(answer(api, api.requests[MAIL][0]))
    port, log = free_port(), folder / "bare.log"
    command = [sys.executable, "-m", "bench.bare", str(port),
               values["database_url"], values["redis_url"], str(folder)]  # fmt: skip
    process = spawn(command, log)
    try:
        wait_until(lambda: accepts(port), process, "The bare server", log)
        yield Server(f"http://{HOST}:{port}", process.pid, {
            BARE_ASK: [Request("/enqueue", body=asking.body)],
            BARE_ROW: [Request("/row-and-queue", body=asking.body)],
            BARE_LIST: [Request("/list")],
        })  # fmt: skip
    finally:
        stop(process, signal.SIGTERM, 5)


def answer(server: Server, to: Request) -> bytes:
    """The body of an answer."""
    headers = {"Authorization": f"Bearer {to.token}", "Content-Type": "application/json"}
    method = "POST" if to.body else "GET"
    said = httpx.request(method, server.url + to.path, headers=headers, content=to.body, timeout=10)
    return said.raise_for_status().content


def fill_accounts(values: Mapping[str, str]) -> list[Request]:
    """Many accounts of many users, and what asks for a sync of each."""
    with make_pool(values["database_url"], 1) as pool:
        first = rows.active(pool, "user0")
    with psycopg.connect(values["database_url"], autocommit=True) as connection:
        connection.execute(
            """
            INSERT INTO account (id, user_id, address, host, port, security, username, credential,
                                 window_days, state, sync_every, next_sync_at)
            SELECT gen_random_uuid(), 'user' || n %% %(users)s, n || '@example.com', host, port,
                   security, username, credential, window_days, state, sync_every, next_sync_at
              FROM account CROSS JOIN generate_series(1, %(many)s) AS n
             WHERE id = %(first)s
            """,
            {"users": USERS, "many": USERS * ACCOUNTS, "first": first.id},
        )
        connection.execute("VACUUM ANALYZE")
        found = connection.execute("SELECT user_id, id::text FROM account").fetchall()
    tokens = {user: token(values, user) for user, _ in found}
    return [
        Request("/api/email/sync", tokens[user], f'{{"accountId":"{id_}"}}') for user, id_ in found
    ]


def fill_mailbox(values: Mapping[str, str]) -> dict[str, list[Request]]:
    """A mailbox of one more user, and what lists it."""
    with make_pool(values["database_url"], 1) as pool:
        account = rows.active(pool, "robin", "robin@example.com")
    many.fill(values["database_url"], account.id, MESSAGES)
    many.analyze(values["database_url"])
    which = f"accountId={account.id}&mailbox=INBOX&limit=50"
    return {
        name: [Request(f"/api/{what}?{which}", token(values, "robin"))]
        for name, what in ((MAIL, "messages"), (TALK, "conversations"))
    }


def token(values: Mapping[str, str], user: str) -> str:
    """A bearer token, as the platform around Postwire makes them."""
    return sign_bearer(values["jwt_secret"], user, timedelta(hours=1))


def ask_each(pairs: list[tuple[Server, str]], clients: int) -> dict[str, list[float | None]]:
    """A row for each."""
    table: dict[str, list[float | None]] = {}
    for server, name in pairs:
        progress(f"{name}, {clients} at once")
        ask(server, name, 1, 0.5)
        before = cost.cpu(server.pid)
        answered = ask(server, name, clients)
        cpu = cost.cpu(server.pid) - before
        many_ = len(answered.ms)
        table[name] = [*quantiles(answered), many_ / answered.seconds, 1000 * cpu / many_]
    return table


def list_while_asking(server: Server, listing: str, asking: str) -> list[float | None]:
    """A client lists, alone; then it does while fifty others ask."""
    progress(f"{listing}, while {CLIENTS[-1]} clients ask: {asking}")
    alone_ = ask(server, listing, 1)
    with ThreadPoolExecutor(1) as thread:
        others = thread.submit(ask, server, asking, CLIENTS[-1], LASTING + 2)
        beside = ask(server, listing, 1)
        others.result()
    return [*quantiles(alone_), *quantiles(beside)]


def ask(server: Server, name: str, clients: int, seconds: float = LASTING) -> Answered:
    """Let clients ask; what they asked for once is not there for the next."""
    requests = server.requests[name]
    load = Load(server.url, clients, seconds, requests, repeat=name != server.once)
    answered = run(load)
    if not load.repeat:
        del requests[: len(answered.ms) + clients]
    return answered


def quantiles(answered: Answered) -> list[float | None]:
    """Median and p99, in ms."""
    return [percentile(answered.ms, share) for share in (0.5, 0.99)]


def budgets(
    tables: Mapping[int, Mapping[str, list[float | None]]], stalls: Mapping[str, list[float | None]]
) -> list[Budget]:
    """What is promised."""
    alone_, together = (tables[clients] for clients in CLIENTS)
    asked = (
        "Four fifths of its samples are in the threads that wait for PostgreSQL (py-spy): seven "
        "round trips, of which BEGIN, a savepoint and its release are three; the floor has four."
    )
    return [
        Budget("Sync now, one client, p50 beside the INSERT and the RPUSH alone",
               ratio(alone_, ASK, BARE_ROW, 0), "x", at_most=3, obstacle=asked),
        Budget("Sync now, 50 clients, CPU beside the INSERT and the RPUSH alone",
               ratio(together, ASK, BARE_ROW, 3), "x", at_most=3,
               obstacle=asked),
        Budget("A list of messages while 50 clients ask for syncs, p99",
               stalls["Postwire"][3] or 0, "ms", at_most=100,
               obstacle="Ten threads serve all handlers (`app.py`); a list waits for one behind "
                        "the syncs; the floor's list needs no thread."),
    ]  # fmt: skip


def ratio(table: Mapping[str, list[float | None]], name: str, of: str, column: int) -> float:
    """How many times a figure of a row is that of another."""
    return (table[name][column] or 0) / (table[of][column] or 1)


if __name__ == "__main__":
    alone(measure)
