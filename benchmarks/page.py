"""How soon the page of a service paints, and how long it keeps a finger waiting with a thousand features.

    molvis serve --library structures.csv &
    PYTHONPATH=tests/support .venv/bin/python benchmarks/page.py http://127.0.0.1:8000/

Chromium's PerformanceObserver tells the first paint and every task over 50 ms. The run of tests/support/browsing.py is
opened,
filtered by each of ten texts, sorted by each column, walked through by keys, and read feature by feature.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from browsing import chromium, thousand

WATCH = """
globalThis.tasks = [];
new PerformanceObserver((list) => list.getEntries().forEach((e) => tasks.push(Math.round(e.duration))))
  .observe({ type: "longtask", buffered: true });
"""


def main() -> None:
    """Measure, and print as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        report = thousand(Path(folder))
        found = [_measured(browser, given.address, report) for _ in range(given.turns)]
    print(json.dumps({"first_paint_ms": [p for p, _ in found], "long_tasks_ms": [t for _, t in found]}))


def _measured(browser: Any, address: str, report: str) -> tuple[int, list[int]]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script(WATCH)
    job = {
        "id": "run", "operation": "annotate", "title": "", "options": {}, "files": {}, "state": "done", "ahead": None,
        "created": 1.0, "started": 1.0, "ended": 9.0, "expires": None, "attempts": 1, "problem": "",
        "progress": {"done": 1, "total": 1, "what": ""}, "results": [{"name": "report.html", "bytes": 1, "url": ""}],
    }  # fmt: skip
    as_page = {"body": report, "content_type": "text/html"}
    context.route("**/jobs/run", lambda route: route.fulfill(json=job))
    context.route("**/jobs/run/files/report.html", lambda route: route.fulfill(**as_page))
    page.goto(address)
    page.locator("main h1").wait_for()
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    page.evaluate("location.hash = '#/job/run'")
    page.locator(".list tr[data-k]").first.wait_for()
    for text in ("1", "2", "caffeine", "F9", "M+H", "x", "15", "C8", "600", ""):
        page.get_by_role("searchbox").fill(text)
    for head in page.locator(".list thead button").all():
        head.click()
    page.get_by_role("searchbox").press("ArrowDown")
    for key in ("PageDown", "End", "Home", "ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.locator(".panel .frame").wait_for()
    for _ in range(10):
        page.get_by_role("button", name="Next").click()
        page.wait_for_timeout(100)
    tasks = page.evaluate("tasks")
    context.close()
    return round(paint), tasks


if __name__ == "__main__":
    main()
