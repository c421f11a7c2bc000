"""What people install: wheels, in an environment that has never seen the checkout."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECTS = sorted(p for p in ROOT.glob("*/pyproject.toml")) + sorted(
    p for folder in ("libraries", "plugins") for p in ROOT.glob(f"{folder}/[!_]*/pyproject.toml")
)
FACTS = {str(facts["name"]): facts for p in PROJECTS for facts in [tomllib.loads(p.read_text("utf-8"))["project"]]}

# Each source distribution is unpacked and the wheel built from it: a file that it lacks is missing in the wheel.
BUILD = """
import os, sys, tarfile
from pathlib import Path
from hatchling.build import build_sdist, build_wheel
out = Path(sys.argv[1])
for project in sys.argv[2:]:
    os.chdir(project)
    archive = out / "sdist" / build_sdist(str(out / "sdist"))
    with tarfile.open(archive) as opened:
        opened.extractall(out / "unpacked", filter="data")
    os.chdir(out / "unpacked" / archive.name.removesuffix(".tar.gz"))
    build_wheel(str(out / "wheels"))
"""
SPECTRUM = """BEGIN IONS
TITLE=caffeine
PEPMASS=195.0877
CHARGE=1+
ADDUCT=[M+H]+
42.0338 10
69.0447 30
83.0604 15
110.0713 60
138.0662 100
195.0877 40
END IONS
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distributions and the wheels of all packages."""
    out = tmp_path_factory.mktemp("built")
    folders = [str(p.parent) for p in PROJECTS]
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(out), *folders], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheels, and other people's packages from this one."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(home, symlinks=True)
    here = Path(sysconfig.get_path("purelib"))
    there = Path(sysconfig.get_path("purelib", "venv", {"base": str(home), "platbase": str(home)}))
    for entry in here.iterdir():
        if not re.match(r"(_editable_impl_|__editable__)|molvis", entry.name) and not (there / entry.name).exists():
            (there / entry.name).symlink_to(entry)
    uv = [str(Path(sys.executable).parent / "uv"), "pip", "install", "--quiet", "--offline", "--no-index", "--no-deps"]
    wheels = [str(p) for p in sorted((built / "wheels").glob("*.whl"))]
    subprocess.run([*uv, "--python", str(home / "bin" / "python"), *wheels], check=True)
    # What Numba compiled for the checkout: it goes by the content of the sources, and compiles anew where that differs.
    for source in ROOT.glob("*/*/src"):
        for compiled in source.rglob("__pycache__/*.nb[ic]"):
            beside = there / compiled.relative_to(source)
            beside.parent.mkdir(exist_ok=True)
            shutil.copy(compiled, beside)
    return home


def run(home: Path, folder: Path, *command: str) -> str:
    """The output of a program of that environment."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MOLVIS", "VIRTUAL_ENV"))}
    program = [str(home / "bin" / command[0]), *command[1:]]
    done = subprocess.run(program, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.full
def test_a_wheel_holds_its_package_and_nothing_else(built: Path) -> None:
    wheels = {p.name.split("-")[0].replace("_", "-"): p for p in (built / "wheels").glob("*.whl")}
    assert set(wheels) == set(FACTS)
    for name, wheel in wheels.items():
        with zipfile.ZipFile(wheel) as opened:
            inside = [n for n in opened.namelist() if ".dist-info/" not in n]
            assert any(n.endswith("/licenses/LICENSE") for n in opened.namelist()), name
        module = name.replace("-", "_")
        assert {n.split("/")[0] for n in inside} == ({module} if inside else set()), name
        assert (f"{module}/py.typed" in inside) == bool(inside), name
    for archive in (built / "sdist").glob("*.tar.gz"):
        with tarfile.open(archive) as opened:
            assert any(n.endswith("/LICENSE") for n in opened.getnames())


@pytest.mark.full
def test_the_wheels_work_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    modules = [name.replace("-", "_") for name in FACTS]
    code = "import importlib.util, sys; print(*(s.origin for m in sys.argv[1:] if (s := importlib.util.find_spec(m))))"
    origins = run(installed, tmp_path, "python", "-c", code, *modules).split()
    assert len(origins) == len(FACTS) - 1  # molvis-suite has no module
    assert [path for path in origins if not Path(path).is_relative_to(installed)] == []
    assert "identify" in run(installed, tmp_path, "molvis", "--help")
    plugins = run(installed, tmp_path, "molvis", "plugins")
    assert all(name in plugins for name, facts in FACTS.items() if "entry-points" in facts)
    run(installed, tmp_path, "molvis", "check", "molvis-losses")
    run(installed, tmp_path, "molvis", "plugin", "new", "molvis-raman")


@pytest.mark.full
def test_the_shipped_bundle_identifies_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "unknown.mgf").write_text(SPECTRUM)
    (tmp_path / "library.smi").write_text(
        "Cn1cnc2c1c(=O)n(C)c(=O)n2C caffeine\nCn1c(=O)c2[nH]cnc2n(C)c1=O theophylline\n"
    )
    told = run(installed, tmp_path, "molvis", "identify", "unknown.mgf", "--library", "library.smi", "--json")
    assert "RYYVLZVUVIJVGH" in told


def requirements(*names: str) -> set[str]:
    """Everything that comes with these packages, as their metadata say: ours from here, others' as installed."""
    found: set[str] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name in found:
            continue
        found.add(name)
        texts = FACTS[name].get("dependencies", []) if name in FACTS else importlib.metadata.requires(name) or []
        if name in FACTS:
            texts = [*texts, *(t for e in wanted.extras for t in FACTS[name]["optional-dependencies"][e])]
        for text in texts:
            needed = Requirement(text)
            if not needed.marker or any(needed.marker.evaluate({"extra": e}) for e in ("", *wanted.extras)):
                waiting.append(needed)
    return found


def test_the_core_with_nmr_brings_no_deep_learning() -> None:
    brought = requirements("molvis-core", "molvis-nmr")
    assert {"numpy", "scipy", "numba", "llvmlite"} <= brought
    assert brought & {"torch", "lightning-fabric", "lightning", "pyarrow", "tensorboard", "torch-geometric"} == set()


def test_the_suite_brings_every_package() -> None:
    assert set(FACTS) <= requirements("molvis-suite")
