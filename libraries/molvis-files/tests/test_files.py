"""Files and folders that are replaced whole, whatever moment a process is killed at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from molvis_files import writing as files
from molvis_files.digests import file_sha256, files_sha256
from molvis_files.exchange import exchange
from molvis_files.processes import Owner, this_process
from molvis_files.writing import beside, recover, replacing, replacing_folder, sweep, write_text

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")

KILLED_AT_EVERY_STEP = """
import os, shutil, signal, sys
from pathlib import Path
from molvis_files import writing as files

path, exchanges = Path(sys.argv[1]), sys.argv[2] == "exchange"
if not exchanges:
    files.exchange = lambda a, b: False

def put(words, end):
    steps = 0
    def step(frame, event, argument):
        nonlocal steps
        if frame.f_code.co_filename == files.__file__:
            steps += event == "line"
            if steps == end:
                os.kill(os.getpid(), signal.SIGKILL)
            return step
    sys.settrace(step)
    with files.replacing_folder(path) as fresh:
        for name in "ab":
            (fresh / name).write_text(words)

put("old", None)
for end in range(1, 10_000):
    child = os.fork()
    if not child:
        put("new", end)
        os._exit(0)
    killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    stood = path.exists()
    files.recover(path)
    print(stood, *((path / name).read_text() for name in "ab"), flush=True)
    if not killed:
        break
    shutil.rmtree(path)
    put("old", None)
"""


@pytest.mark.parametrize("way", ["exchange", "two-renames"])
def test_a_folder_is_whole_whatever_step_its_writer_is_killed_at(tmp_path: Path, way: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT_EVERY_STEP, str(tmp_path / "d"), way],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    seen = [line.split() for line in done.stdout.splitlines()]
    assert len(seen) > 40
    assert {words[1] for words in seen} == {"old", "new"}
    assert all(words[1] == words[2] for words in seen)
    # What the exchange is for: nobody ever finds the folder missing.
    assert {words[0] for words in seen} == ({"True"} if way == "exchange" else {"True", "False"})
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def _of_a_dead_process(tmp_path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from molvis_files.processes import this_process; print(this_process())"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    return done.stdout.strip()


def test_two_names_change_places(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    (tmp_path / "b").mkdir()
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("the file system cannot exchange")
    assert (tmp_path / "b" / "x").read_text() == "1"
    assert not list((tmp_path / "a").iterdir())
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "gone")


def test_leftovers_of_a_dead_process_are_swept_and_those_of_a_living_one_are_kept(tmp_path: Path) -> None:
    dead = _of_a_dead_process(tmp_path)
    elsewhere = f"00000000-{dead.split('-', 1)[1]}"
    for owner in (dead, elsewhere, str(this_process())):
        (tmp_path / f".d.{owner}.partial").mkdir()
        (tmp_path / f".d.{owner}.partial" / "part").write_text("x")
    (tmp_path / f".other.{dead}.partial").mkdir()
    (tmp_path / f".f.{dead}.partial").write_text("x")
    sweep(tmp_path / "d")
    with replacing(tmp_path / "f") as fresh:
        fresh.write_text("y")
    kept = {f".d.{elsewhere}.partial", f".d.{this_process()}.partial", f".other.{dead}.partial", "f"}
    assert {p.name for p in tmp_path.iterdir()} == kept


def test_what_an_earlier_boot_left_is_swept_when_it_is_a_day_old(tmp_path: Path) -> None:
    me = this_process()
    left = [tmp_path / f".d.{Owner(me.machine, '0' * 8, pid, me.start)}.partial" for pid in (1, 2)]
    for folder in left:
        folder.mkdir()
    os.utime(left[0], (0, 0))
    sweep(tmp_path / "d")
    assert list(tmp_path.iterdir()) == left[1:]


def test_a_folder_that_stepped_aside_for_a_killed_writer_is_put_back(tmp_path: Path) -> None:
    dead = _of_a_dead_process(tmp_path)
    (tmp_path / f".d.{dead}.old").mkdir()
    (tmp_path / f".d.{dead}.old" / "x").write_text("kept")
    sweep(tmp_path / "d")  # it is all there is: not rubbish
    recover(tmp_path / "d")
    assert (tmp_path / "d" / "x").read_text() == "kept"


def test_a_folder_that_a_living_writer_put_aside_is_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.time, "sleep", lambda seconds: None)
    aside = tmp_path / f".d.{this_process()}.old"
    aside.mkdir()
    recover(tmp_path / "d")
    assert list(tmp_path.iterdir()) == [aside]


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk" / "d").mkdir(parents=True)
    (tmp_path / "d").symlink_to(tmp_path / "disk" / "d")
    with replacing_folder(tmp_path / "d") as fresh:
        (fresh / "x").write_text("new")
    assert (tmp_path / "d").is_symlink()
    assert (tmp_path / "disk" / "d" / "x").read_text() == "new"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["d", "d", "disk", "x"]


def test_a_temporary_name_tells_its_process() -> None:
    name = beside(Path("somewhere/data")).name
    assert name == f".data.{this_process()}.partial"
    assert Owner.parse(str(this_process())) == this_process()
    with pytest.raises(ValueError, match="not an owner"):
        Owner.parse("1234")


def test_a_process_is_gone_when_it_has_ended_even_if_its_number_is_given_again(tmp_path: Path) -> None:
    me = this_process()
    assert not me.is_gone()
    assert not me.is_before_boot()
    assert Owner(me.machine, me.boot, me.pid, me.start + 1).is_gone()
    assert not Owner("0" * 8, me.boot, me.pid, me.start + 1).is_gone()
    script = "import time, molvis_files.processes as p; print(p.this_process(), flush=True); time.sleep(99)"
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    owner = Owner.parse(child.stdout.readline().strip())
    assert (owner.pid, owner.is_gone()) == (child.pid, False)
    child.send_signal(signal.SIGKILL)
    while not owner.is_gone():  # also before its parent has collected it
        pass
    child.communicate()
    assert owner.is_gone()


def test_a_text_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    write_text(path, "a = 1\n")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_text(encoding="utf-8") == "a = 1\n"
    assert [p.name for p in tmp_path.iterdir()] == ["run.toml"]


def test_the_digest_of_a_file_is_that_of_its_bytes_and_of_several_that_of_their_digests(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"abc")
    second.write_bytes(b"")
    # The digests of "abc" and of nothing: FIPS 180-4, examples of SHA-256.
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [file_sha256(first), file_sha256(second)] == [abc, empty]
    joined = tmp_path / "joined"
    joined.write_bytes(bytes.fromhex(abc + empty))
    assert files_sha256([first, second]) == file_sha256(joined) != files_sha256([second, first])
