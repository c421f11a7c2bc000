"""Pictures of the documentation that are written in Mermaid, drawn once: no reader's browser has to load Mermaid.

`make pictures MERMAID=mermaid.min.js` draws anew what has changed; the script is that of the npm package `mermaid`
(12.3.0), and Chromium runs it. The pictures lie beside the pages. Each begins with the digest of its source, which the
site's hook and a test compare.
"""

from __future__ import annotations

import hashlib
import html
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PAGE = """<!doctype html><meta charset="utf-8"><body><script src="{script}"></script><pre id="source">{source}</pre>
<div id="picture"></div><script>
mermaid.initialize({{startOnLoad: false, deterministicIds: true, htmlLabels: false, theme: "neutral",
  flowchart: {{htmlLabels: false, curve: "basis", nodeSpacing: 18, rankSpacing: 36, padding: 6}},
  fontFamily: "sans-serif"}});
mermaid.render("picture-svg", document.getElementById("source").textContent)
  .then(({{svg}}) => {{ document.getElementById("picture").innerHTML = svg; }})
  .catch((error) => {{ document.getElementById("picture").textContent = "failed: " + error; }});
</script>"""


def digest(source: str) -> str:
    """What a picture begins with."""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def pictures(page: Path) -> list[tuple[str, Path]]:
    """The source and the drawing of each block of a page."""
    sources = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(s, page.parent / "images" / f"{page.stem}-{k}.svg") for k, s in enumerate(sources, 1)]


def is_current(source: str, drawing: Path) -> bool:
    """Whether a drawing was made from this source."""
    mark = f"<!-- source: {digest(source)} -->"
    return drawing.is_file() and drawing.read_text(encoding="utf-8").startswith(mark)


def draw(source: str, script: Path) -> str:
    """The drawing of a source, by Chromium and Mermaid.

    Raises:
        RuntimeError: Mermaid refuses the source.
    """
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(_PAGE.format(script=script.resolve().as_uri(), source=html.escape(source)), encoding="utf-8")
        browser = [os.environ.get("CHROMIUM", "chromium"), "--headless", "--no-sandbox", "--disable-gpu"]
        command = [*browser, "--virtual-time-budget=20000", "--dump-dom", page.as_uri()]
        dumped = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r'<div id="picture">(.*?)</div><script>', dumped, re.DOTALL)
    if not found or not found[1].startswith("<svg"):
        raise RuntimeError(f"Mermaid did not draw the picture: {found[1][:300] if found else dumped[:300]}")
    svg = found[1].replace("<br>", "<br/>")
    return f"<!-- source: {digest(source)} -->\n{svg}\n"


def main(script: str) -> None:
    """Draw what has changed."""
    for page in sorted((ROOT / "docs").glob("**/*.md")):
        for source, drawing in pictures(page):
            if not is_current(source, drawing):
                drawing.parent.mkdir(exist_ok=True)
                drawing.write_text(draw(source, Path(script)), encoding="utf-8")
                sys.stdout.write(f"drew {drawing.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main(sys.argv[1])
