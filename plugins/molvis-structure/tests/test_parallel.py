"""Work shared by processes. They import this module: it keeps clear of PyTorch, which would take seconds in each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from molvis_core.errors import StructureError
from molvis_files.processes import Owner, this_process
from molvis_structure.chemistry import parallel as module
from molvis_structure.chemistry.parallel import in_parallel

SMILES = ["C" * length for length in range(1, 13)]


def _process(smiles: str) -> tuple[str, int]:
    return smiles, os.getpid()


def _refuse(smiles: str) -> str:
    raise StructureError(f"RDKit refuses the SMILES {smiles!r}")


def test_a_long_list_is_worked_on_by_several_processes_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FEW", 4)
    monkeypatch.setattr(module, "_CHUNK", 2)
    seen: list[tuple[int, int]] = []
    found = in_parallel(_process, SMILES, processes=2, progress=lambda done, total: seen.append((done, total)))
    assert [smiles for smiles, _ in found] == SMILES
    assert os.getpid() not in {process for _, process in found}
    assert seen == [(done, 12) for done in (2, 4, 6, 8, 10, 12)]


def test_an_error_of_a_process_is_raised_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FEW", 1)
    with pytest.raises(StructureError, match="'CC'"):
        in_parallel(_refuse, ["CC", "CCC"], processes=2)


def test_a_short_list_is_worked_on_here_and_its_end_is_told() -> None:
    seen: list[tuple[int, int]] = []
    found = in_parallel(_process, SMILES, processes=2, progress=lambda done, total: seen.append((done, total)))
    assert {process for _, process in found} == {os.getpid()}
    assert seen == [(12, 12)]


# The standard library's own threads may complain of the pipe that the dead process left.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_a_dead_process_left_undone_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(module.log, "warning", lambda message, *values: said.append(message % values))
    monkeypatch.setattr(module, "_FEW", 1)
    monkeypatch.setattr(module, "_CHUNK", 1)
    found = in_parallel(_Dying(os.getpid()), SMILES, processes=2)
    assert found == SMILES
    assert said == ["a process that made fingerprints died after 0 of 12; going on with one"]


class _Dying:
    """Work that only the process with this number survives."""

    def __init__(self, survivor: int) -> None:
        self.survivor = survivor

    def __call__(self, smiles: str) -> str:
        if os.getpid() != self.survivor:
            os._exit(1)
        return smiles


def test_a_script_without_a_guard_is_not_run_again_by_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FEW", 1)
    script = types.ModuleType("__main__")
    script.__file__ = str(tmp_path / "script.py")
    (tmp_path / "script.py").write_text("import molvis_core\n")
    monkeypatch.setitem(sys.modules, "__main__", script)
    assert {process for _, process in in_parallel(_process, SMILES, processes=2)} == {os.getpid()}


ENDLESS = """
import sys
sys.path.insert(0, sys.argv[1])
import test_parallel
from molvis_structure.chemistry import parallel

parallel._FEW, parallel._CHUNK = 1, 1
parallel.in_parallel(test_parallel._tell, ["C"] * 100_000, processes=2)
"""


def _tell(smiles: str) -> str:
    # In one call of the system: an unbuffered `print` makes two, and lines of several processes would mix.
    os.write(sys.stdout.fileno(), f"{this_process()}\n".encode())
    time.sleep(0.01)
    return smiles


PATIENCE = 300.0  # seconds: a machine may have much else to do


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_workers_end_with_a_parent_that_is_killed() -> None:
    here = str(Path(__file__).parent)
    parent = subprocess.Popen([sys.executable, "-c", ENDLESS, here], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers: set[Owner] = set()
    while len(workers) < 2:
        workers.add(Owner.parse(parent.stdout.readline().strip()))
    parent.kill()
    try:
        # Its standard output ends when the last of those that write there closes it, shortly before it is gone.
        parent.communicate(timeout=PATIENCE)
        end = time.monotonic() + PATIENCE
        while not all(worker.is_gone() for worker in workers) and time.monotonic() < end:
            time.sleep(0.05)
    except subprocess.TimeoutExpired:
        for worker in workers:
            os.kill(worker.pid, signal.SIGKILL)
        raise
    assert all(worker.is_gone() for worker in workers)
