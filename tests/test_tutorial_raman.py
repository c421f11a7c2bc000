"""The tutorial works as it stands: its files are written, its commands run, and what it promises comes out."""

from __future__ import annotations

import json
import os
import re
import shlex
import site
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pages
import pytest
import shared
from hatchling.builders.wheel import WheelBuilder

import molvis_retrieval
from molvis_core import plugins as discovery
from molvis_retrieval.library import Library

pytestmark = pytest.mark.full

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tutorial-raman.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w./-]+\.(?:py|toml))\n")


class Reader:
    """Does what the page says, in the working folder."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}

    def follow(self, page: Path) -> None:
        """Write each block that begins with a file's name, and run each line after `$`."""
        for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
            if named := FILE.match(text):
                path = Path(named.group(1))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text.partition("\n")[2], encoding="utf-8")
            elif language == "console":
                for line in text.splitlines():
                    self.run(line.removeprefix("$ "))
            elif language == "toml":
                # A part of a file that the template has already.
                assert text in Path("molvis-raman/pyproject.toml").read_text(encoding="utf-8")

    def run(self, line: str) -> str:
        """Run a command, its stars spelt out, and keep what it said."""
        program, *given = shlex.split(line)
        words = [w for word in given for w in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]
        if (program, words[:2]) == ("pip", ["install", "-e"]):
            said = install(Path(words[2].removesuffix("[test]")))
        elif program == "pytest":
            said = run_pytest(*words)
        else:
            said = pages.run(shlex.join([program, *words]))
        self.said[line] = said
        return said


def install(package: Path) -> str:
    """Install a package so that its files may still change, as `pip install -e` does but without a network."""
    wheel = next(iter(WheelBuilder(str(package.resolve())).build(directory="wheels", versions=["editable"])))
    folder = Path("site").resolve()
    zipfile.ZipFile(wheel).extractall(folder)
    before = {*sys.path}
    site.addsitedir(str(folder))
    # Processes that commands start must find it, too.
    added = [path for path in sys.path if path not in before]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*added, os.environ["PYTHONPATH"]]))
    discovery.plugins.cache_clear()
    return ""


def run_pytest(*words: str) -> str:
    """Run a package's own tests in a process of their own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Somebody who has followed the whole page."""
    before = set(sys.modules)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path_factory.mktemp("tutorial"))
            patch.setattr(sys, "path", [*sys.path])
            patch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
            patch.setattr(Library, "read", shared.read_library)
            reader = Reader()
            reader.follow(PAGE)
            yield reader
    finally:
        for name in set(sys.modules) - before:
            if name.startswith("molvis_raman"):
                del sys.modules[name]
        discovery.plugins.cache_clear()


def test_every_block_is_of_a_kind_that_is_run_or_for_reading() -> None:
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert {language for language, _ in blocks} == {"console", "python", "sh", "text", "toml"}
    assert [text for language, text in blocks if language == "python" and not FILE.match(text)] == []
    # What is not run: how a file looks, and the upload.
    assert len([language for language, _ in blocks if language in ("sh", "text")]) == 2


def test_the_plugin_is_found_with_all_it_offers(reader: Reader) -> None:
    (line,) = [line for line in reader.said["molvis plugins"].splitlines() if line.startswith("raman")]
    assert "molvis-raman 0.1.0" in line
    assert "modality 1, reader 1, encoder 1" in line
    assert line.endswith("ok")
    assert "raman-cnn" in reader.said["molvis list encoder"]


def test_its_tests_and_the_contract_kit_pass(reader: Reader) -> None:
    assert re.search(r"^\d\d passed", reader.said["pytest molvis-raman"], re.MULTILINE)
    assert re.search(r"\d\d checks passed, 0 failed", reader.said["molvis check molvis-raman"])


def test_training_ends_and_leaves_a_bundle_of_both_encoders(reader: Reader) -> None:

    assert "best epoch" in reader.said["molvis train raman.toml --out runs/raman"]
    assert molvis_retrieval.load_bundle("runs/raman/bundle").modalities == ("raman", "structure")


def test_the_truth_is_among_the_first_five_far_more_often_than_by_chance(reader: Reader) -> None:
    (line,) = [line for line in reader.said if line.startswith("molvis evaluate runs/raman/")]
    found: list[dict[str, Any]] = json.loads(reader.run(f"{line} --json"))
    (figure,) = [f for f in found[0]["figures"] if f["by"] == "compound" and not f["group"]]
    assert figure["compounds"] == 60
    assert figure["estimates"]["hit5"]["low"] > 5 * figure["chance"]["hit5"]
    # What the page says, with room for what another machine rounds otherwise.
    assert figure["estimates"]["hit1"]["value"] > 0.6
    assert figure["estimates"]["hit5"]["value"] > 0.9


def test_what_another_plugin_has_reads_the_same_spectra(reader: Reader) -> None:
    (line,) = [line for line in reader.said if line.startswith("molvis evaluate runs/closed-form/")]
    found: list[dict[str, Any]] = json.loads(reader.run(f"{line} --json"))
    (figure,) = [f for f in found[0]["figures"] if f["by"] == "compound" and not f["group"]]
    assert figure["compounds"] == 60
    assert figure["estimates"]["hit5"]["low"] > 5 * figure["chance"]["hit5"]


def test_an_identification_names_candidates(reader: Reader) -> None:
    (line,) = [line for line in reader.said if line.startswith("molvis identify")]
    (found,) = json.loads(reader.run(f"{line} --json"))
    assert len(found["candidates"]) == 20
    assert found["candidates"][0]["probability"] > 1 / 400
