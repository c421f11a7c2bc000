"""What is costly to make and several tests start from: one process of a test run makes it, for all of them."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molvis_retrieval.library import Library


def name_the_run() -> None:
    """Choose the folder that all processes of a test run share: those that the first one starts inherit its name."""
    os.environ.setdefault("MOLVIS_TEST_RUN", f"{tempfile.gettempdir()}/molvis-shared-{uuid.uuid4().hex}")


def _root() -> Path:
    return Path(os.environ["MOLVIS_TEST_RUN"])


def made(name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first who asks for it makes; whoever asks meanwhile waits. Nobody writes to it afterwards.

    Args:
        name: of the folder.
        make: called with an empty folder to fill.
    """
    from filelock import FileLock  # a package that is tested alone may lack it

    root = _root()
    root.mkdir(exist_ok=True)
    folder = root / name
    with FileLock(root / f"{name}.lock"):
        if not folder.exists():
            unfinished = root / f"{name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
    return folder


READ = """
import importlib.metadata, json, sys
from pathlib import Path
import molvis_core
from molvis_files.digests import file_sha256
from molvis_retrieval import load_bundle
from molvis_retrieval.candidates import open_candidates

root, folder, *names = sys.argv[1:]
files = [Path(molvis_core.load("example", name)) for name in names]
bundle = load_bundle("massbank")
for file in files:
    open_candidates(file, bundle, keep=folder)
files += [file for file in bundle.path.rglob("*") if file.is_file()]
files += [Path(module.__file__) for module in list(sys.modules.values()) if getattr(module, "__file__", None)]
ours = sorted({str(file) for file in files if file.is_relative_to(root) and ".venv" not in file.parts})
versions = {name: importlib.metadata.version(name) for name in ("rdkit", "numpy", "pyarrow")}
Path(folder + ".json").write_text(json.dumps([{file: file_sha256(Path(file)) for file in ours}, versions, sys.version]))
"""
KEPT = Path(__file__).parents[2] / "build" / "tests" / "libraries"
"""What the last run read, with every file that it came from: sources of ours, libraries and the bundle."""


def libraries() -> Path:
    """Where `open_candidates(..., keep=folder)` finds the libraries that ship, as they are read for the shipped bundle.

    A process of its own reads them: there, shapes are not checked at every call, which takes longer than the reading.
    What it has read serves later runs until a source that it imported changes, or a file that it read.
    """
    from filelock import FileLock

    def make(folder: Path) -> None:
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{KEPT}.lock"):
            if not still_holds():
                Path(f"{KEPT}.json").unlink(missing_ok=True)
                shutil.rmtree(KEPT, ignore_errors=True)
                KEPT.mkdir()
                root = Path(__file__).parents[2]
                command = [sys.executable, "-c", READ, str(root), str(KEPT), "demo-library", "massbank-structures"]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stderr
            shutil.copytree(KEPT, folder, dirs_exist_ok=True)

    return made("libraries", make)


def still_holds() -> bool:
    """Whether nothing has changed of what the kept libraries were read from and with."""
    from molvis_files.digests import file_sha256

    try:
        files, versions, python = json.loads(Path(f"{KEPT}.json").read_text(encoding="utf-8"))
        same = all(file_sha256(Path(file)) == digest for file, digest in files.items())
    except (OSError, ValueError):
        return False
    installed = {name: importlib.metadata.version(name) for name in versions}
    return same and KEPT.is_dir() and (versions, python) == (installed, sys.version)


def read_library(path: Path) -> Library:
    """What `Library.read` returns for a library that ships, without reading it again."""
    from molvis_retrieval.index import open_library

    (index,) = libraries().glob(f"{path.name}.index/*")
    return open_library(index)


def forget() -> None:
    """Delete all of it, at the end of a test run."""
    shutil.rmtree(_root(), ignore_errors=True)
