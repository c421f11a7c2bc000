"""How many threads PyTorch computes with."""

from __future__ import annotations

import types

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from molvis_nn import threads
from molvis_nn.threads import OtherLoad, computing


@pytest.fixture(autouse=True)
def threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Machine:
    """Eight processors, of which others take so many."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, taken: float, usable: int = 8) -> None:
        self.now, self.taken = 100.0, taken
        names = ("user", "system", "idle", "iowait", "guest", "guest_nice")
        times = type("Times", (tuple,), {name: property(lambda t, i=i: t[i]) for i, name in enumerate(names)})

        def cpu_times() -> object:
            # Guests are counted in user already; waiting for a disk keeps nobody out.
            busy = self.now * self.taken
            return times((0.75 * busy, 0.25 * busy, self.now * (7 - self.taken), self.now, 0.5 * busy, 0.0))

        clock = types.SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep)
        monkeypatch.setattr(threads, "time", clock)
        monkeypatch.setattr(threads, "processors", lambda: usable)
        monkeypatch.setattr(threads, "os", types.SimpleNamespace(times=lambda: (0.0,) * 5, environ={}))
        fake = types.SimpleNamespace(cpu_times=cpu_times, cpu_count=lambda: 8)
        monkeypatch.setattr(threads, "psutil", fake)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(("taken", "usable", "expected"), [(0, 8, 8), (2.9, 8, 5), (5, 8, 3), (0, 2, 2), (12, 8, 1)])
def test_threads_are_what_others_leave(monkeypatch, taken: float, usable: int, expected: int) -> None:
    machine = Machine(monkeypatch, taken, usable)
    load = OtherLoad()
    machine.now += 3
    assert load.free() == expected


def test_a_load_is_measured_for_a_while_even_where_nothing_took_time(monkeypatch) -> None:
    machine = Machine(monkeypatch, 4)
    assert OtherLoad().free() == 4
    assert machine.now == pytest.approx(100.2)


def test_threads_are_set_for_a_while_and_as_they_were_behind_it(monkeypatch) -> None:
    Machine(monkeypatch, 5, usable=8)
    torch.set_num_threads(2)
    with computing(0) as found:
        assert (found, torch.get_num_threads()) == (3, 3)
    assert torch.get_num_threads() == 2


def test_a_number_that_was_asked_for_is_taken(monkeypatch) -> None:
    Machine(monkeypatch, 5)
    torch.set_num_threads(1)
    used: list[int] = []

    def fail() -> None:
        with computing(4):
            used.append(torch.get_num_threads())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert (used, torch.get_num_threads()) == ([4], 1)


def test_what_the_environment_says_counts(monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    torch.set_num_threads(2)
    with computing(0) as found:
        assert found == 2


def test_linear_algebra_takes_no_more_threads_than_pytorch(monkeypatch) -> None:
    """NumPy's and SciPy's threads else wait for a processor that another program has, with the others busy."""

    def blas() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    Machine(monkeypatch, 7)
    with threadpool_limits(2, "blas"):
        before = blas()
        with computing(0) as found:
            assert found == 1
            assert set(blas()) == {1}
        assert blas() == before
