"""Every Prometheus metric of Postwire, declared once.

A process that has nothing to do with one shows zero for it, or leaves it out.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

#: Seconds; a push is a matter of milliseconds, a backfill one of minutes.
_FRESHNESS = (0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60, 300, 1800, 7200)
_HTTP = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
_SYNC = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

MESSAGES_SYNCED = Counter(
    "postwire_messages_synced", "Messages stored for the first time.", ["direction"]
)
MESSAGES_SET_ASIDE = Counter(
    "postwire_messages_set_aside", "Messages that could not be served or read, kept with the error."
)
UIDVALIDITY_CHANGES = Counter(
    "postwire_uidvalidity_changes",
    "Mailboxes that the server has numbered anew, by the direction of UIDVALIDITY.",
    ["direction"],
)
DRIFT = Counter(
    "postwire_drift_messages",
    "Messages that were not as on the server, and were repaired.",
    ["kind"],
)
AUDITED_MESSAGES = Counter(
    "postwire_audited_messages", "Stored messages that were compared with the server's."
)
AUDITS = Counter(
    "postwire_audits", "Audits of an account that came to their end, or failed.", ["outcome"]
)
SYNC_SECONDS = Histogram(
    "postwire_sync_seconds", "Duration of one sync of one account.", ["outcome"], buckets=_SYNC
)
ATTACHMENT_FETCHES = Counter(
    "postwire_attachment_fetches", "Attachments asked of a mail server.", ["outcome"]
)
ATTACHMENT_BYTES = Counter(
    "postwire_attachment_bytes", "Bytes of attachments received from mail servers."
)
ATTACHMENTS_SWEPT = Counter(
    "postwire_attachments_swept", "Stranded requests for attachments that were queued again."
)
CONTENTS_REMOVED = Counter(
    "postwire_contents_removed", "Kept contents of attachments that were removed.", ["reason"]
)
HTTP_SECONDS = Histogram(
    "postwire_http_request_seconds",
    "Time until an answer of the REST API began.",
    ["method", "route", "status"],
    buckets=_HTTP,
)
KEY_REFRESHES = Counter(
    "postwire_key_refreshes", "Times the keys of the tokens' issuer were read anew.", ["outcome"]
)
REQUESTS_REFUSED = Counter(
    "postwire_requests_refused", "Requests refused since too many were made, by limit.", ["limit"]
)
RATES_UNCOUNTED = Counter(
    "postwire_rates_uncounted", "Requests let in uncounted, as Redis did not answer.", ["reason"]
)
DNS_LOOKUPS = Counter(
    "postwire_dns_lookups", "Questions to DNS about where an address logs in.", ["outcome"]
)
JOBS_UNTOLD = Counter(
    "postwire_jobs_untold", "Jobs that Redis did not take when they were asked for; swept later."
)
JOBS_SWEPT = Counter("postwire_jobs_swept", "Stranded jobs that were queued again.")
CLOCK_SET_BACK = Counter(
    "postwire_clock_set_back", "Times that PostgreSQL's clock was found set back."
)
IMAP_CONNECTIONS = Gauge(
    "postwire_imap_connections", "Open IMAP connections of this process.", ["purpose"]
)
CONNECTIONS_REFUSED = Counter(
    "postwire_connections_refused",
    "Times that no connection was free, by whose limit it was.",
    ["scope"],
)
IMAP_ERRORS = Counter("postwire_imap_errors", "IMAP failures.", ["kind"])
OAUTH_REFRESHES = Counter(
    "postwire_oauth_refreshes", "Access tokens asked of OAuth providers.", ["outcome"]
)
IMAP_TURNED_AWAY = Counter(
    "postwire_imap_turned_away", "Times a mail server asked to wait, or said good-bye.", ["kind"]
)
IDLE_CONNECTIONS = Gauge("postwire_idle_connections", "Connections that wait in IDLE.")
IDLE_PUSHES = Counter("postwire_idle_pushes", "Times a mail server told us of a change in IDLE.")
WATCHED_ACCOUNTS = Gauge(
    "postwire_watched_accounts", "Accounts this watcher holds a lease on.", ["mode"]
)
UNWATCHED_ACCOUNTS = Gauge(
    "postwire_unwatched_accounts",
    "Accounts that no watcher holds, for want of room or of watchers.",
)
QUEUE_DEPTH = Gauge("postwire_queue_depth", "Open jobs, from PostgreSQL.", ["queue", "state"])
QUEUE_OLDEST = Gauge(
    "postwire_queue_oldest_job_seconds", "Age of the oldest job that waits, in seconds.", ["queue"]
)
EVENTS_PUBLISHED = Counter("postwire_events_published", "Events told on Redis.", ["type"])
EVENTS_DROPPED = Counter("postwire_events_dropped", "Events that were lost or refused.", ["reason"])
POSITIONS_FAILED = Counter(
    "postwire_positions_failed", "Positions that were not kept, read or forgotten.", ["reason"]
)
EVENTS_RELAYED = Counter("postwire_events_relayed", "Events sent to rooms.", ["event"])
SOCKETS_CONNECTED = Gauge("postwire_sockets_connected", "Authenticated sockets.")
SOCKETS_REFUSED = Counter(
    "postwire_sockets_refused", "Connections and joins that were refused.", ["reason"]
)
SOCKETS_CUT = Counter("postwire_sockets_cut", "Connections that the gateway ended.", ["reason"])
FRESHNESS = Histogram(
    "postwire_freshness_seconds",
    "Age of new mail: from the server to the store, from there to the push, and in all.",
    ["leg"],
    buckets=_FRESHNESS,
)
