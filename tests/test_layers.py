"""CLI and plugins stand on core, core knows neither, no plugin knows another, and nothing heavy loads at start."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
HEAVY = {"torch", "rdkit", "pyarrow", "matplotlib", "scipy", "pandas", "numpy", "torch_geometric", "lightning_fabric"}


def import_packages() -> set[str]:
    folders = [
        ROOT / "core" / "src",
        ROOT / "molvis_cli" / "src",
        *ROOT.glob("libraries/*/src"),
        *ROOT.glob("plugins/molvis*/src"),
    ]
    return {package.parent.name for folder in folders for package in folder.glob("*/__init__.py")}


def test_shapes_are_checked_in_every_module_that_can_hold_arrays(pytestconfig: pytest.Config) -> None:
    checked = tuple(pytestconfig.getoption("--jaxtyping-packages").split(","))
    for package in import_packages() - {"molvis_cli", "molvis_models", "molvis_nmr_library"}:  # these hold none
        (folder,) = [p for p in (*ROOT.glob("core/src/*"), *ROOT.glob("*/*/src/*")) if p.name == package]
        for path in folder.rglob("*.py"):
            module = ".".join(path.relative_to(folder.parent).with_suffix("").parts)
            if path.name in ("__init__.py", "plugin.py", "modality.py") or "commands" in path.parts:
                continue
            # What Numba compiles wants annotations as they are.
            compiled = "njit" in path.read_text(encoding="utf-8")
            assert compiled != f"{module}.".startswith(tuple(f"{name}." for name in checked)), module


def test_the_layers_hold() -> None:
    # In a process of its own: import-linter sets logging up anew, which turns off the loggers that are there.
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_package_of_the_repository_has_its_place_in_the_layers() -> None:
    contract = SETTINGS["contracts"][0]
    above, *below = (layer.split(" | ") for layer in contract["layers"])
    libraries = ["molvis_formula", "molvis_fragmentation", "molvis_lcms", "molvis_nn"]
    assert below == [libraries, ["molvis_files"], ["molvis_core"]]
    assert {*above, *itertools.chain(*below)} == import_packages() == set(SETTINGS["root_packages"])


@pytest.mark.parametrize("arguments", [["--help"], ["plugins"], ["list"], ["list", "encoder", "--json"]])
def test_listing_what_there_is_imports_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys\n"
        "from molvis_cli.app import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        f"print('heavy:', sorted({HEAVY!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy: []"


def _needed(package: Path) -> tuple[str, set[str]]:
    """A package's import name, and those of ours that it and its tests require themselves."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = [*project.get("dependencies", []), *project.get("optional-dependencies", {}).get("test", [])]
    names = {re.split(r"[^\w-]", one)[0].replace("-", "_") for one in required}
    return project["name"].replace("-", "_"), names & import_packages()


def test_the_tests_of_a_package_import_what_it_requires_and_no_other_package() -> None:
    """So that they run where it is installed alone. What one test needs of another plugin is imported within it."""
    packages = [ROOT / "core", ROOT / "molvis_cli", *ROOT.glob("libraries/molvis*"), *ROOT.glob("plugins/molvis*")]
    needed = dict(_needed(package) for package in packages)
    strangers = []
    for package in packages:
        name, there = _needed(package)[0], set[str]()
        ahead = [name]
        while ahead:
            if (one := ahead.pop()) not in there:
                there.add(one)
                ahead += needed[one]
        for path in (package / "tests").glob("*.py"):
            text = path.read_text(encoding="utf-8")
            found = set(re.findall(r"^(?:from|import) (molvis_\w+)", text, re.MULTILINE)) & import_packages()
            strangers += [f"{path.relative_to(ROOT)}: {one}" for one in sorted(found - there)]
    assert strangers == []
