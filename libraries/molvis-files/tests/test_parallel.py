"""Work shared by processes. They import this module: it keeps clear of PyTorch, which would take seconds in each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from molvis_files import parallel as module
from molvis_files.parallel import in_parallel
from molvis_files.processes import Owner, this_process

SMILES = ["C" * length for length in range(1, 13)]


def _process(smiles: str) -> tuple[str, int]:
    return smiles, os.getpid()


def _refuse(smiles: str) -> str:
    raise ValueError(f"this is refused: {smiles!r}")


def test_a_long_list_is_worked_on_by_several_processes_in_order() -> None:
    found = list(in_parallel(_process, SMILES, 12, what="worked", processes=2, few=4, chunk=2))
    assert [smiles for smiles, _ in found] == SMILES
    assert os.getpid() not in {process for _, process in found}


def test_items_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def items() -> Iterator[str]:
        for number in range(100):
            taken.append(number)
            yield "C"

    found = in_parallel(_process, items(), 100, what="worked", processes=2)
    next(found)
    assert len(taken) <= 7  # three for each process, and the one that came back
    found.close()


def test_an_error_of_a_process_is_raised_here() -> None:
    with pytest.raises(ValueError, match="'CC'"):
        list(in_parallel(_refuse, ["CC", "CCC"], 2, what="worked", processes=2))


def test_a_short_list_is_worked_on_here() -> None:
    found = in_parallel(_process, SMILES, 12, what="worked", processes=2, few=13)
    assert {process for _, process in found} == {os.getpid()}


class _Counting:
    """Work that knows how often it was pickled, and in how many threads it computes."""

    pickled = 0

    def __call__(self, smiles: str) -> str | None:
        return os.environ.get("OMP_NUM_THREADS")

    def __getstate__(self) -> dict[str, int]:
        type(self).pickled += 1
        return {"nothing": 0}


def test_work_is_pickled_once_and_computes_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert set(in_parallel(_Counting(), SMILES, 12, what="worked", processes=2)) == {"1"}
    assert _Counting.pickled == 1


# The standard library's own threads may complain of the pipe that the dead process left.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_a_dead_process_left_undone_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(module.log, "warning", lambda message, *values: said.append(message % values))
    found = list(in_parallel(_Dying(os.getpid()), SMILES, 12, what="worked", processes=2))
    assert found == SMILES
    assert said == ["a process that worked died after 0 of 12; going on with one"]


class _Refusing(ProcessPoolExecutor):
    """A pool that finds itself broken when it is handed its fourth block, as after a process's death."""

    handed = 0

    def submit(self, *args: Any, **options: Any) -> Future[Any]:
        self.handed += 1
        if self.handed == 4:
            raise BrokenProcessPool("a process died")
        return super().submit(*args, **options)


def test_what_a_broken_pool_refuses_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ProcessPoolExecutor", _Refusing)
    found = list(in_parallel(_process, SMILES, 12, what="worked", processes=2))
    assert [smiles for smiles, _ in found] == SMILES
    assert {process for _, process in found} == {os.getpid()}


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
    script = types.ModuleType("__main__")
    script.__file__ = str(tmp_path / "script.py")
    (tmp_path / "script.py").write_text("import molvis_core\n")
    monkeypatch.setitem(sys.modules, "__main__", script)
    assert {process for _, process in in_parallel(_process, SMILES, 12, what="worked", processes=2)} == {os.getpid()}


ENDLESS = """
import sys
sys.path.insert(0, sys.argv[1])
import test_parallel
from molvis_files.parallel import in_parallel

list(in_parallel(test_parallel._tell, ["C"] * 10_000, 10_000, what="worked", processes=2))
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
