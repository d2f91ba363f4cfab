"""Every Prometheus metric of Postwire, declared once; docs/metrics.md is made of what stands here.

A process begins with a zero for each metric that is its own, so that an alert sees a first failure
rise from there. One that has nothing to do with a metric shows zero for it, or leaves it out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import product
from typing import Literal, TypeAlias, TypeVar

from prometheus_client import Counter, Gauge, Histogram

from postwire.providers import OTHER

Metric: TypeAlias = Counter | Gauge | Histogram
Process: TypeAlias = Literal["api", "sync-worker", "watcher", "gateway"]
M = TypeVar("M", bound=Metric)

#: Seconds; a push is a matter of milliseconds, a backfill one of minutes.
_FRESHNESS = (0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60, 300, 1800, 7200)
_HTTP = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
_SYNC = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

_QUEUES = ("sync", "sync.manual")
#: What a session with a mail server may end by, by the names of the errors.
_IMAP_KINDS = (
    "AddressForbidden",
    "AuthenticationFailed",
    "CapabilityMissing",
    "CertificateRejected",
    "ConnectionLost",
    "MailboxNotFound",
    "ProxyFailed",
    "ServerBusy",
    "TransientError",
    "Unservable",
)

_ALL: tuple[Process, ...] = ("api", "sync-worker", "watcher", "gateway")
_WORKER: tuple[Process, ...] = ("sync-worker",)
_WATCHER: tuple[Process, ...] = ("watcher",)
_IMAP: tuple[Process, ...] = ("sync-worker", "watcher")
_TELLING: tuple[Process, ...] = ("sync-worker", "watcher", "api")
_API: tuple[Process, ...] = ("api",)
_GATEWAY: tuple[Process, ...] = ("gateway",)


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric, the processes whose it is, and each label's values, as far as they are known."""

    metric: Metric
    processes: tuple[Process, ...]
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def begin(self) -> None:
        """Show a zero for each combination of labels that is known beforehand."""
        for values in product(*self.labels.values()) if self.labels else ():
            self.metric.labels(*values)


#: All of them, in their order.
DECLARED: list[Declared] = []


def begin(process: Process) -> None:
    """Say which process this is, and show zeros for all that may come."""
    PROCESS_INFO.labels(process=process, version=version("postwire")).set(1)
    for declared in DECLARED:
        if process in declared.processes:
            declared.begin()


def _declare(metric: M, processes: tuple[Process, ...], labels: dict[str, tuple[str, ...]]) -> M:
    DECLARED.append(Declared(metric, processes, labels))
    return metric


def _counter(
    name: str, meaning: str, processes: tuple[Process, ...], **labels: tuple[str, ...]
) -> Counter:
    return _declare(Counter(name, meaning, list(labels)), processes, labels)


def _gauge(
    name: str, meaning: str, processes: tuple[Process, ...], **labels: tuple[str, ...]
) -> Gauge:
    return _declare(Gauge(name, meaning, list(labels)), processes, labels)


def _histogram(
    name: str,
    meaning: str,
    processes: tuple[Process, ...],
    buckets: tuple[float, ...],
    **labels: tuple[str, ...],
) -> Histogram:
    return _declare(Histogram(name, meaning, list(labels), buckets=buckets), processes, labels)


PROCESS_INFO = _gauge(
    "postwire_process_info",
    "1; by `process` (`api`, `sync-worker`, `watcher`, `gateway`) what is scraped is told apart, "
    "whatever the scraper calls it.",
    _ALL,
    process=(),
    version=(),
)
READY = _gauge(
    "postwire_ready",
    "Whether what the process needs was there (1) or not (0) when /health/ready was last asked "
    "for, by the name of the check.",
    _ALL,
    check=(),
)
MESSAGES_SYNCED = _counter(
    "postwire_messages_synced",
    "Messages stored for the first time.",
    _WORKER,
    direction=("inbound", "outbound"),
)
MESSAGES_SET_ASIDE = _counter(
    "postwire_messages_set_aside",
    "Messages that could not be served or read, kept with the error.",
    _WORKER,
)
UIDVALIDITY_CHANGES = _counter(
    "postwire_uidvalidity_changes",
    "Mailboxes that the server has numbered anew; `direction` is `higher`, or `lower`, which RFC "
    "3501 forbids.",
    _WORKER,
    direction=("higher", "lower"),
)
ATTACHMENT_FETCHES = _counter(
    "postwire_attachment_fetches",
    "Attachments asked of a mail server: `kept`, `shared` (the same bytes were kept already), "
    "`gone`, `too_large`, `refused`, `transient`, `lost` (another worker took over), or, from the "
    "watcher, `given_up` (its workers died three times).",
    _IMAP,
    outcome=(
        *("kept", "shared", "gone", "too_large", "refused", "transient", "lost"),
        "given_up",
    ),
)
ATTACHMENT_BYTES = _counter(
    "postwire_attachment_bytes",
    "Bytes of attachments received from mail servers, decoded.",
    _WORKER,
)
ATTACHMENTS_SWEPT = _counter(
    "postwire_attachments_swept",
    "Stranded requests for attachments that were queued again.",
    _WATCHER,
)
CONTENTS_REMOVED = _counter(
    "postwire_contents_removed",
    "Kept contents of attachments that were removed: `unneeded` (no message has them any more) or "
    "`unfinished` (left behind by a worker that died).",
    _WATCHER,
    reason=("unneeded", "unfinished"),
)
DRIFT = _counter(
    "postwire_drift_messages",
    "Messages that an audit found not to be as on the server, and repaired: `missing` (there, and "
    "not stored), `extra` (stored, and not there), `flags` (other flags or labels) or `homeless` "
    "(stored, and lies in no mailbox); what changes while it looks does not count, so any rise is "
    "worth an alert.",
    _WORKER,
    kind=("missing", "extra", "flags", "homeless"),
)
AUDITED_MESSAGES = _counter(
    "postwire_audited_messages",
    "Stored messages that audits compared with the server.",
    _WORKER,
)
AUDITS = _counter(
    "postwire_audits",
    "Audits of an account that were `completed`, or `failed` and were put off for an hour; when an "
    "account's last one was completed is its `auditedAt` in the API.",
    _WORKER,
    outcome=("completed", "failed"),
)
SYNC_SECONDS = _histogram(
    "postwire_sync_seconds",
    "One sync of one account; `outcome` is `found` (new messages), `changed` (flags, expunged), "
    "`unchanged`, `too_early` (the server wants to be left alone still), `no_connection` (none was "
    "free), `transient`, `permanent`, `lost_race`, `account_gone` or `crashed`.",
    _WORKER,
    _SYNC,
    outcome=(
        *("found", "changed", "unchanged", "too_early", "no_connection", "transient"),
        *("permanent", "lost_race", "account_gone", "crashed"),
    ),
)
IMAP_CONNECTIONS = _gauge(
    "postwire_imap_connections",
    "Open IMAP connections, for `sync`, `attachment` or `idle`.",
    _IMAP,
    purpose=("sync", "attachment", "idle"),
)
CONNECTIONS_REFUSED = _counter(
    "postwire_connections_refused",
    "Times that no connection was free, by whose limit it was: `host` "
    "(`POSTWIRE_HOST_CONNECTIONS`) or `account`; who was refused tries again after a while.",
    _IMAP,
    scope=("host", "account"),
)
IMAP_LOGINS = _counter(
    "postwire_imap_logins",
    "Logins that succeeded; `provider` is the name of a large one that is known, or `other`.",
    _IMAP,
    provider=(OTHER,),
)
IMAP_ERRORS = _counter(
    "postwire_imap_errors",
    "IMAP failures, by the name of the error; `AddressForbidden`: a host that leads to a network "
    "that is not in `POSTWIRE_ALLOWED_NETWORKS`; `ProxyFailed`: not the server, but the proxy of "
    "`POSTWIRE_MAIL_PROXY`. `provider` as of logins.",
    _IMAP,
    provider=(OTHER,),
    kind=_IMAP_KINDS,
)
IMAP_TURNED_AWAY = _counter(
    "postwire_imap_turned_away",
    "Times a mail server asked to wait: `throttled` (also in answers that succeeded), `limit` (too "
    "many connections), `in_use`, `unavailable`; `bye`: it ended the connection in words, whether "
    "it gave one of these reasons or none. `provider` as of logins.",
    _IMAP,
    provider=(OTHER,),
    kind=("throttled", "limit", "in_use", "unavailable", "bye"),
)
OAUTH_REFRESHES = _counter(
    "postwire_oauth_refreshes",
    "Access tokens asked of OAuth providers: `refreshed`, `refused` (the user has to connect the "
    "account again), `misconfigured` (the operator has to look at `POSTWIRE_OAUTH_PROVIDERS` or "
    "`POSTWIRE_ALLOWED_NETWORKS`), `busy` or `transient`.",
    _IMAP,
    outcome=("refreshed", "refused", "misconfigured", "busy", "transient"),
)
IDLE_CONNECTIONS = _gauge("postwire_idle_connections", "Connections that wait in IDLE.", _WATCHER)
IDLE_PUSHES = _counter(
    "postwire_idle_pushes", "Times a mail server told us of a change in IDLE.", _WATCHER
)
WATCHED_ACCOUNTS = _gauge(
    "postwire_watched_accounts",
    "Accounts this watcher holds a lease on: in `idle`, or `other` (connecting, polled).",
    _WATCHER,
    mode=("idle", "other"),
)
UNWATCHED_ACCOUNTS = _gauge(
    "postwire_unwatched_accounts",
    "Accounts that no watcher holds, synced by schedule alone; above 0 for more than some rounds: "
    "add watchers, or raise `POSTWIRE_WATCH_ACCOUNTS`. Each watcher shows all of them, so take the "
    "maximum.",
    _WATCHER,
)
ACCOUNTS = _gauge(
    "postwire_accounts",
    "Accounts by `state`, counted in PostgreSQL. Each watcher shows all of them, so take the "
    "maximum.",
    _WATCHER,
    state=("connecting", "active", "paused", "auth_failed", "unreachable"),
)
LIVE_PROCESSES = _gauge(
    "postwire_live_processes",
    "Processes whose sign of life in PostgreSQL is younger than 7 s: `sync-worker` (of any queue), "
    "`watcher`, `leaving` (a watcher that hands over). Each watcher shows all of them, so take the "
    "maximum.",
    _WATCHER,
    kind=("sync-worker", "watcher", "leaving"),
)
SEALED_SECRETS = _gauge(
    "postwire_sealed_secrets",
    "Passwords and tokens kept in PostgreSQL, by the key that they are sealed with: `current`, "
    "`older` (it is set, and seals nothing any more) or `unknown` (it is not set, and what it "
    "sealed cannot be opened). Counted once a minute. Each watcher shows all of them, so take the "
    "maximum.",
    _WATCHER,
    key=("current", "older", "unknown"),
)
QUEUE_DEPTH = _gauge(
    "postwire_queue_depth",
    "Open jobs, counted in PostgreSQL; each watcher shows all of them, so take the maximum.",
    _WATCHER,
    queue=_QUEUES,
    state=("waiting", "active", "delayed"),
)
QUEUE_OLDEST = _gauge(
    "postwire_queue_oldest_job_seconds",
    "Seconds since the oldest job that waits was due; each watcher shows the same.",
    _WATCHER,
    queue=_QUEUES,
)
CLOCK_SET_BACK = _counter(
    "postwire_clock_set_back",
    "Times that PostgreSQL's clock was found set back; what waited for a time was brought nearer "
    "by as much.",
    _WATCHER,
)
JOBS_SWEPT = _counter("postwire_jobs_swept", "Stranded jobs that were queued again.", _WATCHER)
JOBS_UNTOLD = _counter(
    "postwire_jobs_untold",
    "Jobs that Redis did not take when they were asked for; swept later.",
    _API,
)
EVENTS_PUBLISHED = _counter(
    "postwire_events_published",
    "Events told on Redis.",
    _TELLING,
    type=("sync", "push", "flags", "expunged", "reset", "progress", "state", "failed"),
)
EVENTS_DROPPED = _counter(
    "postwire_events_dropped",
    "Events that were lost (`redis`: it did not take them; `backlog`: too many wait for it) or "
    "refused (`malformed`).",
    _ALL,
    reason=("redis", "backlog", "malformed"),
)
POSITIONS_FAILED = _counter(
    "postwire_positions_failed",
    "Positions of accounts that could not be `kept` beside their event, `read` for who joined (nor "
    "were asked for since Redis had just failed, or too much waited for it: `not_asked`), or "
    "`forgotten` with the account.",
    _ALL,
    reason=("kept", "read", "not_asked", "forgotten"),
)
EVENTS_RELAYED = _counter(
    "postwire_events_relayed",
    "Events sent to rooms, whether somebody is in them or nobody.",
    _GATEWAY,
    event=(
        *("email:synced", "email:new", "sync:progress", "sync:failed", "account:state"),
        "resync",
    ),
)
SOCKETS_CONNECTED = _gauge("postwire_sockets_connected", "Authenticated sockets.", _GATEWAY)
SOCKETS_REFUSED = _counter(
    "postwire_sockets_refused",
    "Connections, new tokens and joins that were refused: `no_token`, `token` (not valid), `user` "
    "(a new token of another user), `connections` (one too many of the user), `payload`, `room`.",
    _GATEWAY,
    reason=("no_token", "token", "user", "connections", "payload", "room"),
)
SOCKETS_CUT = _counter(
    "postwire_sockets_cut",
    "Connections that the gateway ended: `expired` (the token), `stopping` (the gateway), "
    "`stranger` (it never authenticated), `malformed` (it does not speak the protocol), `flood` "
    "(it said too much), `slow` (too much waits for it), `not_reading` (it took nothing for 10 s).",
    _GATEWAY,
    reason=("expired", "stopping", "stranger", "malformed", "flood", "slow", "not_reading"),
)
FRESHNESS = _histogram(
    "postwire_freshness_seconds",
    "Age of new mail: `stored` (server received → committed), `pushed` (committed → emitted), "
    "`total` (server received → emitted, for each message: what the objective is about, 99 % "
    "within 10 s; of those that one event tells of, newest and oldest are known, and the others "
    "are taken to lie evenly between).",
    ("sync-worker", "gateway"),
    _FRESHNESS,
    leg=("stored", "pushed", "total"),
)
KEY_REFRESHES = _counter(
    "postwire_key_refreshes",
    "Times the public keys of the tokens' issuer were read anew: `refreshed`, `unreachable` (no "
    "answer in time, or the file cannot be read) or `unusable` (another status than 200, too "
    "large, or no keys). Those that were had before count on; see docs/auth.md.",
    _API,
    outcome=("refreshed", "unreachable", "unusable"),
)
REQUESTS_REFUSED = _counter(
    "postwire_requests_refused",
    "Requests answered 429: a user asked too often (`requests`; `costly`, of what costs mail "
    "servers or name servers), or an address sent too many wrong tokens (`tokens`).",
    _API,
    limit=("requests", "costly", "tokens"),
)
RATES_UNCOUNTED = _counter(
    "postwire_rates_uncounted",
    "Requests that were let in uncounted, as Redis did not answer (`failed`), or was not asked "
    "since it just had not (`not_asked`).",
    _API,
    reason=("failed", "not_asked"),
)
DNS_LOOKUPS = _counter(
    "postwire_dns_lookups",
    "Questions to DNS about where an address logs in: `found`, `nothing` (there is no such name or "
    "record) or `failed` (no name server gave an answer that makes sense).",
    _API,
    outcome=("found", "nothing", "failed"),
)
HTTP_SECONDS = _histogram(
    "postwire_http_request_seconds",
    "Time until an answer of the REST API began; `route` is a pattern, never a path.",
    _API,
    _HTTP,
    method=(),
    route=(),
    status=(),
)
