"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram

from postwire import metrics, settings

ROOT = Path(__file__).parents[1]

#: Where the tests of each package lie.
PACKAGES = {
    "shared/postwire": "tests/shared",
    "services/api/postwire_api": "tests/api",
    "services/sync-worker/postwire_worker": "tests/worker",
    "services/gateway/postwire_gateway": "tests/gateway",
}

#: Which files may import a library; one edge of the system has one owner.
FENCES = {
    "psycopg": ("shared/postwire/store/",),
    "psycopg_pool": ("shared/postwire/store/pool.py",),
    "yoyo": ("shared/postwire/store/migrate.py",),
    "imapclient": (
        "services/sync-worker/postwire_worker/client.py",
        "services/sync-worker/postwire_worker/imap.py",
        "services/sync-worker/postwire_worker/parsing.py",
    ),
    "click": ("shared/postwire/command/",),
    "imaplib": (
        "services/sync-worker/postwire_worker/client.py",
        "services/sync-worker/postwire_worker/imap.py",
    ),
    "fast_mail_parser": ("services/sync-worker/postwire_worker/mime.py",),
    "socketio": ("services/gateway/",),
    "engineio": ("services/gateway/",),
    "aiohttp": ("services/gateway/",),
    "httpcore": ("services/sync-worker/postwire_worker/token_endpoint.py",),
    "httpx": ("services/api/postwire_api/issuer.py",),
    "litestar": ("services/api/",),
    "dns": ("services/api/postwire_api/names.py",),
    "nh3": ("services/api/postwire_api/html.py",),
    "jwt": ("shared/postwire/jwks.py", "shared/postwire/tokens.py"),
    "cryptography": ("shared/postwire/credentials.py", "shared/postwire/legacy.py"),
    "dramatiq": (
        "shared/postwire/broker.py",
        "shared/postwire/jobs.py",
        "services/sync-worker/postwire_worker/__main__.py",
        "services/sync-worker/postwire_worker/actors.py",
    ),
    "redis": (
        "shared/postwire/broker.py",
        "shared/postwire/events.py",
        "shared/postwire/command/checks.py",
        "shared/postwire/jobs.py",
        "shared/postwire/sentinel.py",
        "services/sync-worker/postwire_worker/runtime.py",
        "services/gateway/postwire_gateway/positions.py",
        "services/gateway/postwire_gateway/relay.py",
        "services/api/postwire_api/queue.py",
        "services/api/postwire_api/rates.py",
    ),
}

#: Modules without behaviour of their own, or which a neighbour's test runs as a process.
NO_TWIN = {
    "errors.py",
    "findings.py",
    "metrics.py",
    "model.py",
    "parts.py",
    "rows.py",
    "schemas.py",
    "runtime.py",
}

#: Tests that belong to no one module, but to all that a sync, the API or the gateway is made of.
NO_MODULE = {
    "test_conformance.py",
    "test_random_client.py",
    "test_extensions.py",
    "test_nginx.py",
    "test_strangers.py",
}


def modules() -> Iterator[tuple[Path, Path]]:
    """Each module with the folder its tests belong into."""
    for package, tests in PACKAGES.items():
        for module in sorted((ROOT / package).rglob("*.py")):
            inner = module.relative_to(ROOT / package).parent
            yield module, ROOT / tests / inner


def imported(module: Path) -> set[str]:
    """The top-level names that the module imports."""
    names = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("library", FENCES)
def test_a_library_is_imported_by_its_owner_alone(library: str) -> None:
    strangers = [
        str(module.relative_to(ROOT))
        for module, _ in modules()
        if library in imported(module)
        and not str(module.relative_to(ROOT)).startswith(FENCES[library])
    ]
    assert not strangers, f"{library} belongs to {FENCES[library]}"


def test_each_module_has_its_tests_beside_it_in_the_other_tree() -> None:
    orphans = [
        str(module.relative_to(ROOT))
        for module, tests in modules()
        if not module.name.startswith("__")
        and module.name not in NO_TWIN
        and not (tests / f"test_{module.name}").exists()
    ]
    assert not orphans


def test_each_test_of_a_package_belongs_to_a_module() -> None:
    twins = {tests / f"test_{module.stem.strip('_')}.py" for module, tests in modules()}
    orphans = [
        str(test.relative_to(ROOT))
        for folder in PACKAGES.values()
        for test in sorted((ROOT / folder).rglob("test_*.py"))
        if test not in twins and test.name not in NO_MODULE
    ]
    assert not orphans


def test_each_metric_is_declared() -> None:
    made = {one for one in vars(metrics).values() if isinstance(one, Counter | Gauge | Histogram)}
    assert made == {declared.metric for declared in metrics.DECLARED}


def test_the_page_of_the_metrics_is_what_make_docs_makes() -> None:
    program = [sys.executable, ROOT / "docs/make_metrics.py"]
    made = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60).stdout
    assert (ROOT / "docs/metrics.md").read_text() == made


def test_each_setting_is_in_the_example_and_nothing_else_is() -> None:
    declared = {
        settings.PREFIX + name.upper() for kind in settings.ALL for name in kind.model_fields
    }
    lines = (ROOT / ".env.example").read_text().splitlines()
    given = {match[1] for line in lines if (match := re.match(r"#? ?(POSTWIRE_\w+)=", line))}
    assert given == declared


def test_the_page_of_the_settings_is_as_the_code_has_them() -> None:
    made = subprocess.run(
        [sys.executable, ROOT / "docs/make_configuration.py"],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert made.stdout == (ROOT / "docs/configuration.md").read_text(), "run: make docs"


def test_compose_and_kubernetes_set_nothing_that_no_process_knows() -> None:
    known = {settings.PREFIX + name.upper() for kind in settings.ALL for name in kind.model_fields}
    # The demo's processes have settings of their own, and Compose a version of its images.
    others = re.compile(r"POSTWIRE_(DEMO_\w+|VERSION)$")
    files = [ROOT / "docker-compose.yml", *(ROOT / "deploy").rglob("*.*")]
    named = {name for file in files for name in re.findall(r"\bPOSTWIRE_\w+", file.read_text())}
    assert {name for name in named if not others.match(name)} <= known
