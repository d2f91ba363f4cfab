"""Migrations only add: the release before works on while they run, and afterwards.

It reads SQL by patterns. What it does not know, docs/upgrade.md says all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

MIGRATIONS = sorted((Path(__file__).parents[1] / "shared/postwire/migrations").glob("*.sql"))

REMOVES = "takes away what the release before uses"
DEMANDS = "demands what the release before does not write"
REWRITES = "writes the whole table anew, and nobody reads meanwhile"
LOCKS = "locks out who writes for as long as it takes"
CHANGES = "changes rows in one transaction, however many there are"

#: What was done before this was watched over. What comes to it says how long it takes, or that the
#: release before uses no more of it.
ALLOWED = {
    ("0002_mailbox_state", CHANGES): "one row a mailbox",
    ("0003_threads", LOCKS): "5 s for 1,254,000 messages (docs/architecture.md)",
    ("0006_server_ids", LOCKS): "message is read once for an empty index; not measured",
    ("0007_thread_mailbox", LOCKS): "15 s for 1,254,000 messages (docs/architecture.md)",
    ("0008_contents", LOCKS): "attachment is read once for an empty index; not measured",
    ("0019_mailbox_count", LOCKS): "0.2 s for a million placements (docs/architecture.md)",
    ("0012_job_queue", LOCKS): "an account keeps a bounded number of jobs; not measured",
    ("0012_job_queue", REWRITES): "an account keeps a bounded number of jobs; not measured",
}

#: By rule, what a statement looks like that breaks it; `{old}` is a table that was there before.
_PATTERNS = {
    REMOVES: r"\bDROP (?!NOT NULL\b|INDEX CONCURRENTLY\b)|\bRENAME\b|\bTRUNCATE\b",
    DEMANDS: r"\bSET NOT NULL\b|^CREATE UNIQUE INDEX.* ON (?:ONLY )?{old}"
    r"|^ALTER TABLE (?:ONLY )?{old}.*\bADD (?:CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN|EXCLUDE)\b",
    REWRITES: r"\bALTER (?:COLUMN )?\w+ (?:SET DATA )?TYPE\b|\bADD COLUMN\b.*\bSTORED\b"
    r"|\bADD COLUMN\b.*\bDEFAULT (?:random|clock_timestamp|nextval|gen_random_uuid)\b"
    r"|\b(?:VACUUM FULL|CLUSTER)\b",
    LOCKS: r"^LOCK\b|^CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)(?!.* ON ONLY ).* ON {old}",
    CHANGES: r"^(?:UPDATE|DELETE FROM) {old}",
}
_ADDED = re.compile(r"\bADD COLUMN .*?(?=, ADD |$)")


def statements(text: str) -> list[str]:
    """Each on one line; without comments, and without the bodies of functions."""
    text = re.sub(r"--.*", "", text)
    text = re.sub(r"(CREATE (?:OR REPLACE )?FUNCTION.*?)\$\$.*?\$\$", r"\1", text, flags=re.DOTALL)
    return [" ".join(one.split()) for one in re.sub(r"DO \$\$\s+BEGIN|\$\$", ";", text).split(";")]


def breaks(text: str) -> Iterator[tuple[str, str]]:
    """The rules that the migration breaks, each with the statement."""
    made = re.findall(r"\bCREATE TABLE (?:IF NOT EXISTS )?(\w+)", text)
    old = rf"(?!(?:{'|'.join(made)})\b)\w+" if made else r"\w+"
    for statement in statements(text):
        for rule, pattern in _PATTERNS.items():
            if re.search(pattern.replace("{old}", old), statement, re.IGNORECASE):
                yield rule, statement
        for added in _ADDED.findall(statement):
            if "NOT NULL" in added and not re.search(r"\b(?:DEFAULT|GENERATED)\b", added):
                yield DEMANDS, added


@pytest.mark.parametrize("migration", MIGRATIONS, ids=lambda path: path.stem)
def test_a_migration_leaves_the_release_before_what_it_needs(migration: Path) -> None:
    found = [
        f"{rule}: {statement}"
        for rule, statement in breaks(migration.read_text())
        if (migration.stem, rule) not in ALLOWED
    ]
    assert not found


def test_what_is_allowed_is_there() -> None:
    found = {(path.stem, rule) for path in MIGRATIONS for rule, _ in breaks(path.read_text())}
    assert found == ALLOWED.keys()


def test_an_index_that_is_built_concurrently_is_built_without_a_transaction() -> None:
    concurrent = [
        path for path in MIGRATIONS if "CONCURRENTLY" in "".join(statements(path.read_text()))
    ]
    assert all(path.read_text().startswith("-- transactional: false\n") for path in concurrent)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (REMOVES, "ALTER TABLE account DROP COLUMN host;"),
        (REMOVES, "ALTER TABLE account\n    RENAME host TO server;"),
        (REMOVES, "DROP VIEW live_process;"),
        (DEMANDS, "ALTER TABLE account ADD COLUMN a text, ADD COLUMN b text NOT NULL;"),
        (DEMANDS, "ALTER TABLE account ALTER COLUMN host SET NOT NULL;"),
        (DEMANDS, "ALTER TABLE account ADD CONSTRAINT short CHECK (length(host) < 99);"),
        (DEMANDS, "CREATE UNIQUE INDEX CONCURRENTLY one ON account (host);"),
        (REWRITES, "ALTER TABLE job ALTER COLUMN attempts TYPE bigint;"),
        (REWRITES, "ALTER TABLE job ADD COLUMN a uuid DEFAULT gen_random_uuid();"),
        (LOCKS, "CREATE TABLE new (a text); CREATE INDEX by_host ON account (host);"),
        (LOCKS, "LOCK TABLE account;"),
        (CHANGES, "DO $$ BEGIN DELETE FROM job; END $$;"),
        (CHANGES, "UPDATE job SET found = 0;"),
    ],
)
def test_each_rule_sees_what_breaks_it(rule: str, text: str) -> None:
    assert rule in {broken for broken, _ in breaks(text)}


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE account ADD COLUMN a text, ADD COLUMN b integer NOT NULL DEFAULT 0;",
        "ALTER TABLE account ALTER COLUMN host DROP NOT NULL;",
        "CREATE TABLE new (a text UNIQUE); CREATE UNIQUE INDEX one ON new (a);",
        "CREATE INDEX CONCURRENTLY by_host ON account (host); -- and DROP nothing",
        "CREATE INDEX by_host ON ONLY message (subject);",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ DELETE FROM job $$;",
    ],
)
def test_what_only_adds_breaks_no_rule(text: str) -> None:
    assert not list(breaks(text))
