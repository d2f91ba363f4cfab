"""The inbox page and the headers that fence it in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from postwire.errors import SettingsError
from postwire.settings import ApiSettings
from postwire_api.app import create_app

Client = TestClient[Litestar]


@pytest.fixture
def web_dir(tmp_path: Path) -> Path:
    """What a build leaves, with a secret beside it."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Inbox</title>")
    (folder / "favicon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "assets" / "index-abc123.js").write_text("console.log(1)")
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@pytest.fixture
def page(settings: ApiSettings, web_dir: Path) -> Iterator[Client]:
    """An application that has the page."""
    app = create_app(settings.model_copy(update={"web_dir": web_dir}))
    with TestClient(app) as client:
        yield client


def test_the_page_is_open_to_everybody_and_fenced_in(page: Client) -> None:
    # When a browser opens the address
    answer = page.get("/")
    # Then it gets the page, which is asked for again each time
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["content-security-policy"] == (
        "default-src 'self'; connect-src 'self' https://gateway.example.com"
        " wss://gateway.example.com; frame-src 'self'; img-src 'self' data: https: http:;"
        " style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none';"
        " frame-ancestors 'none'"
    )
    # And a HEAD is answered alike
    head = page.head("/")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == answer.headers["content-length"]


def test_what_is_named_by_its_content_is_kept_for_ever(page: Client) -> None:
    # When a script of the build is asked for
    answer = page.get("/assets/index-abc123.js")
    # Then it comes as a script that never changes
    assert answer.text == "console.log(1)"
    assert "javascript" in answer.headers["content-type"]
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    # And the icon, which may change, is not kept
    icon = page.get("/favicon.svg")
    assert icon.headers["content-type"].startswith("image/svg+xml")
    assert icon.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/nothing.html",
        "/assets/nothing.js",
        "/assets",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/assets/%00",
        "/secret.txt",
    ],
)
def test_nothing_but_the_build_is_served(page: Client, path: str) -> None:
    # When something else is asked for
    answer = page.get(path)
    # Then there is none
    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_the_api_is_still_there_beside_the_page(page: Client) -> None:
    assert page.get("/api/accounts").status_code == 401
    assert page.get("/api/nothing").status_code == 404
    assert page.get("/api/docs").status_code == 200


@pytest.mark.parametrize(
    ("gateway_url", "connect"),
    [
        ("", "connect-src 'self';"),
        ("http://127.0.0.1:8001", "connect-src 'self' http://127.0.0.1:8001 ws://127.0.0.1:8001;"),
        ("https://g.example.com/path", "connect-src 'self' https://g.example.com wss://g.example"),
    ],
)
def test_the_page_may_talk_to_the_gateway_wherever_it_is(
    settings: ApiSettings, web_dir: Path, gateway_url: str, connect: str
) -> None:
    # Given a gateway at that address
    changed = settings.model_copy(update={"web_dir": web_dir, "gateway_url": gateway_url})
    with TestClient(create_app(changed)) as client:
        # Then the page may talk to it and to nobody else
        assert connect in client.get("/").headers["content-security-policy"]


@pytest.mark.parametrize(
    "gateway_url", ["gateway", "ftp://g", "https://", "https://g; script-src *"]
)
def test_an_address_that_is_none_stops_the_start(
    settings: ApiSettings, web_dir: Path, gateway_url: str
) -> None:
    changed = settings.model_copy(update={"web_dir": web_dir, "gateway_url": gateway_url})
    with pytest.raises(SettingsError, match="POSTWIRE_GATEWAY_URL"):
        create_app(changed)


def test_a_folder_without_a_page_stops_the_start(settings: ApiSettings, tmp_path: Path) -> None:
    changed = settings.model_copy(update={"web_dir": tmp_path})
    with pytest.raises(SettingsError, match="POSTWIRE_WEB_DIR"):
        create_app(changed)
