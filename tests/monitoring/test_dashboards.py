"""The dashboards: made of one source, fit to be read, and blind to mail and passwords."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from postwire_demo.services import SERVICES
from support.prometheus import MONITORING, dashboards

ROOT = MONITORING.parents[1]
GRAFANA = MONITORING / "grafana/provisioning"
READER = (MONITORING / "grafana/reader.sql").read_text()
ACCOUNT = "018f0000-0000-7000-8000-000000000000"


def test_they_are_what_make_docs_makes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, MONITORING / "make.py", tmp_path], check=True, timeout=60)
    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.*")}
    kept = {
        path.relative_to(MONITORING): path.read_text()
        for path in (MONITORING / "prometheusrule.yaml", *MONITORING.glob("dashboards/*"))
    }
    assert made == kept


def test_kubernetes_and_compose_are_given_all_of_them() -> None:
    component = yaml.safe_load((MONITORING / "kustomization.yaml").read_text())
    (given,) = component["configMapGenerator"]
    paths = sorted(MONITORING.glob("dashboards/*"))
    assert sorted(given["files"]) == [str(path.relative_to(MONITORING)) for path in paths]
    # And Compose mounts the folder where Grafana is told to look
    (provider,) = yaml.safe_load((GRAFANA / "dashboards/postwire.yaml").read_text())["providers"]
    grafana = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]
    mount = f"./deploy/monitoring/dashboards:{provider['options']['path']}:ro"
    assert mount in grafana["volumes"]


def test_compose_scrapes_each_process(promtool: str) -> None:
    subprocess.run(
        [promtool, "check", "config", "--syntax-only", MONITORING / "prometheus.yml"],
        check=True,
        timeout=60,
    )
    settings = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    (names,) = [one["names"] for one in settings["scrape_configs"][0]["dns_sd_configs"]]
    assert set(names) == SERVICES.keys()


@pytest.mark.parametrize("dashboard", dashboards(), ids=lambda one: one["title"])
def test_a_dashboard_fits_on_a_screen_and_asks_whichever_source_it_is_given(
    dashboard: dict[str, Any],
) -> None:
    assert 0 < len(dashboard["panels"]) <= 12
    source = dashboard["templating"]["list"][0]
    assert (source["name"], source["type"]) == ("datasource", "datasource")
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    taken = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


@pytest.mark.parametrize("dashboard", dashboards(), ids=lambda one: one["title"])
def test_a_panel_says_what_is_good_in_what_unit_and_what_to_do(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        assert ":" in panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert {query["datasource"]["uid"] for query in panel["targets"]} == {"${datasource}"}
        for page in re.findall(r"docs/\S+\.md", panel["description"]):
            assert (ROOT / page).exists()


def test_one_accounts_story_is_read_without_its_mail_and_its_password(database_url: str) -> None:
    # Given an account, and the role by which Grafana reads; granted twice, as after an upgrade
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO account (id, user_id, address, host, port, security, username, credential,"
            " state) VALUES (%s, 'robin', 'r@example.org', 'h', 993, 'tls', 'r', 'x', 'active')",
            [ACCOUNT],
        )
        owner.execute(READER)
        owner.execute(READER)
        try:
            with psycopg.connect(database_url, autocommit=True) as reader:
                reader.execute("SET ROLE postwire_reader")
                # When each panel asks for that account, by its id and by its address
                (story,) = [one for one in dashboards() if one["uid"] == "postwire-account"]
                for panel in story["panels"]:
                    for account in (ACCOUNT, "R@example.org".lower()):
                        query = panel["targets"][0]["rawSql"]
                        asked = query.replace("${account:sqlstring}", f"'{account}'")
                        rows = reader.execute(asked).fetchall()
                        # Then it is answered
                        assert len(rows) == ("The account" in panel["title"])
                # And nothing else is
                for secret in (
                    "credential FROM account",
                    "raw FROM set_aside",
                    "1 FROM message",
                    "1 FROM body",
                    "1 FROM oauth_token",
                    "1 FROM attachment",
                    "1 FROM search",
                ):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        reader.execute(f"SELECT {secret}")
        finally:
            owner.execute("DROP OWNED BY postwire_reader")
            owner.execute("DROP ROLE postwire_reader")
