"""The page on the architecture names what there is, and leaves out no package."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pictures

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
TEXT = PAGE.read_text(encoding="utf-8")
NAME = re.compile(r"\bmolvis_[a-z]+(?:\.\w+)*")
SOURCES = [
    *ROOT.glob("*/src/molvis_*"), *ROOT.glob("libraries/*/src/molvis_*"), *ROOT.glob("plugins/[!_]*/src/molvis_*")
]  # fmt: skip
HOMES = {path.name: path for path in SOURCES}


def defined(file: Path) -> set[str]:
    """The names that a module defines or imports, and members of its classes as `Class.member`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{n.name}" for n in node.body if isinstance(n, ast.FunctionDef)}
    return found


def exists(name: str) -> bool:
    """Whether a dotted name is a package, a module, or something that a module defines."""
    first, *parts = name.split(".")
    if first not in HOMES:
        return False
    here = HOMES[first]
    while parts and (here / parts[0]).is_dir():
        here /= parts.pop(0)
    if parts and (here / f"{parts[0]}.py").is_file():
        file = here / f"{parts.pop(0)}.py"
    else:
        file = here / "__init__.py"
    return file.is_file() and (not parts or ".".join(parts) in defined(file))


def test_every_name_on_the_page_exists() -> None:
    names = set(NAME.findall(TEXT))
    assert len(names) > 50
    assert sorted(name for name in names if not exists(name)) == []


def test_every_package_and_its_packages_are_in_the_picture() -> None:
    ((source, _),) = pictures.pictures(PAGE)
    inside = {
        ".".join([home.name, *folder.parent.relative_to(home).parts])
        for home in HOMES.values()
        for folder in (*home.glob("__init__.py"), *home.glob("*/__init__.py"))
    }
    shown = set()
    for label in re.findall(r'\["(molvis_[^"]*)"\]', source):
        home = ""
        for word in re.split(r"<br/>|\s+", label.partition(":")[0]):
            home = home if word.startswith(".") else word
            shown |= {home, home.partition(".")[0], home + word if word.startswith(".") else word}
    assert sorted(name for name in shown if not exists(name)) == []
    assert sorted(name for name in inside if "._" not in name and name not in shown) == []


def test_the_way_of_each_command_is_in_the_picture_and_in_the_text() -> None:
    ((source, _),) = pictures.pictures(PAGE)
    for command in ("identify", "train", "nmr fit", "flux fit"):
        assert f'"{command}' in source
        assert f"`molvis {command}`" in TEXT


def test_modules_are_where_the_page_says_that_they_went() -> None:
    text = (ROOT / "docs" / "moved.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(molvis_\S+)` \| (.*) \|$", text, re.MULTILINE)
    assert len(rows) > 100
    assert sorted(new for _, cell in rows for new in re.findall(r"`(\S+)`", cell) if not exists(new)) == []
