"""What the site adds to the pages: the Python API from docstrings, the list of decisions, and drawings.

The pages are also read in a checkout, where a link may lead to a file beside `docs/`. The site has no such files, so
that there the link's text stands alone.
"""

from __future__ import annotations

import ast
import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "support"))

import pictures  # noqa: E402 - found there
import stable  # noqa: E402

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)#\s]*)(?:#[^)]*)?\)")


def sources() -> list[Path]:
    """The `src` folder of every package, the core's first."""
    return [p.parent for p in sorted(ROOT.glob("*/src/molvis_*")) + sorted(ROOT.glob("[lp]*/molvis-*/src/molvis_*"))]


def modules() -> Iterator[tuple[str, Path]]:
    """The name and file of each public module: no part of its name begins with an underscore."""
    for source in sources():
        for file in sorted(source.glob("molvis_*/**/*.py")):
            parts = file.relative_to(source).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if not any(part.startswith("_") for part in parts):
                yield ".".join(parts), file


def page_of(name: str) -> str:
    """The path of a module's page inside the site."""
    return f"api/{name}.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Adds the packages and the decisions to the navigation, and says where mkdocstrings finds the packages."""
    config["plugins"]["mkdocstrings"].config.handlers["python"]["paths"] = [str(p) for p in sources()]
    packages = ["api/index.md", *({name: page_of(name)} for name, _ in modules() if "." not in name)]
    numbered = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    for section in config["nav"] or []:
        section.get("Reference", []).append({"Python API": packages})
        for entry in section.get("Explanation", []):
            if "Decisions" in entry:
                entry["Decisions"] = ["decisions/index.md", *(f"decisions/{p.name}" for p in numbered)]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for each module, and one that lists the packages."""
    found = {name: _summary(file) for name, file in modules()}
    for name in found:
        files.append(File.generated(config, page_of(name), content=_page(name, found)))
    packages = "\n".join(f"- [`{name}`]({name}.md): {what}" for name, what in found.items() if "." not in name)
    text = f"# Python API\n\nMade from the docstrings of every public module.\n\n{packages}\n"
    files.append(File.generated(config, "api/index.md", content=text))
    return files


def _page(name: str, found: dict[str, str]) -> str:
    """What stands on a module's page: where it belongs, its docstrings, and the modules below it."""
    home = name.rpartition(".")[0]
    above = f"Part of [`{home}`]({home}.md).\n\n" if home else ""
    if names := stable.stable_names().get(name):
        above += f"[Stable names](../stability.md): {', '.join(f'`{n}`' for n in names)}.\n\n"
    elif home:
        above += "An internal module: its names may change in any release, see [What is stable](../stability.md).\n\n"
    inside = [n for n in found if n.startswith(f"{name}.") and (not home or n.count(".") == name.count(".") + 1)]
    below = "\n".join(f"| [`{n}`]({n}.md) | {found[n]} |" for n in inside)
    below = f"\n## Modules\n\n| module | what |\n| --- | --- |\n{below}\n" if below else ""
    return f"---\ntitle: {name}\n---\n\n# `{name}`\n\n{above}::: {name}\n{below}"


def _summary(file: Path) -> str:
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.split("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links that leave `docs/` into their text, and sources of pictures into the drawings.

    The first page needs no navigation beside it.
    """
    del config, files
    if page.is_homepage:
        page.meta["hide"] = ["navigation"]
    home = posixpath.dirname(page.file.src_uri)

    def inside(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(home, found[2]))
        return found[1] if target.startswith("..") else found[0]

    if "```mermaid" in markdown:
        page.meta["hide"] = ["toc"]  # the drawing needs the width
    drawings = iter(pictures.pictures(ROOT / "docs" / page.file.src_uri) if "```mermaid" in markdown else [])

    def drawn(found: re.Match[str]) -> str:
        title = re.search(r"accTitle: (.*)", found[1])
        address = f"images/{next(drawings)[1].name}"
        return f"[![{title[1] if title else 'picture'}]({address})]({address})"

    return pictures.BLOCK.sub(drawn, _LINK.sub(inside, markdown))
