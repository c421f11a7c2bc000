"""One writer for each folder, told apart by real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from molvis_core.errors import BusyError, WriteError
from molvis_files import locking
from molvis_files.locking import sole_writer

HOLDING = """
import sys, time
from molvis_files.locking import sole_writer
with sole_writer(sys.argv[1]):
    print("held", flush=True)
    time.sleep(99)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path / "d")], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.communicate()


def test_a_second_writer_is_told_who_holds_the_folder(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    wanted = rf"d: process {holder.pid} on {socket.gethostname()} \(since 20.*\) is writing it\. Wait until"
    with pytest.raises(BusyError, match=wanted), sole_writer(tmp_path / "d"):
        raise AssertionError
    with sole_writer(tmp_path / "another"):
        pass


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_a_killed_writer_holds_nothing(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with sole_writer(tmp_path / "d"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_of_a_holder_on_another_host_it_is_said_what_to_delete(
    tmp_path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking.socket, "gethostname", lambda: "elsewhere")
    with (
        pytest.raises(BusyError, match=rf"If that process no longer runs there, delete {tmp_path}/\.d\.lock\."),
        sole_writer(tmp_path / "d"),
    ):
        raise AssertionError
    assert holder.poll() is None


def test_the_same_thread_may_ask_again_and_another_may_not(tmp_path: Path) -> None:
    refused: list[BusyError] = []

    def other() -> None:
        try:
            with sole_writer(tmp_path / "d"):
                pass
        except BusyError as error:
            refused.append(error)

    with sole_writer(tmp_path / "d"), sole_writer(tmp_path / "d"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1
    other()
    assert len(refused) == 1


@pytest.mark.parametrize("text", ["", "x", "[]", '{"pid": null}'])
def test_a_lock_that_says_nothing_holds_as_well(tmp_path: Path, holder: subprocess.Popen[str], text: str) -> None:
    (tmp_path / ".d.lock").write_text(text)
    with pytest.raises(BusyError, match="another process is writing it"), sole_writer(tmp_path / "d"):
        raise AssertionError
    assert holder.poll() is None


def test_a_place_that_cannot_be_locked_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="d: cannot be written"), sole_writer(tmp_path / "file" / "d"):
        raise AssertionError


def test_a_lock_stands_inside_where_nothing_can_be_made_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d").mkdir()
    monkeypatch.setattr(locking.os, "access", lambda path, mode: False)
    with sole_writer(tmp_path / "d"):
        assert [p.name for p in (tmp_path / "d").iterdir()] == [".lock"]
    assert list((tmp_path / "d").iterdir()) == []
