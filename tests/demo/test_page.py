"""Building the inbox page, with a page of one line instead of ours."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from postwire_demo import page
from postwire_demo.errors import DemoError

BUILD = (
    "require('fs').mkdirSync('dist',{recursive:true});require('fs').cpSync('in','dist/index.html')"
)


@pytest.fixture
def web(tmp_path: Path) -> Path:
    folder = tmp_path / "web"
    folder.mkdir()
    package = {"name": "page", "version": "1.0.0", "scripts": {"build": f'node -e "{BUILD}"'}}
    lock = {"name": "page", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": package}}
    (folder / "package.json").write_text(json.dumps(package))
    (folder / "package-lock.json").write_text(json.dumps(lock))
    (folder / "in").write_text("hello")
    return folder


def test_the_page_is_built_once(web: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page.build(web, web.parent / "log")
    assert (web / "dist/index.html").read_text() == "hello"
    assert "Building the inbox page" in capsys.readouterr().out
    page.build(web, web.parent / "log")
    assert capsys.readouterr().out == ""


def test_a_machine_without_node_uses_the_one_of_the_wheel(
    web: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    page.build(web, web.parent / "log")
    assert (web / "dist/index.html").exists()


def test_a_build_that_fails_names_its_log(web: Path) -> None:
    (web / "in").unlink()
    with pytest.raises(DemoError, match=str(web.parent / "log")):
        page.build(web, web.parent / "log")


@pytest.mark.parametrize("source", ["src/main.ts", "hooks/src/index.ts", "hooks/package.json"])
def test_a_changed_source_builds_anew(web: Path, source: str) -> None:
    page.build(web, web.parent / "log")
    (web / source).parent.mkdir(parents=True)
    (web / source).write_text("")
    (web / "in").write_text("changed")
    built = (web / "dist/index.html").stat().st_mtime
    os.utime(web / source, (built + 1, built + 1))
    page.build(web, web.parent / "log")
    assert (web / "dist/index.html").read_text() == "changed"
