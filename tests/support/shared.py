"""What is costly to make and several tests start from: one process of a test run makes it, for all of them."""

from __future__ import annotations

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
import sys
import molvis_core
from molvis_retrieval import load_bundle
from molvis_retrieval.candidates import open_candidates

folder, *names = sys.argv[1:]
for name in names:
    open_candidates(molvis_core.load("example", name), load_bundle("massbank"), keep=folder)
"""


def libraries() -> Path:
    """Where `open_candidates(..., keep=folder)` finds the libraries that ship, as they are read for the shipped bundle.

    A process of its own reads them: there, shapes are not checked at every call, which takes longer than the reading.
    """

    def make(folder: Path) -> None:
        command = [sys.executable, "-c", READ, str(folder), "demo-library", "massbank-structures"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    return made("libraries", make)


def read_library(path: Path) -> Library:
    """What `Library.read` returns for a library that ships, without reading it again."""
    from molvis_retrieval.index import open_library

    (index,) = libraries().glob(f"{path.name}.index/*")
    return open_library(index)


def forget() -> None:
    """Delete all of it, at the end of a test run."""
    shutil.rmtree(_root(), ignore_errors=True)
