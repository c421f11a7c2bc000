"""Readers on damaged files: `python -m molvis_core.testing.fuzzing`, for `make fuzz` and for plugins of others.

What is held: a reader returns records or raises a `MolvisError`; it never raises anything else, never takes more than
`BUDGET` seconds of computing for a small file, and never more than `MEMORY` bytes. Each reader runs in a process of its
own, so that one that crashes is found out too. What breaks this is written, with how, to a folder: put the file into
the corpus once the reader is mended.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import importlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molvis_core import output
from molvis_core.errors import MolvisError
from molvis_core.testing.mutations import mutate

BUDGET = float(os.environ.get("MOLVIS_FUZZ_BUDGET", "10"))
"""Seconds of computing for one file."""
MEMORY = 2 << 30
"""Bytes beyond what the process has taken before the first file."""
HARMFUL = "found-"
"""How names of files begin that did harm once."""
_MODULE = "molvis_core.testing.fuzzing"
_SILENT = 90.0
"""Seconds without a sign of life after which a process is ended from outside."""


@dataclass(frozen=True, slots=True)
class Target:
    """A function that reads a file.

    Attributes:
        name: for people, and of its folder in a corpus.
        target: `module:function` of one argument, the path.
        suffixes: of the files, for where the corpus has none.
    """

    name: str
    target: str
    suffixes: tuple[str, ...]

    def load(self) -> Callable[[Path], Any]:
        """The function."""
        module, _, attribute = self.target.partition(":")
        found: Any = importlib.import_module(module)
        return functools.reduce(getattr, attribute.split("."), found)


def reader_targets() -> list[Target]:
    """Every installed component of kind `reader`, whoever wrote it."""
    from molvis_core import registry

    return [Target(c.name, c.target, c.suffixes or (".bin",)) for c in registry.components("reader")]


class _Hang(BaseException):
    """A file took too long. Nothing that a reader catches."""


def problem_with(read: Callable[[Path], Any], path: Path) -> str:
    """What is wrong with how a function reads a file; empty where it keeps what is held."""

    def too_long(*_: object) -> None:
        raise _Hang

    before = signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, BUDGET)
    try:
        found = read(path)
        if isinstance(found, Iterator):
            for _ in found:
                pass
    except MolvisError:
        return ""
    except _Hang:
        return f"takes more than {BUDGET:g} s\n{traceback.format_exc()}"
    except Exception as error:  # noqa: BLE001 - whatever it is, it should not be
        return f"raises {type(error).__name__}: {error}\n{traceback.format_exc()}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    return ""


def seeds_of(target: Target, corpus: Path) -> list[Path]:
    """Files to begin with: the target's own folder, else those of the corpus with one of its endings."""
    own = sorted(p for p in (corpus / target.name).glob("*") if p.is_file())
    return own or sorted(p for p in corpus.glob("*/*") if p.name.lower().endswith(target.suffixes))


def limit_memory() -> None:
    """Let this process take `MEMORY` bytes more than it has."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))


def replay(targets: Sequence[Target], corpus: Path) -> dict[str, str]:
    """Read every file of a corpus: what is wrong, by file."""
    pairs = [(t.load(), path) for t in targets for path in seeds_of(t, corpus) if path.parent.name == t.name]
    warnings.simplefilter("ignore")
    for read, path in pairs:
        if not path.name.startswith(HARMFUL):  # what is imported on first use is not the files' doing
            problem_with(read, path)
    limit_memory()
    found = {str(path): problem_with(read, path) for read, path in pairs}
    return {path: problem for path, problem in found.items() if problem}


def _work(target: Target, corpus: Path, found: Path, seconds: float, seed: int) -> None:
    """Damage files and read them, until the time is over; in a process of its own."""
    rng = random.Random(f"{target.name} {seed}")
    read = target.load()
    seeds = [(p.name, p.read_bytes()) for p in seeds_of(target, corpus)]
    seeds += [(f"empty{s}", b"") for s in target.suffixes] or []
    contents = [data for _, data in seeds]
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        for name, data in seeds:  # what is imported on first use is not the files' doing
            path = Path(folder) / name
            path.write_bytes(data)
            problem_with(read, path)
        limit_memory()
        stop, tried, places = time.monotonic() + seconds, 0, set[str]()
        while time.monotonic() < stop:
            name, data = rng.choice(seeds)
            damaged = mutate(rng, data, contents)
            path = found / f"current-{name}"
            path.write_bytes(damaged)
            tried += 1
            problem = problem_with(read, path)
            if problem and (place := _where(problem)) not in places:
                places.add(place)
                _keep(found, name, damaged, problem)
            path.unlink()
    output.print_json({"tried": tried})
    sys.stdout.flush()
    os._exit(0)  # libraries whose threads found no memory end the process with a signal on the way out


def _where(problem: str) -> str:
    """The kind of a problem: its first word or two, and the last of our lines on the way to it."""
    ours = [line.strip() for line in problem.splitlines() if "molvis" in line and line.strip().startswith("File")]
    return f"{problem.partition(':')[0].partition(chr(10))[0]} {ours[-1] if ours else ''}"


def _keep(found: Path, name: str, data: bytes, problem: str) -> None:
    stem = hashlib.sha256(data).hexdigest()[:10]
    (found / f"{stem}-{name}").write_bytes(data)
    (found / f"{stem}-{name}.why").write_text(problem, encoding="utf-8", errors="replace")


def fuzz(target: Target, corpus: Path, found: Path, *, seconds: float = 60.0, seed: int = 0) -> tuple[int, list[str]]:
    """Read damaged files in a process of its own: how many, and what went wrong.

    Args:
        target: what reads.
        corpus: folder of files to damage, in a folder for each target.
        found: where to write the files that did harm, in a folder for the target.
        seconds: how long.
        seed: of what is random.
    """
    place = found / target.name
    place.mkdir(parents=True, exist_ok=True)
    before = set(place.glob("*.why"))
    words = [target.name, target.target, *target.suffixes]
    command = [sys.executable, "-m", _MODULE, "--worker", *words, "--corpus", str(corpus), "--found", str(place)]
    command += ["--seconds", str(seconds), "--seed", str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            out, err = process.communicate(timeout=seconds + _SILENT)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            err += f"\nended after {_SILENT:g} s in one call that does not come back to Python"
    if process.returncode != 0:
        for path in place.glob("current-*"):
            why = f"ends the process with {process.returncode}\n{err[-3000:]}"
            _keep(place, path.name.removeprefix("current-"), path.read_bytes(), why)
            path.unlink()
        if not set(place.glob("*.why")) - before:
            raise RuntimeError(f"{target.name}: {err[-3000:]}")
    tried = json.loads(out)["tried"] if out.strip() else 0
    new = sorted(set(place.glob("*.why")) - before)
    return tried, [f"{p.with_suffix('')}: {p.read_text(encoding='utf-8').splitlines()[0]}" for p in new]


def main(targets: Sequence[Target], arguments: Sequence[str] | None = None) -> int:
    """The command: fuzz the targets, or read the corpus once with `--replay`. 1 where something is wrong."""
    parser = argparse.ArgumentParser(description="Readers on damaged files.")
    parser.add_argument("names", nargs="*", help="Of readers; all if none.")
    parser.add_argument("--corpus", type=Path, default=Path("tests/corpus"), help="Files to begin with.")
    parser.add_argument("--found", type=Path, default=Path("build/fuzz"), help="Where harmful files are written.")
    parser.add_argument("--seconds", type=float, default=60.0, help="For each reader.")
    parser.add_argument("--seed", type=int, default=0, help="Of what is random.")
    parser.add_argument("--replay", action="store_true", help="Read the files of the corpus as they are.")
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.worker:
        name, target, *suffixes = given.worker
        _work(Target(name, target, tuple(suffixes)), given.corpus, given.found, given.seconds, given.seed)
        return 0
    chosen = [t for t in targets if not given.names or t.name in given.names]
    if missing := set(given.names) - {t.name for t in chosen}:
        output.note(f"no reader {', '.join(sorted(missing))}; there are {', '.join(t.name for t in targets)}")
        return 2
    if given.replay:
        wrong = [f"{path}: {problem}" for path, problem in replay(chosen, given.corpus).items()]
    else:
        wrong = []
        for one in chosen:
            tried, bad = fuzz(one, given.corpus, given.found, seconds=given.seconds, seed=given.seed)
            output.note(f"{one.name}: {tried} files, {len(bad)} problems")
            wrong += bad
    for line in "\n".join(wrong or ["nothing is wrong"]).split("\n"):
        output.note(line)
    return int(bool(wrong))


if __name__ == "__main__":
    os.nice(5)
    sys.exit(main(reader_targets()))
