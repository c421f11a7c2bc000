"""The page of the service in Chromium, with toy operations and made-up answers: touch, paper, keys, cancelling."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import CAFFEINE, NEEDS_CHROMIUM, chromium, fits, no_barriers, until, visits

from molvis_core import Component
from molvis_core.testing import offer

pytest.importorskip("playwright.sync_api", reason="the page is driven by: pip install playwright")
pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs: pip install axe-playwright-python")
pytestmark = [pytest.mark.full, NEEDS_CHROMIUM]

ROUTES = {
    "echo": "toy_routes:ECHO", "toy-count": "toy_routes:COUNT", "sketch": "molvis_retrieval.routes.comparison:SKETCH",
}  # fmt: skip
A4 = 794
"""Pixels of CSS of the width of that paper."""


@pytest.fixture(scope="module")
def offered() -> Iterator[None]:
    """Operations that open nothing, so that services start at once."""
    from molvis_serve.operations import routes

    with offer(*(Component("route", name, at, "For tests.") for name, at in ROUTES.items()), hide=("*",)):
        routes.cache_clear()
        yield
    routes.cache_clear()


@contextmanager
def serving(state: Path, **given: Any) -> Iterator[str]:
    """The address of a service in a thread of this process."""
    import uvicorn

    from molvis_serve import Settings, create_app

    settings = Settings.read({}, state=state, workers=1, grace_seconds=0.2, **given)
    server = uvicorn.Server(uvicorn.Config(create_app(settings), port=0, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        end = time.monotonic() + 60
        while not server.started and time.monotonic() < end:
            time.sleep(0.02)
        address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
        while not _ready(address):
            assert time.monotonic() < end, "no worker is ready"
            time.sleep(0.05)
        yield address
    finally:
        server.should_exit = True
        thread.join(30)


def _ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(address + "ready", timeout=5):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def service(offered: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("state")) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def visit(browser: Any, service: str) -> Iterator[Any]:
    with visits(browser, service) as open_page:
        yield open_page


def answered(page: Any, operation: str, result: dict[str, Any]) -> None:
    """Open a job that has ended with an answer."""
    job = {
        "id": "made", "operation": operation, "title": "made up", "options": {}, "files": {}, "state": "done",
        "ahead": None, "created": 1.0, "started": 1.0, "ended": 2.0, "expires": None, "attempts": 1, "problem": "",
        "progress": {"done": 1, "total": 1, "what": ""}, "results": [],
    }  # fmt: skip
    page.context.route("**/jobs/made", lambda route: route.fulfill(json=job))
    page.context.route("**/jobs/made/result", lambda route: route.fulfill(json=result))
    page.evaluate("location.hash = '#/job/made'")
    page.locator(".results-files").wait_for()


def nmr_fit() -> dict[str, Any]:
    """A fit of two doublets beside water, which is left out and a hundred times as high."""
    ppm = np.linspace(0.0, 10.0, 8000)
    lines = sum(1 / (1 + ((ppm - at) / 0.003) ** 2) for at in (1.20, 1.22, 3.60, 3.62))
    water = 100 / (1 + ((ppm - 4.75) / 0.003) ** 2)
    curves = {"ppm": ppm.tolist(), "measured": (lines + water).tolist(), "fitted": np.asarray(lines).tolist()}
    parts = {"CH3": np.asarray(lines).tolist()}
    value = {"name": "shift/CH3", "value": 1.21, "error": 1e-4, "unit": "ppm", "flag": ""}
    return {
        "parameters": [value], "metrics": {"iou": 0.99}, "problem": "", "excluded": [[4.6, 4.9]],
        "doubt": "few starts ended here",
        "alternatives": [{"r_factor": 0.03, "worse": 4.2, "couplings_Hz": {"H-CH3": 7.2}, "shifts_ppm": {"CH3": 1.25}}],
        "spectra": [{"frequency": 400.0, "identifier": "", "parts": parts, **curves}],
    }  # fmt: skip


def ends(page: Any) -> list[float]:
    """Lowest and highest number at the axis of a plot, once it is drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    numbers = [float(text) for text in page.locator(".plot svg text").all_text_contents() if text[:1].isdigit()]
    return [min(numbers), max(numbers)]


def highest(page: Any, kind: str) -> float:
    """How high above the axis a curve reaches, in pixels."""
    return page.locator(f".plot path.{kind}").first.evaluate("(line) => line.getBBox().height")


def test_a_fit_is_zoomed_by_two_fingers_by_the_pointer_and_by_keys(visit: Any) -> None:
    page = visit(width=390)
    answered(page, "nmr-fit", nmr_fit())
    frame, whole = page.locator(".frame"), page.get_by_role("button", name="Whole")
    until(page, "document.querySelectorAll('.plot path').length > 2")
    # What was left out of the fit is drawn and marked, and does not decide how high the rest is.
    assert page.locator(".plot rect.without").count() == 1
    assert highest(page, "fit") > 200
    assert "few starts ended here" in page.locator(".note").first.inner_text()
    assert "J H-CH3 7.20 Hz, CH3 at 1.2500 ppm" in page.locator("main").inner_text()
    assert ends(page) == [0, 10]
    assert whole.is_disabled()
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    middle, y = box["x"] + box["width"] / 2, box["y"] + 80
    touches = page.context.new_cdp_session(page)

    def fingers(kind: str, *apart: float) -> None:
        points = [{"x": middle + side * d / 2, "y": y, "id": n} for d in apart for n, side in enumerate((-1, 1))]
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", 60)
    for apart in (90, 130, 180, 240):
        fingers("touchMove", apart)
    fingers("touchEnd")
    until(page, "!document.querySelector('.zoom button:last-child').disabled")
    low, high = ends(page)
    assert 3 < low < 5 < high < 7, "four times as near, around the middle"
    whole.tap()
    assert ends(page) == [0, 10]
    page.get_by_role("button", name="1.21 ppm").tap()
    low, high = ends(page)
    assert 1.1 < low <= high < 1.3
    frame.press("0")
    assert ends(page) == [0, 10]
    no_barriers(page)
    fits(page)


def test_a_plot_is_zoomed_by_dragging_and_by_the_wheel(visit: Any) -> None:
    page = visit()
    answered(page, "nmr-fit", nmr_fit())
    box = page.locator(".frame").bounding_box()
    left, width, y = box["x"], box["width"], box["y"] + 80
    page.mouse.move(left + 0.6 * width, y)
    page.mouse.down()
    page.mouse.move(left + 0.8 * width, y, steps=4)
    assert page.locator(".plot rect.brush").count() == 1
    page.mouse.up()
    low, high = ends(page)
    assert 1.9 < low < high < 4.1, "ppm fall from left to right"
    page.keyboard.down("Control")
    page.mouse.wheel(0, 2000)
    page.mouse.wheel(0, 2000)
    page.keyboard.up("Control")
    for _ in range(20):
        page.get_by_role("button", name="Zoom out").click()
    assert ends(page) == [0, 10]
    page.locator(".frame").focus()
    page.keyboard.press("+")
    page.keyboard.press("Shift+ArrowLeft")
    assert ends(page)[1] > 8, "Shift and an arrow move what is zoomed"


def identification() -> dict[str, Any]:
    """Twelve candidates for one unknown with two spectra and a cross section."""
    spectrum = {
        "modality": "msms",
        "adduct": "[M+H]+",
        "precursor_mz": 195.0877,
        "peaks": [[110.07, 30], [138.07, 100]],
    }
    candidate = {
        "smiles": CAFFEINE, "inchikey": "RYYVLZVUVIJVGH", "formula": "C8H10N4O2", "adduct": "[M+H]+",
        "mass_error_ppm": -0.4, "probability": 0.5, "probability_joint": 0.4, "evidence": {"msms": 1.5}, "links": {},
        "sources": ["library.csv"],
    }  # fmt: skip
    one = {
        "query": "an unknown", "problem": "", "precursor_mz": 195.0877, "adduct": "[M+H]+", "level": "3",
        "level_meaning": "tentative candidates", "level_evidence": "12 candidates", "probability_among": 0.8,
        "n_candidates": 12, "spectra": 3, "notes": [], "adducts": {}, "formulas": {},
        "candidates": [candidate | {"rank": n, "name": f"candidate {n}"} for n in range(1, 13)],
        "records": [
            spectrum | {"collision_energy": 20.0}, spectrum | {"collision_energy": 40.0},
            {"modality": "ccs", "value": 140.1, "adduct": "[M+H]+"},
        ],
    }  # fmt: skip
    return {"unknowns": [one]}


def test_paper_has_all_of_an_answer_and_nothing_to_press(visit: Any) -> None:
    page = visit(width=A4, dark=True)
    explained = {"peaks": [{"n": 1, "formula": "C6H8N3O+", "ppm": -0.1, "smiles": "CN", "p": 0.9, "atoms": "3"}]}
    told = {"smiles": CAFFEINE, "sketch": None, "below": None, "isotopes": [], **explained}
    page.context.route("**/api/v1/compare", lambda route: route.fulfill(json=told))
    answered(page, "identify", identification())
    until(page, "document.querySelectorAll('.ranks .mol').length === 12")
    until(page, "document.querySelectorAll('.peaks-known').length === 2")
    page.emulate_media(media="print", color_scheme="light")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    seen = page.locator("main").inner_text()
    for text in (
        "made up",
        "an unknown",
        "tentative candidates",
        "140.1",
        "20 eV",
        "40 eV",
        "138.0700",
        "None of these",
    ):
        assert text in seen, text
    assert all(f"candidate {n}" in seen for n in range(1, 13)), "those that are folded up on the screen, too"
    assert [b.inner_text() for b in page.get_by_role("button").all() if b.inner_text()[:9] != "candidate"] == []
    assert page.locator("header.top").is_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    fits(page)
    cut = """[...document.querySelectorAll("main *")].filter((one) => one.scrollWidth > one.clientWidth + 1
        && getComputedStyle(one).overflowX !== "visible" && one.clientWidth && !one.closest(".hidden, svg"))
        .map((one) => one.className)"""
    assert page.evaluate(cut) == []
    assert page.pdf(format="A4").count(b"/Type /Page\n") >= 2


def test_a_long_table_is_printed_whole(visit: Any) -> None:
    page = visit(width=A4)
    one = identification()["unknowns"][0] | {"candidates": [], "records": [], "notes": []}
    answered(page, "identify", {"unknowns": [one | {"query": f"unknown {n}"} for n in range(300)]})
    until(page, "document.querySelectorAll('.list tr[data-k]').length > 5")
    drawn = page.locator(".list tr[data-k]").count()
    assert drawn < 80
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".list tr[data-k]").count() == 300
    tall = page.locator(".list").evaluate("(list) => [list.clientHeight, list.scrollHeight]")
    assert tall[0] >= tall[1], "no row is cut off"
    fits(page)
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator(".list tr[data-k]").count() < 80, "and the screen is quick again"


def test_a_job_is_followed_cancelled_and_removed(visit: Any) -> None:
    page = visit("#/new/toy-count")
    page.get_by_label("N", exact=True).fill("100000")
    page.get_by_label("Pause").fill("0.05")
    page.get_by_label("Name of the job").fill("a long one")
    page.get_by_role("button", name="Start").click()
    page.locator(".progressing", has_text="counting in").wait_for()
    assert page.locator(".head .state").inner_text() == "running"
    assert page.locator("progress").get_attribute("max") == "100000"
    no_barriers(page)
    page.get_by_role("button", name="Cancel").click()
    page.locator(".head .state.cancelled").wait_for()
    page.get_by_role("link", name="Jobs").click()
    row = page.locator(".jobs tr", has_text="a long one")
    row.wait_for()
    assert "cancelled" in row.inner_text()
    row.get_by_role("button", name="Remove").click()
    row.wait_for(state="detached")


def finished(address: str, key: str = "") -> str:
    """A job that has counted to one, and written two files."""
    from molvis_serve import Client

    with Client(address, key=key or None) as client:
        made = client.submit("toy-count", {"n": 1}, title="counted")
        assert client.wait(made.id).state == "done"
    return f"#/job/{made.id}"


def downloaded(page: Any, name: str) -> str:
    with page.expect_download() as coming:
        page.get_by_role("button", name=f"Download {name}", exact=True).click()
    return Path(coming.value.path()).read_text(encoding="utf-8")


def test_what_a_job_made_is_downloaded(visit: Any, service: str) -> None:
    page = visit(finished(service))
    assert downloaded(page, "sub/page.html") == "<script>alert(1)</script>"
    assert downloaded(page, "kept.txt") == "begun 1\n"
    assert downloaded(page, "result.json") == '{"counted": 1, "begun": 1}'


def test_a_key_is_asked_for_and_kept_until_the_window_is_closed(browser: Any, offered: None, tmp_path: Path) -> None:
    with serving(tmp_path, api_keys=("open sesame",)) as address, visits(browser, address, "401") as visit:
        at = finished(address, "open sesame")
        page = visit(at)
        assert page.locator("h1").inner_text() == "This service asks for a key"
        assert page.evaluate("document.activeElement.id") == "key"
        assert page.locator("#status").inner_text() == "needs a key"
        no_barriers(page)
        page.keyboard.type("close sesame")
        page.keyboard.press("Enter")
        page.get_by_text("does not know this key").wait_for()
        page.get_by_label("API key").fill("open sesame")
        page.get_by_role("button", name="Go on").click()
        page.locator("h1", has_text="counted").wait_for()
        assert downloaded(page, "kept.txt") == "begun 1\n", "a link could not say the key"
        page.reload()
        page.locator("h1", has_text="counted").wait_for()
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        # Another window has no key.
        assert visit(at).locator("h1").inner_text() == "This service asks for a key"


def test_a_job_that_is_not_there_and_a_service_that_is_gone_are_told(browser: Any, service: str) -> None:
    with visits(browser, service, "404", "net::ERR") as visit:
        page = visit("#/jobs")
        page.evaluate("location.hash = '#/job/none'")
        page.locator(".problem", has_text="no such job").wait_for()
        assert page.get_by_role("link", name="All jobs").is_visible()
        page.context.route("**", lambda route: route.abort())
        page.evaluate("location.hash = '#/service'")
        page.locator(".problem", has_text="The service does not answer").wait_for()
        page.locator("#status.gone").wait_for()
        no_barriers(page)
        page.context.unroute("**")
        page.get_by_role("button", name="Try again").click()
        page.locator("h1", has_text="Service").wait_for()


@pytest.mark.parametrize("dark", [False, True])
def test_a_fit_of_fluxes_has_the_map_of_its_report(visit: Any, dark: bool) -> None:
    from molvis_core.output import to_plain
    from molvis_flux.fit.multistart import fit
    from molvis_flux.model.examples import antoniewicz
    from molvis_flux.report import figures, tables

    found = fit(antoniewicz(), starts=3, samples=200)
    page = visit(width=400 if dark else 1280, dark=dark)
    answered(page, "flux-fit", {**to_plain(tables.plain(found)), "pictures": figures.figures(found)})
    until(page, "document.querySelectorAll('.flux-map .tools').length > 0")
    drawn = page.locator("svg.fluxmap .flow[data-name]")
    assert {one.get_attribute("data-name") for one in drawn.all()} == set(antoniewicz().network.reactions)
    page.locator('svg.fluxmap .flow[data-name="v1"]').first.focus()
    assert "net 100" in page.locator(".said").inner_text()
    assert page.locator("tr.on").get_attribute("data-name") == "v1"
    page.get_by_role("button", name="larger").click()
    paper = page.locator("svg.fluxmap").first.evaluate("(svg) => getComputedStyle(svg).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(","))) < 200) is dark
    fits(page)
    no_barriers(page)
