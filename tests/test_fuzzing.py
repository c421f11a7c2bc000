"""Files that did harm once do none again, and `make fuzz` finds what does harm."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fuzz
import pytest

from molvis_core.registry import components
from molvis_core.testing import fuzzing
from molvis_core.testing.fuzzing import Target

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ROOT / "tests" / "corpus"


def test_every_reader_has_files_in_the_corpus_and_the_corpus_is_small() -> None:
    own = {c.name for c in components("reader") if c.distribution.startswith("molvis-")}
    assert own | {t.name for t in fuzz.OTHERS} == {p.name for p in CORPUS.iterdir()}
    assert sum(p.stat().st_size for p in CORPUS.glob("*/*")) < 2_000_000


def test_no_file_of_the_corpus_does_harm() -> None:
    # In a process of its own, whose memory is limited.
    command = [sys.executable, "-m", "fuzz", "--replay", "--corpus", str(CORPUS)]
    around = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "support")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=around)
    assert done.returncode == 0, done.stderr[-5000:]


READERS = """
import os
from molvis_core.errors import ReadError

def sound(path):
    text = path.read_bytes()
    yield len(text)
    if b"x" not in text:
        raise ReadError(path, "no x in it")

def raises(path):
    return [1 / (path.read_bytes().count(b"x"))]

def hangs(path):
    while path.read_bytes() != b"fox":
        pass

def fills(path):
    return bytearray(64 << 30 if path.read_bytes() != b"fox" else 1)

def ends(path):
    if path.read_bytes() != b"fox":
        os.abort()
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sound", ""),
        ("raises", "raises ZeroDivisionError"),
        ("hangs", "takes more than"),
        ("fills", "raises MemoryError"),
        ("ends", "ends the process with -6"),
    ],
)
def test_what_a_reader_must_not_do_is_found_and_kept(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad_readers.py").write_text(READERS, encoding="utf-8")
    (tmp_path / "corpus" / name).mkdir(parents=True)
    (tmp_path / "corpus" / name / "a.txt").write_text("fox", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("MOLVIS_FUZZ_BUDGET", "0.3")
    target = Target(name, f"bad_readers:{name}", ())
    tried, problems = fuzzing.fuzz(target, tmp_path / "corpus", tmp_path / "found", seconds=1.5)
    kept = [p for p in (tmp_path / "found" / name).iterdir() if p.suffix == ".why" and p.with_suffix("").exists()]
    if not said:
        assert (problems, kept) == ([], [])
        assert tried > 100
        return
    assert any(said in problem for problem in problems), problems
    assert kept
    assert all(p.with_suffix("").read_bytes() != b"fox" for p in kept)


def test_readers_of_other_peoples_plugins_are_found_too() -> None:
    from molvis_core.plugins import Component
    from molvis_core.testing import offer

    other = Component("reader", "odd", "odd.readers:read_odd", "Odd files.", modality="ir", suffixes=(".odd",))
    with offer(other):
        assert Target("odd", "odd.readers:read_odd", (".odd",)) in fuzz.targets()
