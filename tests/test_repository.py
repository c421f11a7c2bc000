"""What holds for every file and every package of the repository."""

from __future__ import annotations

import importlib
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import changelog
import checkout
import conda
import pytest
import trove_classifiers
import yaml

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = sorted(p.parent for p in (ROOT / "plugins").glob("[!._]*/pyproject.toml"))
PACKAGES = [ROOT / "core", *sorted(ROOT.glob("libraries/molvis-*")), ROOT / "molvis_cli", *PLUGINS]
OURS = {tomllib.loads((p / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"] for p in PACKAGES}
VERSIONS = ["3.11", "3.12", "3.13"]


def project(package: Path) -> dict[str, Any]:
    return tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_a_package_has_what_every_package_has(package: Path) -> None:
    assert (package / "README.md").read_text(encoding="utf-8").startswith("# ")
    assert list((package / "tests").glob("**/test_*.py"))
    changes = [p.name for p in (package / "changes").iterdir()]
    assert changes
    assert not [name for name in changes if not changelog.FRAGMENT.fullmatch(name)]
    texts = {p.name: p.read_text(encoding="utf-8") for p in (package / "changes").iterdir()}
    assert not [name for name, text in texts.items() if text.startswith(("-", "*"))], "the changelog adds the dash"


CODE = (".css", ".js", ".py", ".md", ".toml", ".html", ".svg", ".typed")
SPDX = {"BSD-3-Clause", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "DL-DE-BY-2.0"}
URLS = {
    "creativecommons.org/publicdomain/zero/1.0/": "CC0-1.0",
    "creativecommons.org/licenses/by/4.0/": "CC-BY-4.0",
    "creativecommons.org/licenses/by-sa/4.0/": "CC-BY-SA-4.0",
    "www.govdata.de/dl-de/by-2-0": "DL-DE-BY-2.0",
}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_a_package_says_what_it_needs_and_who_made_it(package: Path) -> None:
    facts = project(package)
    assert (package / "LICENSE").read_text(encoding="utf-8") == (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert facts["requires-python"] == ">=3.11"
    required = [text for text in facts.get("dependencies", []) if text.startswith("molvis")]
    assert all(text.endswith(">=0.1,<1") for text in required)
    assert bool(required) or package.name == "core"
    assert "test" in facts["optional-dependencies"]
    assert facts["authors"] == [{"name": "the molvis developers"}]
    assert len(facts["keywords"]) > 1
    assert set(facts["classifiers"]) <= trove_classifiers.classifiers
    named = [c.rpartition(" ")[2] for c in facts["classifiers"] if "Python :: 3." in c]
    assert named == VERSIONS
    typed = [*package.glob("src/*/py.typed")]
    assert ("Typing :: Typed" in facts["classifiers"]) == bool(typed) == (package / "src").is_dir()


@pytest.mark.parametrize("package", [p for p in PACKAGES if (p / "src").is_dir()], ids=lambda p: p.name)
def test_a_package_has_the_version_of_its_metadata_and_reads_it_when_asked(package: Path) -> None:
    (source,) = package.glob("src/molvis_*")
    module = importlib.import_module(source.name)
    assert module.__version__ == project(package)["version"]
    assert "__version__" in dir(module)
    assert "__version__" not in vars(module)
    with pytest.raises(AttributeError, match=f"module '{source.name}' has no attribute 'nothing_of_that_name'"):
        _ = module.nothing_of_that_name


def test_the_readme_leads_to_every_package() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [p.name for p in PACKAGES if f"({p.relative_to(ROOT).as_posix()}/README.md)" not in page] == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_the_licence_of_a_package_covers_the_data_in_it(package: Path) -> None:
    facts = project(package)
    named = set(facts["license"].split(" AND "))
    assert named <= SPDX
    data = [p for p in checkout.files() if p.is_relative_to(package / "src") and p.suffix not in CODE]
    if not data:
        assert (facts["license"], facts["license-files"]) == ("BSD-3-Clause", ["LICENSE"])
        return
    assert facts["license-files"] == ["LICENSE", "LICENSE-DATA.md"]
    text = (package / "LICENSE-DATA.md").read_text(encoding="utf-8")
    for path in data:
        assert f"`{path.relative_to(package / 'src').as_posix()}`" in text
    assert named == {"BSD-3-Clause", *(spdx for url, spdx in URLS.items() if url in text)}


def test_the_workspace_holds_our_packages_and_not_the_template() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]
    members = {
        p
        for pattern in settings["workspace"]["members"]
        for p in ROOT.glob(pattern)
        if (p / "src").is_dir() or p in PACKAGES
    }
    left_out = {p for pattern in settings["workspace"]["exclude"] for p in ROOT.glob(pattern)}
    assert members - left_out == set(PACKAGES)
    assert ROOT / "plugins" / "_template" in left_out
    assert set(settings["sources"]) == OURS


def test_versions_are_constraints_and_there_is_no_lock_file() -> None:
    assert not list(ROOT.glob("**/uv.lock"))
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert not [line for line in pins if not re.fullmatch(r"[a-z0-9-]+==[\w.]+", line)]
    assert pins == sorted(set(pins))


def test_every_requirement_of_a_package_is_pinned() -> None:
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()}
    for package in PACKAGES:
        facts = project(package)
        extras = facts["optional-dependencies"]
        wanted = [*facts.get("dependencies", []), *extras["test"], *extras.get("mces", [])]
        names = {re.split(r"[\[<>=!~; ]", text)[0].lower().replace("_", "-") for text in wanted}
        assert names - pinned - OURS == set(), package.name


def test_no_file_names_a_machine_or_a_registry() -> None:
    # Assembled here so that this file does not hold what it looks for.
    folders = ["/" + name + "/" for name in ("home", "root", "work")]
    words = [*folders, "https://" + "pypi", "https://" + "test.pypi", "https://" + "files.python" + "hosted"]
    found: list[str] = []
    for path in checkout.files():
        if path.suffix in (".gz", ".safetensors", ".png", ".webp", ".arrow", ".npz"):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {word}" for word in words if word in text]
    assert found == []


def test_the_same_name_is_never_given_to_two_test_modules_of_a_package() -> None:
    for package in [*PACKAGES, ROOT]:
        names = [p.name for p in (package / "tests").glob("**/test_*.py")]
        assert sorted(names) == sorted(set(names))


def test_make_says_what_it_can_do_and_how_much_it_installs() -> None:
    told = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert targets - {"help", "setup", "lint"} == set(re.findall(r"^make ([a-z-]+)", told.stdout, re.MULTILINE))
    for page in ("README.md", "docs/getting-started.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        for size in ("6.5 GB", "1.7 GB", "--torch-backend cpu"):
            assert size in text.replace("\n", " "), page
            assert size in told.stdout or size.startswith("--"), page


def test_the_changelog_has_what_the_fragments_have() -> None:
    text = changelog.CHANGELOG.read_text(encoding="utf-8")
    assert "## [Unreleased]\n" in text
    assert text == changelog.updated(text), "run: make docs"
    assert changelog.packages().keys() == OURS
    for name in OURS:
        assert f"#### {name}\n" in text


def test_the_conda_recipe_needs_what_the_packages_need() -> None:
    text = conda.RECIPE.read_text(encoding="utf-8")
    assert text == conda.recipe(), "run: make docs"
    recipe = yaml.safe_load(text)
    assert {output["package"]["name"] for output in recipe["outputs"]} == OURS
    assert "molvis = molvis_cli.app:main" in text
    assert "pytorch >=2.6" in text


def test_the_workflow_runs_what_is_there_on_every_version_that_is_named() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    assert set(jobs) == {"test", "alone", "wheels", "docs"}
    assert jobs["test"]["strategy"]["matrix"] == {"os": ["ubuntu-latest", "macos-latest"], "python": VERSIONS}
    alone = {ROOT / package for package in jobs["alone"]["strategy"]["matrix"]["package"]}
    assert alone == {*PACKAGES}
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert commands
    for command in commands:
        program, target, *settings = re.sub(r"\$\{\{.*?\}\}", "VALUE", command).split()
        assert program == "make"
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), command
        assert all(re.search(rf"\b{s.partition('=')[0]}\b", makefile) for s in settings), command


def test_the_readme_of_a_package_has_no_links_that_break_on_a_package_index() -> None:
    for package in PACKAGES:
        text = re.sub(r"^```.*?^```", "", (package / "README.md").read_text(encoding="utf-8"), flags=re.M | re.S)
        assert re.findall(r"\]\((?!https?://|#)[^)]*\)", text) == [], package.name


def test_the_quick_tests_touch_every_package() -> None:
    for package in PACKAGES:
        texts = [p.read_text(encoding="utf-8") for p in (package / "tests").glob("**/test_*.py")]
        quick = [text for text in texts if not re.search(r"^pytestmark = .*\b(full|slow)\b", text, re.MULTILINE)]
        assert quick, f"{package.name}: make test-fast runs no test of it"


def test_decisions_are_numbered_once_and_listed() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("[!i]*.md"))
    numbers = [int(page.name.partition("-")[0]) for page in pages]
    assert numbers == list(range(1, len(pages) + 1))
    index = (ROOT / "docs" / "decisions" / "index.md").read_text(encoding="utf-8")
    for page, number in zip(pages, numbers, strict=True):
        assert page.read_text(encoding="utf-8").startswith(f"# {number}. ")
        assert f"]({page.name})" in index
