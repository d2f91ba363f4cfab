"""The token that opens the gateway."""

from __future__ import annotations

from litestar import Router, post
from litestar.status_codes import HTTP_200_OK

from postwire import tokens
from postwire.settings import ApiSettings
from postwire.store import accounts
from postwire.store.pool import transaction
from postwire_api import problems
from postwire_api.parts import Store, User
from postwire_api.schemas import RealtimeToken


def make_router(settings: ApiSettings) -> Router:
    """The route, which alone knows the realtime secret."""

    @post(
        "/realtime-token",
        summary="Get a token for the gateway",
        status_code=HTTP_200_OK,
        responses=problems.documented(),
        sync_to_thread=True,
    )
    def sign_realtime_token(user: User, store: Store) -> RealtimeToken:
        """It opens the rooms of the caller and of each account there is now, for 15 minutes."""
        with transaction(store) as connection:
            mine = [str(account.id) for account in accounts.list_of_user(connection, user)]
        secret = settings.realtime_secret.get_secret_value()
        token, expires_at = tokens.sign_realtime(secret, user, mine)
        return RealtimeToken(token=token, expires_at=expires_at, url=settings.gateway_url)

    return Router("/", route_handlers=[sign_realtime_token])
