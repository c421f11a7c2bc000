"""What tests of pages share: Chromium, and what is done and looked for in it."""

from __future__ import annotations

import base64
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((found for name in BROWSERS if (found := shutil.which(name))), None)
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync")  # fmt: skip
_WAIT = 30_000
_REFUSALS = "addEventListener('securitypolicyviolation', (e) => console.error('policy', e.blockedURI, e.sourceFile))"
NEEDS_CHROMIUM = pytest.mark.skipif(
    CHROMIUM is None, reason="the page is looked at with Chromium, which is missing: make browser"
)
CAFFEINE = "Cn1c(=O)c2c(ncn2C)n(C)c1=O"


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS), timeout=_WAIT)
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def visits(browser: Any, address: str, *expected: str) -> Iterator[Callable[..., Any]]:
    """Opens pages of a service. In the end nothing odd was logged, and nothing asked for elsewhere.

    Args:
        browser: to open them in, each with storage of its own.
        address: of the service.
        expected: parts of what a browser logs of refusals that a test asks for.
    """
    contexts: list[Any] = []
    odd: list[str] = []

    def told(said: Any) -> None:
        if said.type in ("error", "warning") and not any(part in said.text for part in expected):
            odd.append(said.text)

    def open_page(at: str = "", *, width: int = 1280, dark: bool = False) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 844 if width < 700 else 900}, has_touch=width < 700,
            color_scheme="dark" if dark else "light", reduced_motion="reduce",
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(_WAIT)
        page.on("console", told)
        page.on("pageerror", lambda error: odd.append(str(error)))
        page.on("request", lambda sent: odd.append(sent.url) if not _own(sent.url, address) else None)
        page.add_init_script(_REFUSALS)
        page.goto(address + at)
        page.locator("main h1").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert odd == []


def _own(url: str, service: str) -> bool:
    return url.startswith((service, "data:", "blob:"))


def drop(page: Any, name: str, text: str) -> None:
    """A file, as a hand would drop it onto the page."""
    page.evaluate(
        """([name, text]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
            for (const kind of ["dragenter", "dragover", "drop"]) {
                const how = { bubbles: true, cancelable: true, dataTransfer: transfer };
                document.body.dispatchEvent(new DragEvent(kind, how));
            }
        }""",
        [name, base64.b64encode(text.encode()).decode()],
    )
    page.locator(".files li", has_text=name).wait_for()


def until(page: Any, what: str) -> None:
    """Wait for an expression to hold. Playwright's own way evaluates text within the page, which its policy forbids."""
    end = time.monotonic() + _WAIT / 1000
    while not page.evaluate(what):
        assert time.monotonic() < end, what
        page.wait_for_timeout(30)


def no_barriers(page: Any) -> None:
    """Nothing that axe calls serious or critical."""
    from axe_playwright_python import sync_playwright as axe

    found = axe.Axe().run(page).response["violations"]
    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["html"][:160] for node in one["nodes"][:3]]) for one in grave] == []


def fits(page: Any) -> None:
    """Nothing is wider than the screen."""
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]


def thousand(folder: Path) -> str:
    """The report over a run of a thousand features."""
    from molvis_core.records import PeakList
    from molvis_files.sketch import sketch
    from molvis_lcms.records import Feature
    from molvis_retrieval.run_page import RunFacts, write_run_page

    spectrum = PeakList([110.0713, 138.0662, 195.0877], [0.3, 1.0, 0.1], 195.0877, collision_energy=30.0)
    candidate = {
        "rank": 1, "smiles": CAFFEINE, "inchikey": "RYYVLZVUVIJVGH-UHFFFAOYSA-N", "formula": "C8H10N4O2",
        "exact_mass": 194.080376, "name": "caffeine", "adduct": "[M+H]+", "mass_error_ppm": -0.4, "probability": 0.9,
        "probability_joint": 0.72, "evidence": {"msms": 1.5}, "identifiers": [], "sources": ["library.csv"],
    }  # fmt: skip
    one = {
        "level": "3", "level_evidence": "1 candidate", "probability_among": 0.8, "n_candidates": 1, "problem": "",
        "ions": {}, "unknown": "F1", "q_value": None, "adducts": {"[M+H]+": 1.0}, "formulas": {},
        "candidates": [candidate],
    }  # fmt: skip
    peak = {"n": 1, "formula": "C6H8N3O+", "ppm": -0.1, "smiles": "CN", "p": 0.97, "atoms": "3", "mzpaf": ""}
    details = {"sketches": {CAFFEINE: sketch(CAFFEINE)}, "isotopes": [[0.0, 1.0], [1.0028, 0.098]], "peaks": [peak]}
    feature = Feature(
        "F1", 195.0877, 60.6, 55.0, 66.0, "positive", 1, 1e6, {"a.mzML": 5e6}, np.array([195.0877, 196.0905]),
        np.array([100.0, 9.1]), (spectrum,), spectrum, ("17",), (), 1, trace_time=np.linspace(55, 66, 12),
        trace_intensity=np.hanning(12) * 1e6,
    )  # fmt: skip
    found = [
        (replace(feature, identifier=f"F{n}", mz=100 + n / 2), one if n % 10 else None, details if n % 10 else None)
        for n in range(1, 1001)
    ]
    write_run_page(folder / "report.html", found, RunFacts(["a.mzML"]))
    return (folder / "report.html").read_text(encoding="utf-8")
