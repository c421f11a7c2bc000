"""The names that the documentation calls stable exist, are documented, and are all that it uses itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import stable

ROOT = Path(__file__).resolve().parents[1]
STABLE = stable.stable_names()
PACKAGES = {module for module in stable.sources() if "." not in module}
USERS = sorted(
    path
    for pattern in (
        "README.md",
        "docs/**/*.md",
        "*/README.md",
        "*/*/README.md",
        "examples/*.py",
        "plugins/_template/**/*.py",
    )
    for path in ROOT.glob(pattern)
)


def test_the_page_has_rows_for_the_packages_that_programs_import() -> None:
    assert {module.partition(".")[0] for module in STABLE} == PACKAGES - {
        "molvis_cli",
        "molvis_losses",
        "molvis_models",
        "molvis_nmr_library",
    }


@pytest.mark.parametrize("module", STABLE)
def test_a_stable_name_exists_and_has_a_docstring(module: str) -> None:
    assert ast.get_docstring(stable.tree(module))
    found = {name: stable.definition(module, name) for name in STABLE[module]}
    assert [name for name, node in found.items() if node is None] == []
    documentable = {n: node for n, node in found.items() if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    assert [name for name, node in documentable.items() if not ast.get_docstring(node)] == []
    assert STABLE[module] == sorted(set(STABLE[module]))


@pytest.mark.parametrize("module", STABLE)
def test_what_a_stable_module_exports_holds_its_stable_names(module: str) -> None:
    listed = stable.exported(module)
    assert listed is None or set(STABLE[module]) <= set(listed)


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_all_that_a_package_exports_is_stable(package: str) -> None:
    assert sorted(stable.exported(package) or []) == STABLE.get(package, [])


@pytest.mark.parametrize("path", USERS, ids=lambda p: str(p.relative_to(ROOT)))
def test_documentation_imports_stable_names_only(path: Path) -> None:
    used = stable.documented_imports(path.read_text(encoding="utf-8"))
    ours = [(module, name) for module, name in used if module.partition(".")[0] in PACKAGES]
    assert [(m, n) for m, n in ours if n not in STABLE.get(m, []) and f"{m}.{n}" not in STABLE] == []


def test_names_are_read_from_a_page_and_from_code() -> None:
    assert stable.stable_names("| `molvis_core.errors` | `A`, `B` |\n| other | row |") == {
        "molvis_core.errors": ["A", "B"]
    }
    code = "from molvis_core.errors import A as C, B\n    from molvis_core import (D)\nfrom os import path"
    assert stable.documented_imports(code) == [
        ("molvis_core.errors", "A"), ("molvis_core.errors", "B"), ("molvis_core", "D"),
    ]  # fmt: skip
