"""The page of the service in Chromium: from a file to its answer, by pointer and by keys, on a desk and on a phone.

One server and one browser serve all tests. Without a browser they are skipped; `make browser` installs Debian's.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import CAFFEINE, NEEDS_CHROMIUM, chromium, drop, fits, no_barriers, thousand, until, visits

pytest.importorskip("playwright.sync_api", reason="the page is driven by: pip install playwright")
pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs: pip install axe-playwright-python")
pytestmark = [pytest.mark.full, NEEDS_CHROMIUM]

LIBRARY = f"name,smiles\ncaffeine,{CAFFEINE}\nisocaffeine,Cn1cnc2c1n(C)c(=O)n(C)c2=O\nproline,OC(=O)C1CCCN1\n"
IN_HOUSE = "name,smiles\nethanol,CCO\nguaranine,Cn1cnc2c1c(=O)n(C)c(=O)n2C\n"
PEAKS = "69.0447 10\n83.0604 10\n110.0713 30\n123.0427 10\n138.0662 100\n163.0614 10\n"
HEAD = "BEGIN IONS\nTITLE={}\nPEPMASS=195.0877\nCHARGE=1+\nADDUCT=[M+H]+\nCOLLISION_ENERGY=30\n"
MGF = "".join(HEAD.format(name) + PEAKS + "END IONS\n" for name in ("first <b>unknown</b>", "second"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a service with the shipped bundle, and two libraries of three structures and one."""
    home = tmp_path_factory.mktemp("service")
    (home / "library.csv").write_text(LIBRARY, encoding="utf-8")
    (home / "in-house.csv").write_text(IN_HOUSE, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--library", "library.csv", "--library", "in-house.csv", "--port", str(port), "--workers", "1"]
    command = [sys.executable, "-m", "molvis_cli", "serve", *options]
    settings = {"MOLVIS_SERVE_STATE": str(home / "state"), "OMP_NUM_THREADS": "1", "MOLVIS_SERVE_GRACE_SECONDS": "1"}
    with (home / "log").open("wb") as log:
        running = subprocess.Popen(command, cwd=home, env=os.environ | settings, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}/"
    try:
        until = time.monotonic() + 120
        while not _answers(address + "ready"):
            said = (home / "log").read_text(encoding="utf-8")[-2000:]
            assert running.poll() is None, said
            assert time.monotonic() < until, said
            time.sleep(0.2)
        yield address
    finally:
        running.terminate()
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def visit(browser: Any, service: str) -> Iterator[Any]:
    with visits(browser, service) as open_page:
        yield open_page


@pytest.fixture(scope="module")
def job(service: str) -> str:
    """The address of a job that has identified caffeine's peaks, on the page."""
    from molvis_serve import Client

    peaks = [[float(x) for x in line.split()] for line in PEAKS.splitlines()]
    options = {"peaks": peaks, "precursor_mz": 195.0877, "adduct": "[M+H]+", "classes": True}
    with Client(service) as client:
        made = client.submit("identify", options, title="caffeine?")
        assert client.wait(made.id).state == "done"
    return f"#/job/{made.id}"


def test_a_file_is_dropped_and_its_answer_read(visit: Any) -> None:
    page = visit()
    drop(page, "unknowns.mgf", MGF)
    assert page.locator("input[value=identify]").is_checked()
    page.get_by_role("button", name="Start").click()
    page.locator(".panel .ranks .mol").first.wait_for()
    # What a file says is text, and never markup.
    assert page.locator(".list tr[data-k]").first.inner_text().startswith("first <b>unknown</b>")
    ranks = page.locator(".panel .ranks > li")
    assert ranks.first.locator(".what button").inner_text() in ("caffeine", "isocaffeine")
    assert "None of these" in ranks.last.inner_text()
    assert page.locator(".panel .level .tag").count() == 1
    page.locator(".key.known").first.wait_for()
    # Pointing at a peak shows its atoms; those of the drawing mark the peaks.
    page.locator(".panel .frame").scroll_into_view_if_needed()
    page.locator(".panel .frame").press("End")
    until(page, "document.querySelector('.panel circle.on')")
    box = page.locator(".panel circle.on").bounding_box()
    page.locator("h1").click()
    page.mouse.move(box["x"] + 3, box["y"] + 8)
    until(page, "document.querySelector('.panel .said b')?.textContent.startsWith('m/z 163')")
    rows = page.locator(".panel .peaks-known tbody tr")
    page.locator(".panel summary", has_text="peaks explained").click()
    rows.first.focus()
    until(page, "document.querySelector('.panel .chosen path.halo')")
    page.locator(".panel .chosen svg.mol").focus()
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('.panel .said b')?.textContent === 'Atom 1'")
    # The next unknown, by a key.
    page.locator(".list tr[data-k]").first.focus()
    page.keyboard.press("ArrowDown")
    until(page, "document.querySelector('.panel h2').textContent === 'second'")
    assert page.url.endswith("/2")


def test_peaks_are_pasted_and_sent_by_keys_alone(visit: Any) -> None:
    page = visit()

    def tab_to(what: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("(what) => document.activeElement.matches(what)", what):
                return
        raise AssertionError(f"{what} is not reached by the Tab key")

    tab_to(".segments button:nth-child(2)")
    page.keyboard.press("Enter")
    tab_to("#option-peaks")
    page.keyboard.type("138.0662 100 nothing\nhere 2\n")
    assert "Line 2" in page.locator(".count.bad").inner_text()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(PEAKS)
    tab_to("#option-precursor_mz")
    page.keyboard.type("much")
    tab_to("button.main")
    page.keyboard.press("Enter")
    assert "must be a number" in page.locator(".begin .problem").inner_text()
    assert page.evaluate("document.activeElement.id") == "option-precursor_mz"
    page.keyboard.press("Control+A")
    page.keyboard.type("195.0877")
    tab_to("#option-adduct")
    page.keyboard.type("[M+H]+")
    page.keyboard.press("Enter")
    page.locator(".answer .ranks .mol").first.wait_for()
    page.reload()
    page.locator(".answer .ranks .mol").first.wait_for()


def test_one_of_several_libraries_is_searched_for_several_measurements(visit: Any) -> None:
    page = visit()
    drop(page, "low.mgf", HEAD.format("low") + PEAKS + "END IONS\n")
    drop(page, "high.mgf", HEAD.format("high").replace("=30", "=55") + PEAKS + "END IONS\n")
    # Adducts are suggested, also in a form that took another's place.
    for operation in ("explain", "identify"):
        page.locator(f"input[value={operation}]").check()
        until(page, "document.getElementById('option-adduct').list?.options.length > 5")
    libraries = page.get_by_label("Library", exact=True)
    assert libraries.locator("option").all_inner_texts() == [
        "all together, the first with priority", "library.csv (3)", "in-house.csv (2)",
    ]  # fmt: skip
    libraries.select_option("in-house.csv")
    page.get_by_label("All of one unknown").check()
    page.get_by_label("CCS").fill("[M+H]+=140.1")
    page.get_by_role("button", name="Start").click()
    page.locator(".answer .ranks .mol").first.wait_for()
    assert "3 measurements" in page.locator("main header").inner_text()
    assert "in-house.csv" in page.locator("main header").inner_text()
    assert [one.inner_text() for one in page.locator(".ranks .what button").all()] == ["guaranine"]
    assert page.locator(".measurements figure").count() == 2
    assert "140.1" in page.locator(".measured-values").inner_text()
    page.get_by_role("button", name="55 eV").click()
    assert page.locator(".measurements figure figcaption").all_inner_texts() == ["MS/MS · [M+H]+ · 55 eV · 6 peaks"]
    no_barriers(page)


def test_what_is_wrong_is_said_as_it_is(visit: Any) -> None:
    page = visit()
    page.get_by_role("button", name="Start").click()
    assert "No file is chosen" in page.locator(".begin .problem").inner_text()
    drop(page, "broken.mgf", "BEGIN IONS\nno spectrum\n")
    page.get_by_role("button", name="Start").click()
    problem = page.locator("main .problem").first
    problem.wait_for()
    assert "broken.mgf" in problem.inner_text() or "line" in problem.inner_text()


def test_candidates_are_compared(visit: Any, job: str) -> None:
    page = visit(job)
    page.locator(".ranks .mol").first.wait_for()
    for number in (0, 1):
        page.locator(".pick input").nth(number).check()
    page.locator(".columns section").nth(1).wait_for()
    assert page.locator(".columns section").count() == 2
    until(page, "!document.querySelector('.columns').textContent.includes('...')")
    page.locator(".ranks .what button").nth(1).click()
    assert page.locator(".ranks li[aria-current]").get_attribute("data-n") == "1"


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_nobody_is_kept_out(visit: Any, job: str, width: int, dark: bool) -> None:
    page = visit(job, width=width, dark=dark)
    page.locator(".key.known, .said").first.wait_for()
    page.locator(".ranks .mol").first.wait_for()
    no_barriers(page)
    fits(page)
    for at in ("#/jobs", "#/service", "#/nowhere", "#/new/annotate", "#/new/nmr-fit"):
        page.evaluate("(at) => { location.hash = at; }", at)
        until(page, "document.activeElement.tagName === 'H1' || location.hash.startsWith('#/new')")
        page.wait_for_timeout(100)
        no_barriers(page)
        fits(page)


def test_a_run_of_a_thousand_features_is_filtered_and_read(visit: Any, service: str, tmp_path: Path) -> None:
    report = thousand(tmp_path)
    page = visit("#/jobs")
    result = {"name": "report.html", "bytes": len(report), "url": ""}
    job = {
        "id": "run", "operation": "annotate", "title": "a run", "options": {}, "files": {"runs": ["a.mzML"]},
        "state": "done", "ahead": None, "created": 1.0, "started": 1.0, "ended": 9.0, "expires": None, "attempts": 1,
        "problem": "",
        "progress": {"done": 1, "total": 1, "what": ""}, "results": [result],
    }  # fmt: skip
    page.context.route("**/jobs/run", lambda route: route.fulfill(json=job))
    as_page = {"body": report, "content_type": "text/html"}
    page.context.route("**/jobs/run/files/report.html", lambda route: route.fulfill(**as_page))
    page.evaluate("location.hash = '#/job/run'")
    page.locator(".list tr[data-k]").first.wait_for()
    assert "1,000 features" in page.locator(".filters .tally").inner_text()
    assert page.locator(".list tr[data-k]").count() < 80
    page.get_by_role("searchbox").fill("F777")
    until(page, "document.querySelectorAll('.list tr[data-k]').length === 1")
    page.get_by_role("searchbox").fill("")
    page.get_by_role("button", name="m/z").click()
    page.get_by_role("button", name="m/z").click()
    assert page.locator(".list tr[data-k] .c-mz, .list tr[data-k] td.c-mz").first.inner_text() == "600.0000"
    page.get_by_role("searchbox").press("ArrowDown")
    page.keyboard.press("End")
    until(page, "document.activeElement.dataset.place === '999'")
    page.keyboard.press("Enter")
    page.locator(".panel .chosen .mol").wait_for()
    assert page.url.endswith("#/job/run/F1")
    no_barriers(page)
    page.keyboard.press("Escape")
    until(page, "document.querySelector('.panel').hidden")
