"""Files and functions that a reader can hold in the head, and a reason wherever one is more involved."""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import dataclass
from pathlib import Path

import checkout

LINES_OF_A_FILE = 500
LINES_OF_A_FUNCTION = 80
LINES_OF_THE_CORE = 3000
INVOLVED_FUNCTIONS = 10
BRANCHES_OF_A_FUNCTION = 15
# Tables of data: their length is that of what they list.
TABLES: dict[str, str] = {}


@dataclass(frozen=True)
class Function:
    """A function of the checkout.

    Attributes:
        path: of its file, from the root.
        name: of the function.
        lines: decorators not counted.
        branches: ways through it; None outside `src`.
    """

    path: Path
    name: str
    lines: int
    branches: int | None

    @property
    def is_table(self) -> bool:
        """Whether it is a plugin's manifest, whose length is that of what the plugin offers."""
        return self.name == "molvis_components"


@functools.cache
def functions() -> tuple[Function, ...]:
    """Every function of the checkout, parsed once for all tests of this file; no tree is kept."""
    return tuple(found for path in checkout.files("*.py") for found in functions_of(path))


def functions_of(path: Path) -> list[Function]:
    name, counted = path.relative_to(checkout.ROOT), "src" in path.parts
    return [
        Function(name, node.name, (node.end_lineno or 0) - node.lineno + 1, branches(node) if counted else None)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_no_file_is_longer_than_five_hundred_lines() -> None:
    lengths = {
        p.relative_to(checkout.ROOT).as_posix(): len(p.read_text(encoding="utf-8").splitlines())
        for p in checkout.files("*.py")
    }
    assert {name: n for name, n in lengths.items() if n > LINES_OF_A_FILE and name not in TABLES} == {}
    assert [name for name in TABLES if lengths.get(name, 0) <= LINES_OF_A_FILE] == []


def test_the_core_stays_small() -> None:
    core = checkout.ROOT / "core" / "src"
    counted = [p for p in checkout.files("*.py") if core in p.parents and "testing" not in p.parts]
    assert sum(len(p.read_text(encoding="utf-8").splitlines()) for p in counted) < LINES_OF_THE_CORE


def test_no_function_is_longer_than_eighty_lines() -> None:
    long = {f"{f.path}:{f.name}": f.lines for f in functions() if f.lines > LINES_OF_A_FUNCTION and not f.is_table}
    assert long == {}


def test_few_functions_are_involved_and_each_says_why() -> None:
    found = [
        (path.relative_to(checkout.ROOT).as_posix(), line.strip())
        for path in checkout.files("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"# noqa:.*\bC901\b", line) and path != Path(__file__)
    ]
    assert len(found) <= INVOLVED_FUNCTIONS
    assert [(path, line) for path, line in found if not re.search(r"\bC901\b[\w, ]* - \w+ \w+", line)] == []


BRANCHES = (ast.If, ast.For, ast.While, ast.ExceptHandler, ast.IfExp, ast.comprehension, ast.Assert)


def branches(function: ast.AST) -> int:
    """Ways through a function. Stricter than ruff's C901: comprehensions, `a if b else c`, `and` and `or` count too."""
    nodes = list(ast.walk(function))
    operands = sum(len(node.values) - 1 for node in nodes if isinstance(node, ast.BoolOp))
    return 1 + operands + sum(isinstance(node, BRANCHES) for node in nodes)


def test_few_functions_have_many_branches() -> None:
    found = {
        f"{f.path}:{f.name}": f.branches
        for f in functions()
        if f.branches is not None and f.branches > BRANCHES_OF_A_FUNCTION
    }
    assert len(found) <= INVOLVED_FUNCTIONS, found
