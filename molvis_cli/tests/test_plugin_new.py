"""`molvis plugin new` makes a package that installs, is found, passes the contract kit and its own tests."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from molvis_cli.scaffold import KINDS, new_plugin, template_folder
from molvis_core.errors import PluginError


def install(package: Path, site: Path) -> None:
    """Build the wheel as pip would, and unpack it: a wheel is a zip of what goes into site-packages."""
    wheel = next(iter(WheelBuilder(str(package)).build(directory=str(package / "dist"))))
    zipfile.ZipFile(wheel).extractall(site)


def run(site: Path, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", *command], env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )


def missing(package: Path) -> list[str]:
    """What a new plugin requires beside the command line's own packages, as far as it is not installed here."""
    text = "".join(p.read_text(encoding="utf-8") for p in package.rglob("*.py"))
    used = [name for name in ("molvis_nn", "scipy", "torch") if f"import {name}" in text or f"from {name}" in text]
    return [name for name in used if importlib.util.find_spec(name) is None]


def require(package: Path) -> None:
    """Skip the test where a new plugin's own requirements are missing, which the command line itself does not have."""
    if names := missing(package):
        pytest.skip(f"the new plugin requires {', '.join(names)}, not installed here")


PLUGINS = {
    "acme-raman": list(KINDS),
    "acme-encodes": ["encoder"],
    "acme-reads": ["modality", "reader"],
    "acme-teaches": ["loss"],
    "acme-scores": ["fitter", "scorer"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the new plugins, installed into its `site`."""
    folder = tmp_path_factory.mktemp("new")
    for name, kinds in PLUGINS.items():
        install(new_plugin(name, folder / name, kinds=kinds), folder / "site")
    return folder


@pytest.fixture(scope="module")
def tested(place: Path) -> str:
    """What pytest says of the new plugins' own tests: in one process, since each would import PyTorch anew."""
    chosen = [f"{name}/tests" for name in PLUGINS if not missing(place / name)]
    options = ["--rootdir=.", "--import-mode=importlib", "-q", "-p", "no:cacheprovider", "-rA"]
    return run(place / "site", "pytest", *options, *chosen, cwd=place).stdout


@pytest.mark.full
def test_a_new_plugin_installs_is_found_and_passes_the_kit(place: Path) -> None:
    require(place / "acme-raman")
    listed = run(place / "site", "molvis_cli", "plugins", cwd=place)
    line = next(line for line in listed.stdout.splitlines() if line.startswith("acme-raman"))
    assert "acme-raman 0.1.0" in line
    assert line.endswith("ok")
    checked = run(place / "site", "molvis_cli", "check", "acme-raman", cwd=place)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert re.search(r"\d\d checks passed, 0 failed, 0 not run", checked.stdout)


@pytest.mark.full
@pytest.mark.parametrize("name", PLUGINS)
def test_a_new_plugin_passes_its_own_tests(name: str, place: Path, tested: str) -> None:
    require(place / name)
    assert not re.search(rf"^(FAILED|ERROR) {name}/", tested, re.MULTILINE), tested
    for file in (place / name / "tests").glob("test_*.py"):
        assert f"PASSED {name}/tests/{file.name}" in tested, tested


def test_nothing_of_the_template_is_left_in_the_new_plugin(tmp_path: Path) -> None:
    package = new_plugin("molvis-raman", tmp_path / "raman")
    texts = {
        p.relative_to(package).as_posix(): p.read_text(encoding="utf-8") for p in package.rglob("*") if p.is_file()
    }
    assert {"src/molvis_raman/plugin.py", "src/molvis_raman/py.typed"} <= texts.keys()
    assert not [name for name, text in texts.items() if "template" in (name + text).lower()]
    assert 'name="raman-cnn"' in texts["src/molvis_raman/plugin.py"]


def test_each_kind_has_a_file_and_a_test_of_its_own() -> None:
    for kind in KINDS:
        assert (template_folder() / "src" / "molvis_template" / f"{kind}.py").is_file()
        assert (template_folder() / "tests" / f"test_{kind}.py").is_file()


@pytest.mark.parametrize("name", list(PLUGINS)[1:])
def test_a_new_plugin_of_some_kinds_holds_those_alone(name: str, tmp_path: Path) -> None:
    package, kinds = new_plugin(name, tmp_path / name, kinds=PLUGINS[name]), PLUGINS[name]
    text = "".join(p.read_text(encoding="utf-8") for p in package.rglob("*") if p.is_file())
    assert {kind for kind in KINDS if f'kind="{kind}"' in text} == set(kinds)
    module = package / "src" / name.replace("-", "_")
    assert {p.stem for p in module.glob("*.py")} == {"__init__", "plugin", *kinds}
    tests = {p.stem.removeprefix("test_") for p in (package / "tests").glob("test_*.py")}
    assert tests == {"plugin", *kinds}
    assert not [kind for kind in KINDS if kind not in kinds and f"{kind}.py" in text]
    assert ("torch" in text) == bool({"encoder", "loss", "predictor"} & set(kinds))


def test_dependencies_name_the_kinds_that_the_plugin_has(tmp_path: Path) -> None:
    package = new_plugin("acme-some", tmp_path / "acme-some", kinds=["modality", "reader", "encoder"])
    text = (package / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r'^    "([\w-]+)[^"]*",(?:  # (.*))?$', text, re.MULTILINE) == [
        ("molvis-core", ""),
        ("molvis-files", "reader"),
        ("molvis-nn", "encoder"),
        ("jaxtyping", "encoder"),
        ("numpy", "reader, encoder"),
        ("torch", "encoder"),
    ]


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (["modality", "redaer"], "the template has no 'redaer'. Did you mean 'reader'?"),
        (["reader"], "needs its modality"),
        (["modality", "writer"], "needs its reader"),
        ([], "at least one component"),
    ],
)
def test_kinds_that_do_not_go_together_are_refused(kinds: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError) as caught:
        new_plugin("acme-raman", tmp_path / "new", kinds=kinds)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_template_ships_in_the_wheel_and_in_the_source_distribution(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    wanted = {
        p.relative_to(template_folder()).as_posix()
        for p in template_folder().rglob("*")
        if p.suffix in (".py", ".typed")
    }
    assert "src/molvis_template/plugin.py" in wanted
    wheel = next(iter(WheelBuilder(str(root)).build(directory=str(tmp_path))))
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert {f"molvis_cli/template/{name}" for name in wanted} <= inside
    source = next(iter(SdistBuilder(str(root)).build(directory=str(tmp_path))))
    import tarfile

    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    again = next(iter(WheelBuilder(str(tmp_path / "molvis_cli-0.1.0")).build(directory=str(tmp_path / "again"))))
    assert {n for n in zipfile.ZipFile(again).namelist() if "template" in n} == {n for n in inside if "template" in n}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Molvis_Raman", "must be lowercase letters, digits and single hyphens. Did you mean 'molvis-raman'?"),
        ("raman--x", "Did you mean 'raman-x'?"),
        ("3d", "Did you mean 'd'?"),
        ("../raman", "Did you mean 'raman'?"),
        ("", "lowercase letters"),
        ("json", "Python itself has 'json'. Try 'molvis-json'"),
        ("molvis", "that of molvis itself"),
        ("molvis-core", "a distribution of this name is installed"),
        ("molvis-structure", "Choose another"),
    ],
)
def test_a_name_that_cannot_be_is_refused_and_leaves_nothing(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError) as caught:
        new_plugin(name, tmp_path / "new")
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "raman").mkdir()
    (tmp_path / "raman" / "mine.txt").write_text("kept", encoding="utf-8")
    with pytest.raises(PluginError, match="exists already"):
        new_plugin("molvis-raman", tmp_path / "raman")
    assert [p.name for p in (tmp_path / "raman").iterdir()] == ["mine.txt"]
