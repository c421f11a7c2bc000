"""Which process something belongs to, and whether that process still runs.

The number of a process alone does not identify it: numbers are given again, containers count anew, and folders are
shared between machines. An owner is identified by machine and process namespace, boot, number and time of start.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

PATTERN = r"[0-9a-f]{8}-[0-9a-f]{8}-\d+-\d+"
"""What `str(owner)` looks like."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process.

    Attributes:
        machine: 8 hexadecimal digits of host name, machine and process namespace.
        boot: 8 hexadecimal digits of the boot; zeros where the system does not number boots.
        pid: number of the process.
        start: when it started, in ticks since the boot, or in seconds where the system counts no ticks; 0 if unknown.
    """

    machine: str
    boot: str
    pid: int
    start: int

    @classmethod
    def parse(cls, text: str) -> Owner:
        """The owner that `str` wrote.

        Raises:
            ValueError: it is none.
        """
        if not re.fullmatch(PATTERN, text):
            raise ValueError(f"not an owner: {text!r}")
        machine, boot, pid, start = text.split("-")
        return cls(machine, boot, int(pid), int(start))

    def __str__(self) -> str:
        return f"{self.machine}-{self.boot}-{self.pid}-{self.start}"

    def is_gone(self) -> bool:
        """Whether the process has ended for certain: false of one elsewhere, and of one that cannot be seen."""
        me = this_process()
        return self.machine == me.machine and self.boot == me.boot and not _runs(self.pid, self.start)

    def is_before_boot(self) -> bool:
        """Whether it belongs to an earlier boot of this machine, as far as the names of machines can be trusted."""
        me = this_process()
        return self.machine == me.machine and self.boot != me.boot


def end_with_parent() -> None:
    """Have this process, which multiprocessing started, end when the one that started it does, even if that is killed.

    To be handed to a pool as the initializer of its workers. Workers wait for work on a pipe that they hold open
    themselves: without this they would wait for ever.
    """
    import multiprocessing
    from multiprocessing.connection import wait

    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def this_process() -> Owner:
    """The process that asks."""
    # Asked for anew each time: a fork is another process.
    return Owner(_machine(), _boot(), os.getpid(), _started(os.getpid()) or 0)


@functools.cache
def _machine() -> str:
    parts = [socket.gethostname(), _text("/etc/machine-id")]
    try:
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        parts.append("")
    return _short("\n".join(parts))


@functools.cache
def _boot() -> str:
    found = _text("/proc/sys/kernel/random/boot_id")
    return _short(found) if found else "0" * 8


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _runs(pid: int, start: int) -> bool:
    if os.name != "posix":  # there, signal 0 would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        pass
    found = _started(pid)
    return found is None or not start or found == start


def _started(pid: int) -> int | None:
    """When a process started; 0 for one that has ended and waits to be collected, None if it is not known."""
    if sys.platform.startswith("linux"):
        # The name of the program, in parentheses, may hold spaces and parentheses itself.
        fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
        if len(fields) < 20:
            return None
        return 0 if fields[0] in "ZX" else int(fields[19])
    return _started_by_ps(pid)


@functools.lru_cache(maxsize=8)
def _started_by_ps(pid: int) -> int | None:
    import time

    try:
        said = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)],
            capture_output=True, text=True, check=True, timeout=10, env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
        )  # fmt: skip
        return int(time.mktime(time.strptime(said.stdout.strip())))
    except (OSError, ValueError, KeyError, subprocess.SubprocessError):
        return None


is_worker: bool = False
"""Whether this process works for another, of this machine or of Ray, and starts none of its own."""


def processors() -> int:
    """How many this process may use."""
    # A container may be given fewer than the machine has; macOS does not report it.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
