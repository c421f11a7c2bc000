"""The part of CHANGELOG.md that is not released yet, from the fragments in each package's `changes/`.

`make docs` rewrites it, and a test asks that it is up to date. A release turns it into an entry with a version and a
date: see CONTRIBUTING.md.
"""

from __future__ import annotations

import re
import textwrap
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = ROOT / "CHANGELOG.md"
SECTIONS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
FRAGMENT = re.compile(rf"(\d+)\.({'|'.join(s.lower() for s in SECTIONS)})\.md")
_UNRELEASED = re.compile(r"(## \[Unreleased\]\n).*?(?=^## \[|\Z)", re.DOTALL | re.MULTILINE)


def packages() -> dict[str, Path]:
    """The folder of each distribution, the core's first."""
    first = [ROOT / "core", ROOT / "molvis_cli"]
    others = [p.parent for f in ("libraries", "plugins") for p in sorted(ROOT.glob(f"{f}/[!_]*/pyproject.toml"))]
    return {
        tomllib.loads((p / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]: p for p in first + others
    }


def entries(section: str) -> dict[str, list[str]]:
    """The paragraphs of one section for each distribution, in the order of the fragments' numbers."""
    found: dict[str, list[str]] = {}
    for name, folder in packages().items():
        fragments = [(int(m[1]), p) for p in (folder / "changes").glob("*.md") if (m := FRAGMENT.fullmatch(p.name))]
        for _, path in sorted(f for f in fragments if f[1].name.split(".")[1] == section.lower()):
            found.setdefault(name, []).extend(path.read_text(encoding="utf-8").strip().split("\n\n"))
    return found


def updated(text: str) -> str:
    """The changelog with what is not released yet as the fragments have it."""
    lines: list[str] = []
    for section in SECTIONS:
        if not (found := entries(section)):
            continue
        lines += [f"### {section}", ""]
        for name, paragraphs in found.items():
            lines += [f"#### {name}", "", *(_item(p) for p in paragraphs), ""]
    return _UNRELEASED.sub(lambda m: f"{m[1]}\n" + "\n".join(lines), text)


def _item(paragraph: str) -> str:
    return textwrap.fill(
        " ".join(paragraph.split()), 120, initial_indent="- ", subsequent_indent="  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def main() -> None:
    """Rewrite the file."""
    old = CHANGELOG.read_text(encoding="utf-8")
    if (new := updated(old)) != old:
        CHANGELOG.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
