"""A real Prometheus scrapes a running Postwire: what dashboards and alerts ask for is there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import socketio

from support.dovecot import Dovecot
from support.mailbox import MailUser, letter
from support.prometheus import expressions, prometheus, questions, wait_for
from support.system import System


def shown(series: list[dict[str, Any]]) -> list[str]:
    """The values that a panel can draw."""
    return [one["value"][1] for one in series if one["value"][1] != "NaN"]


async def live(system: System, dovecot: Dovecot) -> None:
    """A little of everything: mail that arrives, a browser, a password that is wrong."""
    user = MailUser(dovecot, dovecot.new_user())
    user.append(letter("Was here before"))
    account = system.add_account(user)
    with system.api("robin") as api:
        assert api.get("/api/messages/none").status_code == 404
        token = api.post("/api/realtime-token").json()["token"]
        wrong = {"address": "robin@example.org", "password": "wrong", "security": "none"}
        api.post("/api/accounts", json={**wrong, "host": dovecot.host, "port": dovecot.port})
    system.wait_until_watched()
    bearer = {"Authorization": f"Bearer {system.token('robin')}"}
    async with socketio.AsyncSimpleClient() as browser, httpx.AsyncClient() as page:
        await browser.connect(
            system.gateway_url, auth={"token": token}, transports=["websocket"], wait_timeout=10
        )
        assert await browser.call("join", {"accountId": account}, timeout=10)
        for number in range(6):
            user.append(letter(f"News {number}"))
            assert await browser.receive(timeout=10)
            assert (await page.get(f"{system.api_url}/api/messages", headers=bearer)).is_success
            await asyncio.sleep(0.5)


def test_every_panel_and_every_alert_finds_what_it_asks_for(
    system: System, dovecot: Dovecot, prometheus_program: str, tmp_path: Path
) -> None:
    folder = tmp_path / "prometheus"
    folder.mkdir()
    with prometheus(prometheus_program, folder, system) as found:
        # Given all five processes are scraped
        wait_for("not all are scraped", lambda: len(found.query("postwire_process_info")) == 5)
        # When mail arrives, and some things go wrong
        asyncio.run(live(system, dovecot))
        # And each process was asked whether it is ready, as its probes would
        for service in system.services:
            assert service.find_trouble() is None
        wait_for(
            "the objective was not measured",
            lambda: found.query("postwire:mail_late:ratio_rate5m"),
        )

        # Then each panel has something to show
        empty = [panel for panel, query in expressions() if not shown(found.query(query))]
        assert empty == []
        # And what is shown is true
        assert float(found.query("postwire:mail_late:ratio_rate5m")[0]["value"][1]) < 0.01
        (refused,) = found.query('postwire_imap_errors_total{kind="AuthenticationFailed"} > 0')
        assert refused["metric"]["provider"] == "other"

        # And what the runbooks ask is answered
        for question in questions():
            found.query(question)
        # And each rule was evaluated without an error, and nothing is wrong
        rules = found.rules()
        assert len(rules) > 20
        assert [rule["lastError"] for rule in rules if rule["health"] != "ok"] == []
        assert [rule["name"] for rule in rules if rule.get("alerts")] == []
