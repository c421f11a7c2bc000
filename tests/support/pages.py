"""Runs the code of the documentation: each page from top to bottom, in an empty folder with the examples beside it.

Blocks marked `python` are executed in one namespace. Of blocks marked `console`, each line after `$` is run: `molvis`
and `python` only, in this process: starting Python with PyTorch anew each time takes seconds. Blocks marked
otherwise are for reading.
"""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import shared
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

ROOT = Path(__file__).resolve().parents[2]


def run(line: str) -> str:
    """Run a `molvis` or a `python` command as a shell would, fail as it would, and return what it said."""
    program, *arguments = shlex.split(line)
    output = io.StringIO()
    argv = sys.argv
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            if program == "molvis":
                from molvis_cli.app import main

                main(arguments)
            elif program == "python":
                sys.argv = arguments
                runpy.run_path(arguments[0], run_name="__main__")
            else:
                raise AssertionError(f"{line!r}: only molvis and python commands are run; mark the block as text")
    except SystemExit as end:
        if end.code:
            raise AssertionError(f"{line!r} ended with {end.code}:\n{output.getvalue()}") from end
    finally:
        sys.argv = argv
    return output.getvalue()


def prepared() -> Path:
    """What the first example makes, which several pages go on from."""

    def make(folder: Path) -> None:
        with contextlib.chdir(folder):
            run(f"python {ROOT / 'examples' / 'getting_started.py'}")

    return shared.made("getting-started", make)


def _evaluate(example: Example) -> None:
    commands = str(example.parsed).replace("\\\n", " ").splitlines()
    for command in commands:
        if command == "$ molvis demo --out demo-output":  # as if it had run before: it opens the index that it finds
            shutil.copytree(shared.libraries(), "demo-output")
        if command == "$ python examples/getting_started.py":
            shutil.copytree(prepared(), ".", dirs_exist_ok=True)
        elif command.startswith("$ "):
            run(command.removeprefix("$ "))


def _enter(namespace: dict[str, Any]) -> None:
    folder = tempfile.mkdtemp(prefix="molvis-page-")
    shutil.copytree(ROOT / "examples", Path(folder) / "examples")
    namespace["__page__"] = (folder, str(Path.cwd()))
    os.chdir(folder)


def _leave(namespace: dict[str, Any]) -> None:
    folder, before = namespace["__page__"]
    os.chdir(before)
    shutil.rmtree(folder)


COLLECTOR = Sybil(
    path=str(ROOT),
    parsers=[PythonCodeBlockParser(), CodeBlockParser("console", _evaluate)],
    patterns=[
        "README.md",
        "docs/*.md",
        "docs/*/*.md",
        "core/README.md",
        "molvis_cli/README.md",
        "plugins/*/README.md",
    ],
    # It makes a package, and a test of its own runs it: tests/test_tutorial_raman.py.
    excludes=["docs/tutorial-raman.md"],
    setup=_enter,
    teardown=_leave,
)
