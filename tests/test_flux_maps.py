"""Maps of fluxes in Chromium: zoom, pointing, search, colours and darkness, in a report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import NEEDS_CHROMIUM, chromium, fits, no_barriers, until, visits

pytest.importorskip("playwright.sync_api", reason="the page is driven by: pip install playwright")
pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs: pip install axe-playwright-python")
pytestmark = [pytest.mark.full, NEEDS_CHROMIUM]


@pytest.fixture(scope="module")
def fitted() -> Any:
    from molvis_flux.fit.multistart import fit
    from molvis_flux.model.examples import antoniewicz

    return fit(antoniewicz(), starts=3, samples=200)


@pytest.fixture(scope="module")
def report(fitted: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from molvis_flux.report.page import report

    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report(fitted), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def visit(browser: Any, report: Path) -> Iterator[Any]:
    with visits(browser, report.as_uri()) as open_page:
        yield open_page


def wide(page: Any) -> float:
    return page.locator("svg.fluxmap").first.evaluate("(svg) => svg.getBoundingClientRect().width")


def colour(page: Any, name: str) -> str:
    line = page.locator(f'svg.fluxmap .flow[data-name="{name}"] .line').first
    return line.evaluate("(line) => getComputedStyle(line).stroke")


def test_a_map_is_zoomed_by_its_buttons_and_by_the_wheel(visit: Any) -> None:
    page = visit()
    until(page, "document.querySelectorAll('.flux-map .tools').length > 0")
    first = wide(page)
    page.get_by_role("button", name="larger").click()
    assert wide(page) == pytest.approx(1.25 * first, rel=1e-3)
    page.get_by_role("button", name="smaller").click()
    assert wide(page) == pytest.approx(first, rel=1e-3)
    view = page.locator(".flux-map .view").first
    view.scroll_into_view_if_needed()
    box = view.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    until(page, f"document.querySelector('svg.fluxmap').getBoundingClientRect().width > {2 * first}")
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 - 90, box["y"] + box["height"] / 2)
    page.mouse.up()
    assert view.evaluate("(view) => view.scrollLeft") > 0
    page.get_by_role("button", name="whole width").click()
    assert wide(page) == pytest.approx(first, rel=1e-3)


def test_pointing_at_a_reaction_tells_what_it_carries(visit: Any) -> None:
    page = visit()
    tip = page.locator(".flux-map .tip").first
    flow = page.locator('svg.fluxmap .flow[data-name="v1"]').first
    flow.locator(".reach").hover(force=True)
    assert "v1" in tip.inner_text()
    assert "net 100" in tip.inner_text()
    page.mouse.move(2, 2)
    assert not tip.is_visible()
    flow.focus()
    assert tip.is_visible()
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    assert "v1" in flow.get_attribute("aria-label")


def test_a_reaction_is_found_and_colours_are_changed(visit: Any) -> None:
    page = visit()
    before = colour(page, "v2")
    page.locator(".flux-map input[type=search]").first.fill("v2")
    found = page.locator("svg.fluxmap .flow.found")
    assert [one.get_attribute("data-name") for one in found.all()] == ["v2"]
    assert colour(page, "v2") != before
    page.locator(".flux-map input[type=search]").first.fill("")
    assert found.count() == 0
    page.locator(".flux-map select").first.select_option("certainty")
    assert page.locator("svg.fluxmap.by-certainty").count() == 1
    assert page.locator("svg.fluxmap.by-verdict").count() == 0
    assert colour(page, "v2") != before


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 400])
def test_a_report_fits_the_screen_and_is_dark_with_it(visit: Any, dark: bool, width: int) -> None:
    page = visit(width=width, dark=dark)
    fits(page)
    paper = page.locator("svg.fluxmap").first.evaluate("(svg) => getComputedStyle(svg).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(","))) < 200) is dark
    no_barriers(page)
