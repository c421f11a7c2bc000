"""The recipe of conda packages, `packaging/conda/recipe.yaml`, from what each package's `pyproject.toml` says.

`make docs` rewrites it, and a test asks that it is up to date. `rattler-build build --recipe packaging/conda` builds
the packages.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import changelog
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "packaging" / "conda" / "recipe.yaml"
# What a package is called by conda-forge where it is not the name on the package index. There is no lightning-fabric:
# pytorch-lightning has the module `lightning_fabric` inside. It also has no distribution of that name, so that
# `pip check` cannot be asked for.
CONDA = {"torch": "pytorch", "torch-geometric": "pytorch_geometric", "lightning-fabric": "pytorch-lightning"}
HEADER = """# Made from the pyproject.toml of each package by `make docs`. Every package of molvis is one output.
# Build: rattler-build build --recipe packaging/conda
"""


def requirement(text: str) -> str:
    """A requirement in conda's words."""
    wanted = Requirement(text)
    # Sorted, since a set of specifiers has no order of its own.
    versions = ",".join(sorted((str(s) for s in wanted.specifier), reverse=True))
    return f"{CONDA.get(wanted.name, wanted.name)} {versions}".strip()


def output(facts: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One package of the recipe."""
    build: dict[str, Any] = {
        "noarch": "python",
        "script": f"python -m pip install ./{folder.relative_to(ROOT).as_posix()} --no-deps --no-build-isolation -vv",
    }
    if scripts := facts.get("scripts"):
        build["python"] = {"entry_points": [f"{name} = {target}" for name, target in scripts.items()]}
    tests: list[dict[str, Any]] = []
    if (folder / "src").is_dir():
        tests.append({"python": {"imports": [p.name for p in sorted(folder.glob("src/molvis_*"))], "pip_check": False}})
    tests += [{"script": [f"{name} --help"]} for name in facts.get("scripts", {})]
    return {
        "package": {"name": facts["name"], "version": facts["version"]},
        "build": build,
        "requirements": {
            "host": ["python >=3.11", "pip", "hatchling >=1.26"],
            "run": [f"python {facts['requires-python']}", *map(requirement, facts.get("dependencies", []))],
        },
        **({"tests": tests} if tests else {}),
        "about": {
            "summary": facts["description"],
            "license": facts["license"],
            "license_file": [f"{folder.relative_to(ROOT).as_posix()}/{name}" for name in facts["license-files"]],
        },
    }


def recipe() -> str:
    """The text of the recipe."""
    projects = {
        name: tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for name, folder in changelog.packages().items()
    }
    made = {
        "schema_version": 1,
        "recipe": {"name": "molvis", "version": projects["molvis-core"]["version"]},
        "source": {"path": "../..", "use_gitignore": True},
        "build": {"number": 0},
        "outputs": [output(facts, changelog.packages()[name]) for name, facts in projects.items()],
    }
    return HEADER + yaml.safe_dump(made, sort_keys=False, width=118, allow_unicode=True)


def main() -> None:
    """Rewrite the file."""
    RECIPE.write_text(recipe(), encoding="utf-8")


if __name__ == "__main__":
    main()
