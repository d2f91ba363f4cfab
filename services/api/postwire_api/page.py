"""The inbox page: the files that the web build left, and the headers that fence them in."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from litestar import HttpMethod, Router, route
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import File

from postwire.errors import SettingsError

_INDEX = "index.html"
#: The build names these by their content, so that what a name stands for never changes.
_HASHED = "assets"
_FOR_EVER = "public, max-age=31536000, immutable"


def make_router(folder: Path, gateway_url: str) -> Router:
    """The routes of the page in `folder`, whose scripts may talk to us and to the gateway.

    Raises:
        SettingsError: there is no page.
    """
    top = _files(folder)
    hashed = _files(folder / _HASHED)
    if _INDEX not in top:
        raise SettingsError(f"POSTWIRE_WEB_DIR: there is no {_INDEX} in {folder}; build the page")
    headers = {"Content-Security-Policy": _policy(gateway_url), "Cache-Control": "no-cache"}

    @_read(["/", "/{name:str}"])
    def read_page(name: FromPath[str] = _INDEX) -> File:
        return _file(top, name, headers)

    @_read(f"/{_HASHED}/{{name:str}}")
    def read_asset(name: FromPath[str]) -> File:
        return _file(hashed, name, headers | {"Cache-Control": _FOR_EVER})

    return Router("/", route_handlers=[read_page, read_asset], include_in_schema=False)


def _read(path: str | list[str]) -> route:
    methods = [HttpMethod.GET, HttpMethod.HEAD]
    return route(path, http_method=methods, sync_to_thread=False)


def _files(folder: Path) -> dict[str, Path]:
    # Listed once: a name that is not here is not looked for, whatever it is made of.
    if not folder.is_dir():
        return {}
    return {path.name: path for path in folder.iterdir() if path.is_file()}


def _file(files: dict[str, Path], name: str, headers: dict[str, str]) -> File:
    if name not in files:
        raise NotFoundException
    # Named, or a browser is sent "some bytes" and offers to save the page.
    return File(files[name], filename=name, content_disposition_type="inline", headers=headers)


def _policy(gateway_url: str) -> str:
    """The Content-Security-Policy (CSP3) of the page."""
    connect = " ".join(["'self'", *_origins(gateway_url)])
    return (
        f"default-src 'self'; connect-src {connect}; "
        "frame-src 'self'; img-src 'self' data: https: http:; style-src 'self' 'unsafe-inline'; "
        "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    )


def _origins(gateway_url: str) -> list[str]:
    """The gateway's origin, for its polling and for its websocket.

    Raises:
        SettingsError: it is no address that a browser could connect to.
    """
    if not gateway_url:
        return []
    parts = urlsplit(gateway_url)
    if (
        parts.scheme not in ("http", "https")
        or not parts.netloc
        or set(" ;,'\"") & set(parts.netloc)
    ):
        raise SettingsError("POSTWIRE_GATEWAY_URL: write it as https://gateway.example.com")
    websocket = "wss" if parts.scheme == "https" else "ws"
    return [f"{parts.scheme}://{parts.netloc}", f"{websocket}://{parts.netloc}"]
