"""The application: everything put together in one readable list."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide

from postwire.oauth import make_providers
from postwire.settings import ApiSettings
from postwire.store.pool import make_pool
from postwire_api import (
    accounts,
    attachments,
    auth,
    changes,
    conversations,
    discover,
    docs,
    headers,
    jobs,
    mailboxes,
    messages,
    page,
    problems,
    rates,
    realtime,
    scope,
    search,
    set_aside,
    sync,
)
from postwire_api.body import StrictRequest
from postwire_api.names import Names
from postwire_api.pulse import Pulse
from postwire_api.queue import Queue
from postwire_api.traffic import Traffic

#: Handlers that may wait for PostgreSQL at once; each finds a connection of its own.
_THREADS = 10
#: Bytes of the largest body of a request; the largest one that makes sense has some hundred.
_MAX_BODY = 64 * 1024


def create_app(settings: ApiSettings) -> Litestar:
    """The API, and the page where there is one.

    Raises:
        SettingsError: a setting that looked right cannot be used.
    """
    keyring = settings.keyring()
    providers = make_providers(settings.oauth_providers.get_secret_value())
    names = Names(settings.dns_servers)
    app = Litestar(
        route_handlers=[_api(settings), *_page(settings)],
        dependencies={
            "keyring": Provide(lambda: keyring, sync_to_thread=False),
            "providers": Provide(lambda: providers, sync_to_thread=False),
            "most_accounts": Provide(lambda: settings.user_accounts, sync_to_thread=False),
            "names": Provide(lambda: names, sync_to_thread=False),
            "store": _from_state("store"),
            "queue": _from_state("queue"),
        },
        lifespan=[_connections(settings)],
        request_class=StrictRequest,
        exception_handlers=problems.HANDLERS,
        after_exception=[rates.count_wrong_token],
        middleware=[Traffic()],
        before_send=[headers.complete],
        cors_config=_cors(settings),
        openapi_config=docs.make_config(),
        request_max_body_size=_MAX_BODY,
        # Our own handler logs what was unexpected; Litestar would log it once more.
        logging_config=None,
    )
    docs.close_schemas(app)
    return app


def _api(settings: ApiSettings) -> Router:
    return Router(
        "/api",
        guards=[rates.check_address, auth.make_bearer(settings), rates.count_user],
        dependencies={"user": Provide(auth.user, sync_to_thread=False)},
        route_handlers=[
            sync.ask_for_sync,
            sync.read_sync_stats,
            sync.set_schedule,
            sync.list_schedules,
            sync.remove_schedule,
            accounts.add_account,
            accounts.list_accounts,
            discover.discover_account,
            accounts.read_account,
            accounts.remove_account,
            accounts.pause_account,
            accounts.resume_account,
            accounts.change_credential,
            scope.change_scope,
            mailboxes.list_mailboxes,
            messages.list_messages,
            messages.read_message,
            conversations.list_conversations,
            conversations.read_conversation,
            conversations.list_conversation_messages,
            changes.list_changes,
            attachments.read_attachment,
            set_aside.list_set_aside,
            set_aside.retry_set_aside,
            set_aside.read_set_aside,
            search.search_messages,
            jobs.list_jobs,
            jobs.read_job,
            jobs.cancel_job,
            jobs.retry_job,
            realtime.make_router(settings),
        ],
    )


def _page(settings: ApiSettings) -> list[Router]:
    if settings.web_dir is None:
        return []
    return [page.make_router(settings.web_dir, settings.gateway_url)]


def _cors(settings: ApiSettings) -> CORSConfig | None:
    if not settings.cors_origins:
        return None
    return CORSConfig(
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=["Content-Disposition", "ETag", "Retry-After"],
    )


def _from_state(name: str) -> Provide:
    def given(state: State) -> object:
        return state[name]

    return Provide(given, sync_to_thread=False)


def _connections(settings: ApiSettings) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    """What lives as long as the application does."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")
        asyncio.get_running_loop().set_default_executor(threads)
        store = make_pool(settings.database_url.get_secret_value(), _THREADS)
        queue = Queue(settings.redis_url.get_secret_value())
        limits = rates.Rates(settings)
        pulse = Pulse()
        beating = asyncio.create_task(pulse.beat())
        app.state.update(store=store, queue=queue, rates=limits, pulse=pulse)
        try:
            yield
        finally:
            beating.cancel()
            queue.close()
            await limits.close()
            await asyncio.to_thread(store.close)

    return lifespan
