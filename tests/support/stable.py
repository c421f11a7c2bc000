"""The names that `docs/stability.md` calls stable, and where the sources define them. Nothing is imported for it."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "stability.md"


@functools.cache
def sources() -> dict[str, Path]:
    """The file of each module of the project's packages, by the module's name."""
    found: dict[str, Path] = {}
    for package in (*ROOT.glob("*/src/molvis_*"), *ROOT.glob("[lp]*/molvis-*/src/molvis_*")):
        for file in package.rglob("*.py"):
            parts = file.relative_to(package.parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return dict(sorted(found.items()))


def stable_names(text: str | None = None) -> dict[str, list[str]]:
    """The names in each row of the page's tables, by module.

    Args:
        text: the page, instead of the one in `docs`.
    """
    page = PAGE.read_text(encoding="utf-8") if text is None else text
    rows = re.findall(r"^\| `(molvis_[\w.]+)` \| (`.*`) \|$", page, re.MULTILINE)
    return {module: re.findall(r"`(\w+)`", names) for module, names in rows}


@functools.cache
def tree(module: str) -> ast.Module:
    """The parsed source of a module."""
    return ast.parse(sources()[module].read_bytes())


def exported(module: str) -> list[str] | None:
    """What a module lists in `__all__`; None where it has none."""
    for node in tree(module).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return None


def definition(module: str, name: str) -> ast.stmt | None:
    """The statement that defines a name, in this module or in the one of ours that it imports it from."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and any((a.asname or a.name) == name for a in node.names):
            return definition(node.module, name) if node.module in sources() else None
    for node in reversed(tree(module).body):  # the last one: overloads come before what they stand for
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
            return node
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return node
    return None


def documented_imports(text: str) -> list[tuple[str, str]]:
    """Each name that code in a page or in a program imports from a package of ours, with its module."""
    lines = re.findall(r"^\s*from (molvis_[\w.]+) import \(?([\w, ]+)\)?\s*$", text, re.MULTILINE)
    return [(module, name.split(" as ")[0].strip()) for module, names in lines for name in names.split(",")]
