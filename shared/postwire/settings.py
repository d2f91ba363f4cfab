"""One settings class per process, each read once from `POSTWIRE_*` and passed down.

Several classes rather than one, so that a process cannot even receive what it has no business
with: the gateway never sees the database URL or a credential key. No secret has a default.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from postwire.credentials import Keyring, make_keyring
from postwire.errors import SettingsError
from postwire.oauth import is_safe

PREFIX = "POSTWIRE_"
#: Bytes of the longest file that is read for a setting.
_LONGEST_FILE = 64 * 1024


def _long_enough(value: SecretStr) -> SecretStr:
    #: RFC 7518 §3.2: an HS256 key has at least 256 bits.
    if len(value.get_secret_value().encode()) < 32:  # noqa: PLR2004
        raise ValueError("must be at least 32 bytes long")
    return value


def _of_redis(value: SecretStr) -> SecretStr:
    parts = urlsplit(value.get_secret_value())
    kind, plus, by = parts.scheme.partition("+")
    if kind not in {"redis", "rediss"} or by != ("sentinel" if plus else ""):
        raise ValueError(
            "must begin with redis:// or rediss://, or these with +sentinel before ://"
        )
    if by and not parts.path.strip("/"):
        raise ValueError("names no master; write redis+sentinel://host:26379/name/0")
    return value


def _of_proxy(value: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(value.get_secret_value())
        whole = bool(parts.hostname and parts.port)
    except ValueError:
        # Its words could have a piece of the password.
        whole = False
    if whole and parts.scheme == "https":
        raise ValueError("must begin with http://: TLS to the proxy itself is not supported")
    if (
        not whole
        or parts.scheme != "http"
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
    ):
        raise ValueError(
            "must be http://host:port or http://user:password@host:port, with %-escapes for what "
            "is neither letter nor digit in these two"
        )
    return value


def _comma_list(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


CommaList = Annotated[list[str], NoDecode, BeforeValidator(_comma_list)]


def _network(text: str) -> IPv4Network | IPv6Network:
    # Its own words name the network, which is no secret.
    return ip_network(text)


Networks = Annotated[
    list[Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]],
    NoDecode,
    BeforeValidator(_comma_list),
]
Queue = Literal["sync", "sync.manual"]
QueueList = Annotated[
    list[Queue],
    NoDecode,
    BeforeValidator(_comma_list),
    Field(min_length=1),
]
Secret = Annotated[SecretStr, AfterValidator(_long_enough)]
Seconds = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65535)]


class _Settings(BaseSettings):
    # hide_input_in_errors: the default prints every value that was received, secrets among them.
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, hide_input_in_errors=True, env_ignore_empty=True
    )

    #: DEBUG, INFO, WARNING or ERROR.
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    #: Folder of files that are each named like a setting and hold its value; `load` reads them.
    secrets_dir: Path | None = None


class _WithOps(_Settings):
    #: Address that /health and /metrics listen on.
    ops_host: str = "0.0.0.0"  # noqa: S104 - a probe comes from outside the container
    #: Port of /health and /metrics; 0 takes a free one.
    ops_port: Port = 9100


class _WithDatabase(_Settings):
    #: postgresql://user:password@host:port/database
    database_url: SecretStr
    #: Whether statements are prepared; not through a PgBouncer that does not keep them.
    database_prepare: bool = True


class _WithRedis(_Settings):
    #: redis://host:port/0, or by Sentinels (`postwire.sentinel`); never shared with a cache.
    redis_url: Annotated[SecretStr, AfterValidator(_of_redis)]


class _WithKeys(_Settings):
    #: Folder with one file a key: its name is the key's id, its content the base64 of 32 bytes.
    credential_keys_dir: Path | None = None
    #: `id:base64` of 32 bytes, comma separated; the first seals, all open. Must be set unless there
    #: is a folder of them.
    credential_keys: SecretStr = Field(default=SecretStr(""), validate_default=True)
    #: Id of the key that seals; empty: the one that the file `primary` names, or the first.
    primary_credential_key: str = ""

    @field_validator("credential_keys")
    @classmethod
    def _there_are_keys(cls, value: SecretStr, given: ValidationInfo) -> SecretStr:
        if not value.get_secret_value() and not given.data.get("credential_keys_dir"):
            raise ValueError("is missing; set it or POSTWIRE_CREDENTIAL_KEYS_DIR")
        return value

    def keyring(self) -> Keyring:
        """The keys that are set.

        Raises:
            SettingsError: they are not usable.
        """
        return make_keyring(
            self.credential_keys.get_secret_value(),
            self.credential_keys_dir,
            self.primary_credential_key,
        )


class MigrateSettings(_WithDatabase):
    """What the migration needs, and the commands that look into the database."""


class KeysSettings(_WithDatabase, _WithKeys):
    """What the commands need that seal and open credentials."""


class QueueSettings(_WithRedis):
    """What the commands need that look into Redis."""


class TokenSettings(_Settings):
    """What the bearer tokens say, and who signs them."""

    #: Who issues the bearer tokens, as their `iss` has it; empty: whoever has the secret.
    jwt_issuer: str = ""
    #: HS256 secret of the bearer tokens, at least 32 bytes; none where there is an issuer.
    jwt_secret: Secret | None = Field(default=None, validate_default=True)
    #: The `aud` of the bearer tokens.
    jwt_audience: str = "postwire"
    #: The claim of the bearer tokens that is the user's id.
    jwt_user_claim: str = "sub"

    @field_validator("jwt_secret")
    @classmethod
    def _somebody_signs(cls, value: SecretStr | None, given: ValidationInfo) -> SecretStr | None:
        issuer = given.data.get("jwt_issuer")
        if not value and not issuer:
            raise ValueError("is missing; set it or POSTWIRE_JWT_ISSUER")
        if value and issuer:
            raise ValueError("set either it or POSTWIRE_JWT_ISSUER")
        return value


class ApiSettings(_WithOps, _WithDatabase, _WithRedis, _WithKeys, TokenSettings):
    """What the REST API needs."""

    #: Address the API listens on.
    api_host: str = "0.0.0.0"  # noqa: S104
    #: Port the API listens on.
    api_port: Port = 8000
    #: File with the issuer's public keys, a JWK Set (RFC 7517).
    jwks_file: Path | None = None
    #: Where the issuer publishes that.
    jwks_url: str = Field(default="", validate_default=True)
    #: HS256 secret of the realtime tokens, at least 32 bytes; the gateway has the same.
    realtime_secret: Secret
    #: OAuth providers by name, as a JSON object; see docs/oauth.md.
    oauth_providers: SecretStr = SecretStr("{}")
    #: The gateway's address as a browser sees it; empty means the page's own origin.
    gateway_url: str = ""
    #: Name servers, as `address` or `address:port`, comma separated; empty means the system's.
    dns_servers: Annotated[CommaList, Field(max_length=3)] = Field(default_factory=list)
    #: Origins other than the page's own that may call the API, comma separated.
    cors_origins: CommaList = Field(default_factory=list)
    #: Folder of the built inbox page; empty means no page.
    web_dir: Path | None = None
    #: Networks of the proxies whose X-Forwarded-For is believed, as CIDR, comma separated.
    trusted_proxies: Networks = Field(default_factory=list)
    #: Requests of one user a minute, those that cost more apart.
    user_requests: Annotated[int, Field(ge=1)] = 3000
    #: Requests of one user a minute that cost mail servers or name servers something.
    user_costly_requests: Annotated[int, Field(ge=1)] = 300
    #: Accounts that one user has at most.
    user_accounts: Annotated[int, Field(ge=1)] = 50

    @field_validator("jwks_url")
    @classmethod
    def _an_issuer_has_keys(cls, value: str, given: ValidationInfo) -> str:
        issuer, file = given.data.get("jwt_issuer"), given.data.get("jwks_file")
        if issuer and not value and not file:
            raise ValueError("is missing; set it or POSTWIRE_JWKS_FILE")
        if value and file:
            raise ValueError("set either it or POSTWIRE_JWKS_FILE")
        if (value or file) and not issuer:
            raise ValueError("it and POSTWIRE_JWKS_FILE need POSTWIRE_JWT_ISSUER")
        if value and not is_safe(value):
            raise ValueError("must be an https address, or one on this machine")
        return value


class DialerSettings(_Settings):
    """What it takes to connect to a mail server."""

    #: PEM bundle of certificate authorities trusted beside the system's.
    imap_ca_file: Path | None = None
    #: Networks that users may name hosts in beside the public internet, as CIDR, comma separated.
    allowed_networks: Networks = Field(default_factory=list)
    #: Proxy to mail servers and token endpoints, http://user:password@host:port; empty: none.
    mail_proxy: Annotated[SecretStr, AfterValidator(_of_proxy)] | None = None


class _WithMailServers(_WithOps, _WithDatabase, _WithRedis, _WithKeys, DialerSettings):
    #: OAuth providers by name, as a JSON object; see docs/oauth.md.
    oauth_providers: SecretStr = SecretStr("{}")
    #: Connections to one mail server that all processes have at most; 0: any number.
    host_connections: Annotated[int, Field(ge=0)] = 0


class WorkerSettings(_WithMailServers):
    """What the sync-worker needs."""

    #: Queues this worker serves, comma separated.
    worker_queues: QueueList = Field(default_factory=lambda: list(get_args(Queue)))
    #: Jobs of one process at a time.
    worker_threads: Annotated[int, Field(ge=1, le=64)] = 4
    #: Megabytes (2^20 bytes) of the largest attachment that is fetched.
    attachment_limit_mb: Annotated[int, Field(ge=1, le=2048)] = 100
    #: Hours between two audits of an account, at most a year of them; 0: never.
    audit_hours: Annotated[float, Field(ge=0, le=8760)] = 24


class WatcherSettings(_WithMailServers):
    """What the watcher needs."""

    #: Seconds between looks at an account whose server has no IDLE.
    poll_seconds: Seconds = 30
    #: Accounts one watcher holds at most; all watchers have the same.
    watch_accounts: Annotated[int, Field(ge=1)] = 2000


class GatewaySettings(_WithOps, _WithRedis):
    """What the Socket.IO gateway needs."""

    #: Address the gateway listens on.
    gateway_host: str = "0.0.0.0"  # noqa: S104
    #: Port the gateway listens on.
    gateway_port: Port = 8001
    #: HS256 secret of the realtime tokens, at least 32 bytes; the API has the same.
    realtime_secret: Secret
    #: Origins other than the gateway's own that may connect, comma separated.
    cors_origins: CommaList = Field(default_factory=list)
    #: Connections one user has at most to one gateway; a browser has one for each tab.
    user_connections: Annotated[int, Field(ge=1)] = 50


#: By the name of the process.
PROCESSES: dict[str, type[_Settings]] = {
    "migrate": MigrateSettings,
    "api": ApiSettings,
    "sync-worker": WorkerSettings,
    "watcher": WatcherSettings,
    "gateway": GatewaySettings,
}
#: Of the command `postwire`, none of whose parts needs all of them.
COMMAND: tuple[type[_Settings], ...] = (
    MigrateSettings,
    KeysSettings,
    QueueSettings,
    TokenSettings,
    DialerSettings,
)
ALL: tuple[type[_Settings], ...] = (*PROCESSES.values(), *COMMAND)

S = TypeVar("S", bound=_Settings)


def load(settings: type[S], *, typos: bool = True) -> S:
    """Read `settings` from the environment, and from the files in `POSTWIRE_SECRETS_DIR`.

    What is set in both is refused: nobody could tell which of them holds. Without `typos`, names of
    no setting are passed over.

    Raises:
        SettingsError: with every missing, malformed, unknown or doubled name, one a line.
    """
    files = _read_files(os.environ.get(f"{PREFIX}SECRETS_DIR"))
    problems = (_unknown_names(files) if typos else []) + _set_twice(files)
    own = {name: f"{PREFIX}{name.upper()}" for name in settings.model_fields}
    given: dict[str, Any] = {name: files[own[name]] for name in own if files.get(own[name])}
    try:
        loaded = settings(**given)
    except ValidationError as error:
        problems += [_in_words(problem["loc"], problem["msg"]) for problem in error.errors()]
    if problems:
        raise SettingsError("the settings are not usable:\n" + "\n".join(problems))
    return loaded


def _read_files(folder: str | None) -> dict[str, str]:
    """What the files of the folder hold; hidden ones are what Kubernetes keeps beside them."""
    try:
        files = sorted(Path(folder).iterdir()) if folder else []
        return {file.name: _read(file) for file in files if not file.name.startswith(".")}
    except OSError as error:
        raise SettingsError(f"{error.filename}: cannot be read: {error.strerror}") from None


def _read(file: Path) -> str:
    with file.open("rb") as opened:
        return opened.read(_LONGEST_FILE).decode(errors="replace").strip()


def _set_twice(files: dict[str, str]) -> list[str]:
    twice = [name for name in files if files[name] and os.environ.get(name)]
    return [f"  {name}: is set in the environment and as a file; take one away" for name in twice]


def _unknown_names(files: Iterable[str]) -> list[str]:
    # `extra="forbid"` does not see environment variables: a typo would silently be a default.
    known = {PREFIX + name.upper() for settings in ALL for name in settings.model_fields}
    given = {name for name in os.environ if name.startswith(PREFIX)}.union(files)
    return [f"  {name}: there is no such setting" for name in sorted(given - known)]


def _in_words(location: tuple[int | str, ...], message: str) -> str:
    name = PREFIX + str(location[0]).upper()
    said = message.removeprefix("Value error, ")
    return f"  {name}: {'is missing; set it' if said == 'Field required' else said}"
