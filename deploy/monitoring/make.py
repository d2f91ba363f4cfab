"""Makes what Grafana and Kubernetes read: dashboards/*.json, and the PrometheusRule.

`make docs` runs it. Grafana's JSON is twenty lines a panel, of which these few are ours.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

#: Grafana's grid is as wide.
_WIDTH = 24
_HEIGHTS = {"stat": 5, "timeseries": 8, "table": 8, "text": 5}
_TYPES = {
    "prometheus": ("Prometheus", "prometheus"),
    "postgres": ("PostgreSQL", "grafana-postgresql-datasource"),
}


@dataclass(frozen=True)
class Panel:
    """One panel: its title says what is good, `help` what to do when it is not.

    `queries` are expressions by their legend; `limit` is where good ends (`below` it: good), and
    is drawn.
    """

    kind: str
    title: str
    help: str
    queries: dict[str, str]
    unit: str = "short"
    width: int = 8
    limit: float | None = None
    below: bool = True


@dataclass(frozen=True)
class Dashboard:
    """One dashboard; each has the same variables, and links to the others."""

    name: str
    title: str
    help: str
    panels: list[Panel]
    source: str = "prometheus"


def stat(title: str, help_: str, query: str, unit: str = "short", **more: Any) -> Panel:
    """A number, as it is now."""
    return Panel("stat", title, help_, {"": query}, unit, width=6, **more)


def stats(title: str, help_: str, query: str, legend: str, unit: str = "short") -> Panel:
    """Some numbers."""
    return Panel("stat", title, help_, {legend: query}, unit, width=6)


def table(title: str, help_: str, query: str, width: int = _WIDTH) -> Panel:
    """Rows of PostgreSQL."""
    return Panel("table", title, help_, {"": query}, "string", width)


def graph(title: str, help_: str, unit: str, limit: float | None = None, **queries: str) -> Panel:
    """Lines over time; `by_kind=` and its like are drawn by label, any other name is the legend."""
    legends = {"by_" + label: f"{{{{{label}}}}}" for label in _LABELS}
    return Panel(
        "timeseries",
        title,
        help_,
        {legends.get(name, name.replace("_", " ")): query for name, query in queries.items()},
        unit,
        limit=limit,
    )


def wide(panel: Panel) -> Panel:
    """The panel, half as wide as the page."""
    return replace(panel, width=_WIDTH // 2)


_LABELS = (
    *("provider", "kind", "outcome", "state", "queue", "process", "purpose", "instance", "leg"),
    *("reason", "type", "event", "route", "mode", "scope", "key", "check", "direction"),
)


def rate(metric: str, by: str, match: str = "") -> str:
    """How often a second, by a label."""
    return f"sum by ({by}) (rate({metric}{{{match}}}[$__rate_interval]))"


def quantile(q: float, metric: str, by: str = "", match: str = "") -> str:
    """The value that so many of a histogram's observations are below."""
    labels = f"le, {by}" if by else "le"
    return (
        f"histogram_quantile({q}, sum by ({labels}) "
        f"(rate({metric}_bucket{{{match}}}[$__rate_interval])))"
    )


def of_process(expression: str) -> str:
    """What each process shows, by the name it gives itself."""
    return (
        f"{expression} * on (namespace, instance) group_left (process) "
        "group by (namespace, instance, process) (postwire_process_info)"
    )


_LATE = 'postwire_freshness_seconds_bucket{leg="total",le="10.0"}[30d]'
_TOLD = 'postwire_freshness_seconds_count{leg="total"}[30d]'
_IN_TIME = f"sum(increase({_LATE})) / (sum(increase({_TOLD})) > 0)"

OVERVIEW = Dashboard(
    "overview",
    "Postwire: overview",
    "Is new mail told in time, and if not, where to look.",
    [
        stat(
            "Mail told within 10 s: 99 % or more in 30 days",
            "The objective, from when the mail server received a message to when browsers were "
            "told. Below it: docs/runbooks/mail-late.md.",
            _IN_TIME,
            "percentunit",
            limit=0.99,
            below=False,
        ),
        stat(
            "Error budget left of 30 days: above 0",
            "1 % of the mail of 30 days may be late. Spent: let releases wait, and mend what made "
            "mail late.",
            f"1 - (1 - {_IN_TIME}) / 0.01",
            "percentunit",
            limit=0.0,
            below=False,
        ),
        stat(
            "Alerts that fire: none",
            "Each alert names its runbook; Prometheus lists them under /alerts.",
            'count(ALERTS{alertname=~"Postwire.+",alertstate="firing"}) or vector(0)',
            limit=1,
        ),
        stats(
            "Processes scraped: none of the four missing",
            "By the name each gives itself. One that is missing: docs/runbooks/not-scraped.md.",
            "count by (process) (postwire_process_info)",
            "{{process}}",
        ),
        wide(
            graph(
                "Budget burnt: below 1 lasts 30 days",
                "How many times too fast the budget is spent, over four windows. Above 14.4 in 1 h "
                "and 5 m somebody is woken, above 6 in 6 h and 30 m there is a ticket. "
                "docs/runbooks/mail-late.md",
                "short",
                14.4,
                over_5_m="max(postwire:mail_late:ratio_rate5m) / 0.01",
                over_30_m="max(postwire:mail_late:ratio_rate30m) / 0.01",
                over_1_h="max(postwire:mail_late:ratio_rate1h) / 0.01",
                over_6_h="max(postwire:mail_late:ratio_rate6h) / 0.01",
            )
        ),
        wide(
            graph(
                "Age of new mail when it is told: p99 below 10 s",
                "From the server's INTERNALDATE, which has whole seconds: up to 1 s too much. If "
                "it rises, the next panel says where.",
                "s",
                10,
                p50=quantile(0.5, "postwire_freshness_seconds", match='leg="total"'),
                p90=quantile(0.9, "postwire_freshness_seconds", match='leg="total"'),
                p99=quantile(0.99, "postwire_freshness_seconds", match='leg="total"'),
            )
        ),
        graph(
            "Where the time goes: p95, stored below 5 s, pushed below 0.25 s",
            "Stored is high: jobs wait, or servers are slow (queue, IMAP). Pushed is high: Redis "
            "or the gateway (gateway).",
            "s",
            by_leg=quantile(0.95, "postwire_freshness_seconds", "leg", 'leg!="total"'),
        ),
        graph(
            "Accounts: nearly all active",
            "auth_failed waits for its user, unreachable for its server. Many at once: "
            "docs/runbooks/logins-refused.md.",
            "short",
            by_state="max by (state) (postwire_accounts)",
        ),
        graph(
            "Oldest waiting job: below 60 s for people",
            "How long jobs have been due. docs/runbooks/jobs-wait.md",
            "s",
            60,
            by_queue="max by (queue) (postwire_queue_oldest_job_seconds)",
        ),
        graph(
            "Messages stored: follows the day",
            "Falls to nothing while people write: look at processes, jobs and IMAP errors.",
            "ops",
            by_direction=rate("postwire_messages_synced_total", "direction"),
        ),
        graph(
            "IMAP errors: few, and of no one provider",
            "A provider that fails for everyone shows here first; see the dashboard IMAP.",
            "ops",
            by_provider=rate("postwire_imap_errors_total", "provider"),
        ),
        graph(
            "Answers of the API: no 5xx",
            "By status. 5xx: docs/runbooks/api-fails.md.",
            "reqps",
            **{"{{status}}": rate("postwire_http_request_seconds_count", "status")},
        ),
    ],
)

QUEUE = Dashboard(
    "queue",
    "Postwire: queue and jobs",
    "Do jobs begin in time, how do they end, and what do audits find.",
    [
        graph(
            "Open jobs: waiting near 0",
            "By queue and state, counted in PostgreSQL. Waiting only grows: more sync-workers.",
            "short",
            **{"{{queue}} {{state}}": "max by (queue, state) (postwire_queue_depth)"},
        ),
        graph(
            "Oldest waiting job: people below 60 s, the machine below 120 s",
            "docs/runbooks/jobs-wait.md",
            "s",
            60,
            by_queue="max by (queue) (postwire_queue_oldest_job_seconds)",
        ),
        graph(
            "Syncs by outcome: unchanged and found, few others",
            "transient and permanent are mail servers' doing, crashed is ours: "
            "docs/runbooks/syncs-crash.md. lost_race costs a batch, and nothing else.",
            "ops",
            by_outcome=rate("postwire_sync_seconds_count", "outcome"),
        ),
        graph(
            "Duration of a sync: p95 of unchanged below 2 s",
            "A sync that finds nothing is one command; slow ones are slow servers.",
            "s",
            2,
            by_outcome=quantile(
                0.95, "postwire_sync_seconds", "outcome", 'outcome=~"unchanged|changed|found"'
            ),
        ),
        graph(
            "Jobs lost and found again: near 0",
            "Swept ones lost their worker, or their message in Redis. Steadily above 0: do workers "
            "die (memory)? Is Redis away?",
            "ops",
            swept="sum(rate(postwire_jobs_swept_total[$__rate_interval]))",
            untold="sum(rate(postwire_jobs_untold_total[$__rate_interval]))",
            attachments_swept="sum(rate(postwire_attachments_swept_total[$__rate_interval]))",
        ),
        graph(
            "Sync-workers alive: as many as there should be",
            "By their signs of life in PostgreSQL. None: docs/runbooks/no-workers.md.",
            "short",
            by_kind="max by (kind) (postwire_live_processes)",
        ),
        graph(
            "Messages set aside: 0",
            "What a server could not serve, or we could not read; each is tried again daily. Rows "
            "in set_aside have the error.",
            "ops",
            set_aside="sum(rate(postwire_messages_set_aside_total[$__rate_interval]))",
        ),
        graph(
            "Drift found by audits: 0",
            "Each one is a mistake, of ours or a server's, that was found and repaired: "
            "docs/runbooks/drift.md.",
            "short",
            by_kind="sum by (kind) (increase(postwire_drift_messages_total[1h]))",
        ),
        graph(
            "Audits: completed, none failed",
            "A failed one is put off for an hour.",
            "ops",
            by_outcome=rate("postwire_audits_total", "outcome"),
        ),
        graph(
            "Attachments asked of servers: kept or shared",
            "refused and transient are the servers' doing; given_up means that workers died of it.",
            "ops",
            by_outcome=rate("postwire_attachment_fetches_total", "outcome"),
        ),
        graph(
            "Memory of sync-workers: flat",
            "What grows without end is a leak; at its limit Kubernetes ends the process, and its "
            "jobs are swept.",
            "bytes",
            by_instance=of_process("process_resident_memory_bytes")
            + ' and on (namespace, instance) postwire_process_info{process="sync-worker"}',
        ),
        graph(
            "PostgreSQL's clock set back: never",
            "Its host's clock is not kept (NTP). Postwire copes; other things may not.",
            "short",
            set_back="sum(increase(postwire_clock_set_back_total[1h]))",
        ),
    ],
)

IMAP = Dashboard(
    "imap",
    "Postwire: IMAP by provider and error",
    "Which mail servers refuse, slow down or break off, and what is asked of them.",
    [
        graph(
            "Logins by provider: follows the number of accounts",
            "Those that succeeded. Falls for one provider alone: it is away, or refuses us.",
            "ops",
            by_provider=rate("postwire_imap_logins_total", "provider"),
        ),
        graph(
            "Errors by provider: few",
            "One provider alone: look at its status page before at ours.",
            "ops",
            by_provider=rate("postwire_imap_errors_total", "provider"),
        ),
        graph(
            "Errors by kind: few",
            "AuthenticationFailed: docs/runbooks/logins-refused.md. ServerBusy: throttled.md. "
            "AddressForbidden: POSTWIRE_ALLOWED_NETWORKS. CertificateRejected: "
            "POSTWIRE_IMAP_CA_FILE. ProxyFailed: POSTWIRE_MAIL_PROXY.",
            "ops",
            by_kind=rate("postwire_imap_errors_total", "kind"),
        ),
        graph(
            "Failures for each login: below 0.1",
            "Errors divided by logins that succeeded, by provider: small providers are seen too.",
            "short",
            0.1,
            by_provider="sum by (provider) (increase(postwire_imap_errors_total[15m])) / "
            "(sum by (provider) (increase(postwire_imap_logins_total[15m])) > 0)",
        ),
        graph(
            "Logins refused in 15 minutes: below 10 a provider",
            "Each account stops until its user enters something: docs/runbooks/logins-refused.md.",
            "short",
            10,
            by_provider="sum by (provider) "
            '(increase(postwire_imap_errors_total{kind="AuthenticationFailed"}[15m]))',
        ),
        graph(
            "Asked to wait: near 0",
            "throttled and limit: fewer connections, or a longer schedule: "
            "docs/runbooks/throttled.md. bye: the server ended the connection in words.",
            "ops",
            **{
                "{{provider}} {{kind}}": rate("postwire_imap_turned_away_total", "provider, kind"),
            },
        ),
        graph(
            "Open connections: idle as many as accounts",
            "By what they are for.",
            "short",
            by_purpose="sum by (purpose) (postwire_imap_connections)",
        ),
        graph(
            "No connection free: near 0",
            "By whose limit: host is POSTWIRE_HOST_CONNECTIONS, account what a provider allows. "
            "Who finds none waits, and has not failed.",
            "ops",
            by_scope=rate("postwire_connections_refused_total", "scope"),
        ),
        graph(
            "Access tokens: refreshed",
            "refused: the user has to connect the account again. misconfigured: look at "
            "POSTWIRE_OAUTH_PROVIDERS (docs/oauth.md).",
            "ops",
            by_outcome=rate("postwire_oauth_refreshes_total", "outcome"),
        ),
        graph(
            "Told by servers in IDLE: follows the day",
            "Falls to nothing while connections are open: servers do not say what they should, and "
            "mail comes by schedule.",
            "ops",
            pushes="sum(rate(postwire_idle_pushes_total[$__rate_interval]))",
        ),
        graph(
            "Mailboxes numbered anew: 0",
            "higher happens when a server was restored; lower is forbidden (RFC 3501). Many at "
            "once: a provider has moved its users.",
            "short",
            by_direction="sum by (direction) (increase(postwire_uidvalidity_changes_total[1h]))",
        ),
        graph(
            "Bytes of attachments: within what providers allow a day",
            "From mail servers; Gmail allows an account 2,500 MB a day.",
            "Bps",
            received="sum(rate(postwire_attachment_bytes_total[$__rate_interval]))",
        ),
    ],
)

WATCHERS = Dashboard(
    "watchers",
    "Postwire: watchers and leases",
    "Is each account watched, by whom, and does the share come out even.",
    [
        stat(
            "Accounts without a watcher: 0",
            "docs/runbooks/watching.md",
            "max(postwire_unwatched_accounts)",
            limit=1,
        ),
        stat(
            "Share of accounts in IDLE: above 95 %",
            "The others are polled: their servers have no IDLE, no connection is free, or they are "
            "unreachable.",
            'sum(postwire_watched_accounts{mode="idle"}) / (sum(postwire_watched_accounts) > 0)',
            "percentunit",
            limit=0.95,
            below=False,
        ),
        stat(
            "Watchers alive: two or more",
            "By their signs of life in PostgreSQL. One is enough, and two are there when it dies.",
            'max(postwire_live_processes{kind="watcher"})',
            limit=2,
            below=False,
        ),
        stats(
            "Secrets by key: current alone",
            "older: finish the change of the key. unknown: set that key again. "
            "docs/runbooks/keys.md",
            "max by (key) (postwire_sealed_secrets)",
            "{{key}}",
        ),
        wide(
            graph(
                "Accounts of each watcher: as many as the others'",
                "Leases held. One that has far fewer for long does not get on: its log says why.",
                "short",
                by_instance="sum by (instance) (postwire_watched_accounts)",
            )
        ),
        wide(
            graph(
                "Watched how: in IDLE",
                "other: connecting, or polled.",
                "short",
                by_mode="sum by (mode) (postwire_watched_accounts)",
            )
        ),
        graph(
            "Accounts without a watcher: back at 0 within a minute",
            "Rises for some seconds when a watcher dies.",
            "short",
            unwatched="max(postwire_unwatched_accounts)",
        ),
        graph(
            "Watchers alive and handing over: handing over lasts 6 s",
            "leaving: one that was told to end, and watches on until others have its accounts.",
            "short",
            by_kind='max by (kind) (postwire_live_processes{kind=~"watcher|leaving"})',
        ),
        graph(
            "IDLE connections of each watcher: steady",
            "Drops of many at once: the network, or a large server.",
            "short",
            by_instance="sum by (instance) (postwire_idle_connections) and on (instance) "
            'postwire_process_info{process="watcher"}',
        ),
        graph(
            "CPU of watchers: below half a core",
            "2,000 accounts in IDLE cost some hundredths of a core when nothing happens.",
            "percentunit",
            0.5,
            by_instance=of_process("rate(process_cpu_seconds_total[$__rate_interval])")
            + ' and on (namespace, instance) postwire_process_info{process="watcher"}',
        ),
        graph(
            "Memory of watchers: flat",
            "About 93 MB, and 38 MB for each 1,000 accounts.",
            "bytes",
            by_instance=of_process("process_resident_memory_bytes")
            + ' and on (namespace, instance) postwire_process_info{process="watcher"}',
        ),
        graph(
            "Contents removed: now and then",
            "Attachments that no message has any more; unfinished ones were left by a worker that "
            "died.",
            "short",
            by_reason="sum by (reason) (increase(postwire_contents_removed_total[1h]))",
        ),
    ],
)

GATEWAY = Dashboard(
    "gateway",
    "Postwire: gateway and API",
    "Do browsers hear of changes, and does the API answer.",
    [
        graph(
            "Browsers connected: evenly over the gateways",
            "Authenticated sockets. All gone from one: it was restarted, or hears nothing.",
            "short",
            by_instance="sum by (instance) (postwire_sockets_connected) and on (instance) "
            'postwire_process_info{process="gateway"}',
        ),
        graph(
            "Events told on Redis: follows the mail",
            "By type, from workers, watchers and API.",
            "ops",
            by_type=rate("postwire_events_published_total", "type"),
        ),
        graph(
            "Events relayed by each gateway: the same for all",
            "One that relays none while others do is deaf: docs/runbooks/gateway-deaf.md.",
            "ops",
            by_instance=rate("postwire_events_relayed_total", "instance", 'event!="resync"'),
        ),
        graph(
            "From commit to browser: p99 below 0.25 s",
            "Redis and the gateway alone.",
            "s",
            0.25,
            p50=quantile(0.5, "postwire_freshness_seconds", match='leg="pushed"'),
            p99=quantile(0.99, "postwire_freshness_seconds", match='leg="pushed"'),
        ),
        graph(
            "Told to look again: 0",
            "resync goes to every browser after a gateway lost Redis.",
            "ops",
            resync='sum(rate(postwire_events_relayed_total{event="resync"}[$__rate_interval]))',
        ),
        graph(
            "Events and positions lost: 0",
            "docs/runbooks/events-lost.md",
            "ops",
            **{
                "event {{reason}}": rate("postwire_events_dropped_total", "reason"),
                "position {{reason}}": rate("postwire_positions_failed_total", "reason"),
            },
        ),
        graph(
            "Connections and joins refused: few",
            "token in number: the clocks, or POSTWIRE_REALTIME_SECRET differs between API and "
            "gateway. connections: a page that opens sockets without end.",
            "ops",
            by_reason=rate("postwire_sockets_refused_total", "reason"),
        ),
        graph(
            "Connections cut: expired and stopping alone",
            "slow, not_reading: browsers behind a bad network. flood, malformed: no client "
            "of ours.",
            "ops",
            by_reason=rate("postwire_sockets_cut_total", "reason"),
        ),
        graph(
            "Ready: 1",
            "By what was looked at when /health/ready was last asked for. "
            "docs/runbooks/not-ready.md",
            "short",
            **{
                "{{process}} {{check}}": "min by (process, check) ("
                + of_process("postwire_ready")
                + ")"
            },
        ),
        graph(
            "Answers of the API, by route: p95 below 0.5 s",
            "A route that is slow alone: its query. All slow: PostgreSQL.",
            "s",
            0.5,
            by_route=quantile(0.95, "postwire_http_request_seconds", "route"),
        ),
        graph(
            "Failed answers of the API: none",
            "5xx by route: docs/runbooks/api-fails.md. Zero where there are none.",
            "reqps",
            **{
                "{{route}}": rate("postwire_http_request_seconds_count", "route", 'status=~"5.."')
                + ' or label_replace(vector(0), "route", "any", "", "")'
            },
        ),
        graph(
            "Memory of gateways and API: flat",
            "A gateway needs some 35 KB a browser.",
            "bytes",
            **{
                "{{process}} {{instance}}": of_process("process_resident_memory_bytes")
                + ' and on (namespace, instance) postwire_process_info{process=~"api|gateway"}'
            },
        ),
    ],
)

#: An account is no label of any metric, for there is no end of them: its story is in PostgreSQL.
_ONE = "(SELECT id FROM account WHERE ${account:sqlstring} IN (id::text, address, lower(address)))"

ACCOUNT = Dashboard(
    "account",
    "Postwire: one account's story",
    "What PostgreSQL knows of one account, read by a role that sees no mail and no password "
    "(deploy/monitoring/grafana/reader.sql). Enter an account's id, or its address.",
    [
        table(
            "The account: active, without a reason",
            "state_reason is what its user is told. auth_failed waits for its user; unreachable is "
            "tried again at next_sync_at; until busy_until its server wants to be left alone.",
            "SELECT id, host, state, state_reason, state_since, failures, last_synced_at, "
            "next_sync_at, busy_until, audited_at, epoch, revision FROM account "
            f"WHERE id IN {_ONE}",
        ),
        table(
            "Watched: by a watcher that is alive",
            "No row, or alive = false: it is synced by schedule alone; see the dashboard watchers.",
            "SELECT lease.holder, since, fence, watched, live_process.holder IS NOT NULL AS alive "
            f"FROM lease LEFT JOIN live_process USING (holder) WHERE account_id IN {_ONE}",
            width=12,
        ),
        table(
            "Open connections: one for idle, and some while it syncs",
            "What all processes have open to its server. None for idle: its server has no IDLE, or "
            "no connection is free; it is polled.",
            "SELECT purpose, holder, opened_at FROM imap_connection "
            f"WHERE account_id IN {_ONE} ORDER BY opened_at",
            width=12,
        ),
        table(
            "Last jobs: completed",
            "error is in words; run_at is when it is next due. Syncs by the clock that found "
            "nothing leave no row.",
            "SELECT created_at, reason, queue, state, attempts, run_at, finished_at, found, error "
            f"FROM job WHERE account_id IN {_ONE} ORDER BY created_at DESC LIMIT 50",
        ),
        table(
            "Mailboxes: without a problem",
            "backfill_uid = 0: all of the window is stored. problem: left alone for a day.",
            "SELECT name, special_use, uidvalidity, uidnext, backfill_uid, highestmodseq, "
            f"messages, checked_at, problem FROM mailbox WHERE account_id IN {_ONE} ORDER BY name",
        ),
        table(
            "Messages set aside: none",
            "What its server could not serve, or we could not read; tried again at retry_at.",
            "SELECT mailbox.name, set_aside.uid, set_aside.error, attempts, at, retry_at "
            "FROM set_aside JOIN mailbox ON mailbox.id = mailbox_id "
            f"WHERE account_id IN {_ONE} ORDER BY at DESC LIMIT 50",
        ),
    ],
    source="postgres",
)

DASHBOARDS = (OVERVIEW, QUEUE, IMAP, WATCHERS, GATEWAY, ACCOUNT)


def scoped(expression: str) -> str:
    """The expression, of the namespaces that were chosen alone."""
    return re.sub(
        r"\b((?:postwire|process)[_:][a-z0-9_:]+|ALERTS)\b(?:\{([^}]*)\})?", _scoped, expression
    )


def _scoped(match: re.Match[str]) -> str:
    labels = ",".join(filter(None, (match[2], 'namespace=~"$namespace"')))
    return f"{match[1]}{{{labels}}}"


def _target(dashboard: Dashboard, number: int, legend: str, query: str) -> dict[str, Any]:
    name = {"refId": chr(ord("A") + number), "datasource": _datasource(dashboard)}
    if dashboard.source == "postgres":
        return {**name, "rawSql": query, "format": "table", "rawQuery": True}
    return {**name, "expr": scoped(query), "legendFormat": legend or "__auto"}


def _datasource(dashboard: Dashboard) -> dict[str, str]:
    return {"type": _TYPES[dashboard.source][1], "uid": "${datasource}"}


def _panel(dashboard: Dashboard, number: int, panel: Panel, x: int, y: int) -> dict[str, Any]:
    targets = [
        _target(dashboard, at, legend, query)
        for at, (legend, query) in enumerate(panel.queries.items())
    ]
    if panel.kind == "stat":
        targets = [target | {"instant": True} for target in targets]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": _datasource(dashboard),
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": _HEIGHTS[panel.kind]},
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _options(panel),
        "targets": targets,
    }


def _field(panel: Panel) -> dict[str, Any]:
    if panel.kind == "table":
        return {"unit": panel.unit}
    good, bad = ("green", "red") if panel.below else ("red", "green")
    steps: list[dict[str, Any]] = [{"color": good if panel.limit is not None else "green"}]
    steps[0]["value"] = None
    if panel.limit is not None:
        steps.append({"color": bad, "value": panel.limit})
    field = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "timeseries":
        lines = {"thresholdsStyle": {"mode": "dashed" if panel.limit is not None else "off"}}
        return field | {"color": {"mode": "palette-classic"}, "custom": lines}
    return {name: value for name, value in field.items() if name != "min"}


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value"}
    if panel.kind == "timeseries":
        return {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi"},
        }
    return {}


def _placed(panels: list[Panel]) -> Iterator[tuple[Panel, int, int]]:
    """Each panel with its place: from left to right, and where no room is left, the next line."""
    x = y = height = 0
    for panel in panels:
        if x + panel.width > _WIDTH:
            x, y = 0, y + height
        height = _HEIGHTS[panel.kind]
        yield panel, x, y
        x += panel.width


def _variables(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    label, kind = _TYPES[dashboard.source]
    yield {"name": "datasource", "label": label, "type": "datasource", "query": kind}
    if dashboard.source == "postgres":
        yield {"name": "account", "label": "Account (id or address)", "type": "textbox"}
        return
    yield {
        "name": "namespace",
        "label": "Namespace",
        "type": "query",
        "datasource": _datasource(dashboard),
        "query": "label_values(postwire_process_info, namespace)",
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        # Also where nothing has such a label.
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard_json(dashboard: Dashboard) -> str:
    """The dashboard as Grafana reads it; its uid makes its address, and the links to it, last."""
    made = {
        "uid": f"postwire-{dashboard.name}",
        "title": dashboard.title,
        "description": dashboard.help,
        "tags": ["postwire"],
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "links": [
            {"type": "dashboards", "tags": ["postwire"], "title": "Postwire", "asDropdown": True}
        ],
        "templating": {"list": list(_variables(dashboard))},
        "panels": [
            _panel(dashboard, number, panel, x, y)
            for number, (panel, x, y) in enumerate(_placed(dashboard.panels), 1)
        ],
    }
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def prometheus_rule(rules: str) -> str:
    """The same rules as the Prometheus operator's resource: they are what its `spec` holds."""
    head = """\
# Made by `make docs` of rules/postwire.yaml.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: postwire
  labels: {app.kubernetes.io/part-of: postwire}
spec:
"""
    return head + re.sub(r"(?m)^(?=.)", "  ", rules)


def main(folder: Path) -> None:
    """Write everything into the folder."""
    (folder / "dashboards").mkdir(exist_ok=True)
    for dashboard in DASHBOARDS:
        path = folder / "dashboards" / f"{dashboard.name}.json"
        path.write_text(dashboard_json(dashboard))
    rules = (HERE / "rules/postwire.yaml").read_text()
    (folder / "prometheusrule.yaml").write_text(prometheus_rule(rules))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
