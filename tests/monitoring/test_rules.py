"""The alerts: each fires when it should, and keeps quiet when it should; each has its runbook."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.prometheus import MONITORING, RULES, RUNBOOKS

ALERTS = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}

TOLD = 'postwire_freshness_seconds_count{leg="total"}'
IN_TIME = 'postwire_freshness_seconds_bucket{leg="total",le="10.0"}'


@dataclass(frozen=True)
class Case:
    """Series by their names, a value a minute in promtool's notation, and what is looked at."""

    series: Mapping[str, str]
    #: Names of the alerts that fire after so many minutes; no others do but `PostwireNotScraped`.
    firing: set[str] = field(default_factory=set)
    minutes: int = 30


def processes(*names: str) -> dict[str, str]:
    """What processes say of themselves."""
    return {
        f'postwire_process_info{{process="{name}",instance="{name}"}}': "1x600" for name in names
    }


def ready(*values: tuple[str, int]) -> dict[str, str]:
    """Gateways, each with what it says of its readiness."""
    series = processes("api", "sync-worker", "watcher")
    for instance, value in values:
        labels = f'instance="{instance}"'
        series[f'postwire_process_info{{process="gateway",{labels}}}'] = "1x600"
        series[f'postwire_ready{{check="relay",{labels}}}'] = f"{value}x600"
    return series


def gauge(name: str, value: float, **labels: str) -> dict[str, str]:
    """A series that stands still."""
    inner = ",".join(f'{label}="{one}"' for label, one in labels.items())
    return {f"{name}{{{inner}}}": f"{value}x600"}


def rising(name: str, by: float, **labels: str) -> dict[str, str]:
    """A counter that rises by so much a minute."""
    inner = ",".join(f'{label}="{one}"' for label, one in labels.items())
    return {f"{name}{{{inner}}}": f"0+{by}x600"}


def jump(name: str, by: float, **labels: str) -> dict[str, str]:
    """A counter that rises once, after 20 minutes."""
    inner = ",".join(f'{label}="{one}"' for label, one in labels.items())
    return {f"{name}{{{inner}}}": f"0x20 {by}x600"}


WATCHED = "postwire_watched_accounts"
OLDEST = "postwire_queue_oldest_job_seconds"
PUBLISHED = "postwire_events_published_total"
RELAYED = "postwire_events_relayed_total"
ERRORS = "postwire_imap_errors_total"
AWAY = "postwire_imap_turned_away_total"
REFRESHES = "postwire_key_refreshes_total"
HTTP = "postwire_http_request_seconds_count"

CASES = {
    "all mail in time": Case({TOLD: "0+60x600", IN_TIME: "0+60x600"}, minutes=420),
    "half of the mail late for an hour": Case(
        {TOLD: "0+60x600", IN_TIME: "0+30x600"},
        {"PostwireMailLate", "PostwireMailLateSlowly"},
        minutes=20,
    ),
    "it was late, and no longer is": Case(
        {TOLD: "0+60x600", IN_TIME: "0+30x59 1800+60x600"}, minutes=100
    ),
    "of a few messages all were late": Case({TOLD: "0+0.1x600", IN_TIME: "0x600"}, minutes=20),
    "a tenth late for hours": Case(
        {TOLD: "0+60x600", IN_TIME: "0+54x600"}, {"PostwireMailLateSlowly"}, minutes=400
    ),
    "one in a hundred late for hours": Case({TOLD: "0+100x600", IN_TIME: "0+99x600"}, minutes=400),
    "no mail at all": Case({TOLD: "0x600", IN_TIME: "0x600"}, minutes=400),
    "all processes": Case(processes("api", "gateway", "sync-worker", "watcher")),
    "no watcher": Case(processes("api", "gateway", "sync-worker"), {"PostwireNotScraped"}),
    "nothing": Case(gauge("up", 0, job="another"), {"PostwireNotScraped"}),
    "a process that was away for a moment": Case(
        processes("api", "gateway", "sync-worker")
        | {'postwire_process_info{process="watcher",instance="w"}': "1x20 _x2 1x600"},
        minutes=23,
    ),
    "one of two gateways not ready": Case(ready(("a", 0), ("b", 1)), {"PostwireNotReady"}),
    "no gateway ready": Case(
        ready(("a", 0), ("b", 0)), {"PostwireNotReady", "PostwireNobodyReady"}
    ),
    "all ready": Case(ready(("a", 1), ("b", 1))),
    "no worker": Case(
        gauge("postwire_live_processes", 0, kind="sync-worker"), {"PostwireNoWorkers"}
    ),
    "a worker": Case(gauge("postwire_live_processes", 1, kind="sync-worker")),
    "a person waits": Case(gauge(OLDEST, 90, queue="sync.manual"), {"PostwirePeopleWait"}),
    "nobody waits long": Case(
        gauge(OLDEST, 50, queue="sync.manual") | gauge(OLDEST, 110, queue="sync")
    ),
    "the machine waits": Case(gauge(OLDEST, 130, queue="sync"), {"PostwireJobsWait"}),
    "a sync crashed": Case(
        jump("postwire_sync_seconds_count", 1, outcome="crashed"), {"PostwireSyncsCrash"}
    ),
    "a sync crashed an hour ago": Case(
        jump("postwire_sync_seconds_count", 1, outcome="crashed"), minutes=90
    ),
    "other syncs": Case(rising("postwire_sync_seconds_count", 9, outcome="transient")),
    "drift": Case(jump("postwire_drift_messages_total", 1, kind="missing"), {"PostwireDrift"}),
    "no drift": Case(rising("postwire_drift_messages_total", 0, kind="missing")),
    "many logins refused": Case(
        rising(ERRORS, 2, provider="Gmail", kind="AuthenticationFailed"), {"PostwireLoginsRefused"}
    ),
    "some logins refused": Case(
        rising(ERRORS, 0.5, provider="Gmail", kind="AuthenticationFailed")
        | rising(ERRORS, 9, provider="Gmail", kind="ConnectionLost")
    ),
    "throttled": Case(
        rising(AWAY, 1, provider="Outlook", kind="throttled"), {"PostwireThrottled"}, minutes=40
    ),
    "good-byes": Case(rising(AWAY, 1, provider="Outlook", kind="bye"), minutes=40),
    "unwatched": Case(gauge("postwire_unwatched_accounts", 1), {"PostwireUnwatched"}),
    "watched": Case(gauge("postwire_unwatched_accounts", 0)),
    "uneven": Case(
        gauge(WATCHED, 100, mode="idle", instance="a") | gauge(WATCHED, 10, instance="b"),
        {"PostwireWatchersUneven"},
    ),
    "even": Case(gauge(WATCHED, 100, mode="idle", instance="a") | gauge(WATCHED, 95, instance="b")),
    "a deaf gateway": Case(
        rising(PUBLISHED, 3, type="push")
        | rising(RELAYED, 3, event="email:synced", instance="a")
        | rising(RELAYED, 0, event="email:synced", instance="b")
        | rising(RELAYED, 3, event="resync", instance="b"),
        {"PostwireGatewayDeaf"},
    ),
    "gateways that hear": Case(
        rising(PUBLISHED, 3, type="push") | rising(RELAYED, 3, event="email:new", instance="a")
    ),
    "nothing to hear": Case(
        rising(PUBLISHED, 0, type="push") | rising(RELAYED, 0, event="email:new", instance="a")
    ),
    "events lost": Case(
        rising("postwire_events_dropped_total", 1, reason="redis"), {"PostwireEventsLost"}
    ),
    "no event lost": Case(rising("postwire_events_dropped_total", 0, reason="redis")),
    "a failing API": Case(
        rising(HTTP, 90, status="200") | rising(HTTP, 10, status="503"), {"PostwireApiFails"}
    ),
    "an API with wrong questions": Case(
        rising(HTTP, 90, status="404") | rising(HTTP, 1, status="503")
    ),
    "an issuer that does not answer": Case(
        rising(REFRESHES, 0.2, outcome="unreachable") | rising(REFRESHES, 0, outcome="refreshed"),
        {"PostwireIssuerKeys"},
    ),
    "an issuer that answers at times": Case(
        rising(REFRESHES, 0.2, outcome="unreachable") | rising(REFRESHES, 0.2, outcome="refreshed")
    ),
    "a key is missing": Case(
        gauge("postwire_sealed_secrets", 3, key="unknown"), {"PostwireKeyMissing"}
    ),
    "a key is being changed": Case(gauge("postwire_sealed_secrets", 3, key="older")),
    "a change of the key was left": Case(
        gauge("postwire_sealed_secrets", 3, key="older"), {"PostwireOldKeys"}, minutes=370
    ),
    "one key": Case(
        gauge("postwire_sealed_secrets", 0, key="older")
        | gauge("postwire_sealed_secrets", 0, key="unknown")
        | gauge("postwire_sealed_secrets", 9, key="current")
    ),
}


def promtool_file(case: Case) -> dict[str, Any]:
    """The case as promtool reads it; what fires is asked for by a query."""
    ours = case.firing | ({"PostwireNotScraped"} if "process_info" in str(case.series) else set())
    # Where a case is about something else, no process is scraped.
    but = "" if "PostwireNotScraped" in ours else "PostwireNotScraped"
    firing = f'ALERTS{{alertstate="firing",alertname!="{but}"}}'
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    expected = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(case.firing)]
    asked = {"expr": f"group by (alertname) ({firing})", "eval_time": f"{case.minutes}m"}
    test = {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [asked | {"exp_samples": expected}],
    }
    return {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_finds_nothing_wrong(promtool: str) -> None:
    run(promtool, "check", "rules", RULES)


@pytest.mark.parametrize("name", CASES)
def test_the_alerts_that_should_fire_do_and_no_others(
    name: str, promtool: str, tmp_path: Path
) -> None:
    # JSON is YAML.
    (tmp_path / "case.yaml").write_text(json.dumps(promtool_file(CASES[name])))
    run(promtool, "test", "rules", tmp_path / "case.yaml")


def test_each_alert_has_a_case_in_which_it_fires() -> None:
    assert set().union(*(case.firing for case in CASES.values())) == ALERTS.keys()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_whom_it_wakes_and_what_it_means(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    page = re.fullmatch(r"\{\{ .+ \}\}docs/runbooks/(\S+)", alert["annotations"]["runbook_url"])
    assert page
    # And the page says so too
    said = f"`{name}` ({alert['labels']['severity']}"
    assert said in (RUNBOOKS / page[1]).read_text()
    assert f"{said}) | [{page[1]}]({page[1]})" in (RUNBOOKS / "README.md").read_text()


def test_each_runbook_belongs_to_an_alert() -> None:
    named = {Path(alert["annotations"]["runbook_url"]).name for alert in ALERTS.values()}
    assert {page.name for page in RUNBOOKS.glob("*.md")} - {"README.md"} == named


def test_the_operators_resource_holds_the_same_rules() -> None:
    resource = yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text())
    assert resource["kind"] == "PrometheusRule"
    assert resource["spec"] == yaml.safe_load(RULES.read_text())
