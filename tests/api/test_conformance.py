"""The API does what its OpenAPI document says, whatever is sent, over real HTTP.

Each run sends the same requests; `--hypothesis-profile=long` sends others, and many more.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from litestar import Litestar
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi import checks

from postwire.settings import ApiSettings
from postwire.store import jobs
from postwire.store.pool import Pool, transaction
from postwire_api import accounts, attachments, discover
from postwire_api.app import create_app
from support import rows
from support.jwt import bearer
from support.processes import eventually

load_all_checks()  # type: ignore[no-untyped-call]

#: What holds of every answer.
ALWAYS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
#: Examples of each operation: well formed and malformed, by the profile of the run.
EXAMPLES = {"long": 400}
FEW = 7


@contextmanager
def serving(app: Litestar) -> Iterator[str]:
    """The address at which `app` answers, until the block ends."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert eventually(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


def something_of_each(store: Pool) -> dict[str, str]:
    """Names of parameters, with something that is there."""
    account = rows.active(store)
    box = rows.mailbox(store, account)
    first = replace(rows.incoming(1), attachments=(rows.attachment(),))
    rows.store_batch(store, rows.batch(box, first, *map(rows.incoming, range(2, 6))))
    with transaction(store) as connection:
        asked = jobs.ask(connection, account.id, "ann", "manual")
        message = connection.execute(
            "SELECT id, thread_id FROM message WHERE has_attachments"
        ).fetchone()
    rows.keep(store, message[0], 1, b"kept")
    return {
        "account_id": account.id,
        "accountId": account.id,
        "mailbox_id": str(box.id),
        "mailbox": box.name,
        "message_id": str(message[0]),
        "conversation_id": str(message[1]),
        "job_id": asked.id,
        "uid": "1",
        "n": "1",
    }


def described(app: Litestar, url: str) -> list[APIOperation]:
    """The operations of the document; what takes all that is there away comes last."""
    document = schemathesis.openapi.from_dict(app.openapi_schema.to_schema())
    document.config.update(base_url=url)
    refused = document.config.checks.negative_data_rejection
    # What does not fit may be too long as well.
    refused.expected_statuses = [*refused.expected_statuses, "413"]
    operations = [result.ok() for result in document.get_all_operations()]
    return sorted(operations, key=lambda one: one.label == "DELETE /api/accounts/{account_id}")


def check(operation: APIOperation, mode: GenerationMode, there: dict[str, str]) -> int:
    """Send examples of the operation; how many there were."""
    sent = 0
    # Of a query, unknown names are passed over, as everywhere on the web.
    strict = [checks.negative_data_rejection] if mode.is_negative and operation.body else []

    @profile(
        max_examples=EXAMPLES.get(profile.get_current_profile_name(), FEW),
        derandomize=profile.get_current_profile_name() != "long",
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(known=st.booleans(), case=operation.as_strategy(generation_mode=mode))
    def run(case: Case, known: bool) -> None:  # noqa: FBT001 - Hypothesis calls it
        nonlocal sent
        sent += 1
        if known:
            # New ones: those of the case may be the strategy's own.
            case.path_parameters = {k: there.get(k, v) for k, v in case.path_parameters.items()}
            case.query = {k: there.get(k, v) for k, v in case.query.items()}
        answer = case.call(headers=bearer())
        case.validate_response(answer, checks=ALWAYS + strict)

    run()
    return sent


# The application's own threads draw random numbers while a strategy does.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
def test_whatever_is_sent_the_answer_is_one_that_the_document_knows(
    settings: ApiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an application that waits for no mail server and no name server
    for module in (accounts, attachments, discover):
        monkeypatch.setattr(module, "_PATIENCE", 0.02)
    app = create_app(settings.model_copy(update={"dns_servers": ["127.0.0.1:1"]}))
    with serving(app) as url:
        there = something_of_each(app.state.store)
        # When each operation is asked as the document allows it, and as it does not
        sent = sum(
            check(operation, mode, there)
            for operation in described(app, url)
            for mode in GenerationMode
        )
    # Then each answer was as documented, and there were some
    assert sent > 300


def test_nothing_is_answered_without_a_token_but_that_one_is_needed(settings: ApiSettings) -> None:
    app = create_app(settings)
    with serving(app) as url:
        for operation in described(app, url):
            # When an operation is asked without a token, as well as can be or not at all
            answer = requests.request(operation.method, url + operation.path, timeout=10)
            # Then that is all that is said
            assert answer.status_code == 401, operation.label
            assert answer.headers["content-type"] == "application/problem+json"
