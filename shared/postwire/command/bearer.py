"""`postwire token`."""

from __future__ import annotations

from datetime import timedelta

import click

from postwire import tokens
from postwire.command.console import about, out
from postwire.errors import SettingsError
from postwire.settings import TokenSettings, load
from postwire.tokens import Terms


@click.command(
    help=about(
        "Make a bearer token for the REST API, as one user.\n\nIt is signed with "
        "POSTWIRE_JWT_SECRET, and opens all that this user has: treat it as a password.",
        "postwire token ann",
        'curl -H "Authorization: Bearer $(postwire token ann --hours 0.1)" $API/api/accounts',
    )
)
@click.argument("user")
@click.option(
    "--hours",
    type=click.FloatRange(0, 24 * 366, min_open=True),
    default=1,
    show_default=True,
    help="How long it opens anything.",
)
def token(user: str, hours: float) -> int:
    """Sign it."""
    settings = load(TokenSettings)
    if settings.jwt_secret is None:
        raise SettingsError(f"bearer tokens come from {settings.jwt_issuer}; ask there for one")
    terms = Terms(settings.jwt_audience, user_claim=settings.jwt_user_claim)
    secret = settings.jwt_secret.get_secret_value()
    out(tokens.sign_bearer(secret, user, timedelta(hours=hours), terms))
    return 0
