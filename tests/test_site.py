"""The documentation's site builds without a warning, and loads nothing from another host."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOADING = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


class Loaded(HTMLParser):
    """The addresses that a browser fetches to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("rel") not in ("next", "prev", "canonical") and (address := given.get(LOADING.get(tag, ""))):
            self.addresses.append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "MOLVIS_SITE_COMPLETE": "false"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.full
def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    pages = sorted(site.glob("**/*.html"))
    assert len(pages) > 50
    for page in pages:
        parser = Loaded()
        parser.feed(page.read_text(encoding="utf-8"))
        assert [a for a in parser.addresses if re.match(r"(https?:)?//", a)] == [], page.relative_to(site)
    for sheet in site.glob("**/*.css"):
        assert not re.search(r"(url\(|@import )['\"]?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


@pytest.mark.full
def test_every_public_module_has_a_page_with_what_it_defines(site: Path) -> None:
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs" / "_theme" / "hooks.py")
    assert spec
    assert spec.loader
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    modules = dict(hooks.modules())
    assert len(modules) > 100
    assert [name for name in modules if not (site / "api" / f"{name}.html").is_file()] == []
    page = (site / "api" / "molvis_core.records.html").read_text(encoding="utf-8")
    assert 'id="molvis_core.records.PeakList"' in page
