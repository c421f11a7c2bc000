"""Two files or folders change places in one step: `renameat2` of Linux, `renamex_np` of macOS."""

from __future__ import annotations

import errno
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path

_HERE = -100  # AT_FDCWD of fcntl.h
_EXCHANGE = 2  # RENAME_EXCHANGE of linux/fs.h, RENAME_SWAP of sys/stdio.h
_CANNOT = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}


def exchange(a: Path, b: Path) -> bool:
    """Swap what two paths name, so that at no moment one of them names nothing.

    Returns:
        Whether it was done; false where the system or the file system cannot, and nothing has changed.

    Raises:
        OSError: it failed for another reason; nothing has changed.
    """
    call = _call()
    if call is None:
        return False
    number = call(os.fsencode(a), os.fsencode(b))
    if number in _CANNOT:
        return False
    if number:
        raise OSError(number, os.strerror(number), str(a), None, str(b))
    return True


@functools.cache
def _call() -> Callable[[bytes, bytes], int] | None:
    """A function of two paths that gives the number of an error, or 0."""
    import ctypes

    if os.name != "posix":
        return None
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):

        def swap(a: bytes, b: bytes) -> int:
            return ctypes.get_errno() if library.renamex_np(a, b, _EXCHANGE) else 0

        return swap
    if sys.platform.startswith("linux") and hasattr(library, "renameat2"):

        def renameat2(a: bytes, b: bytes) -> int:
            return ctypes.get_errno() if library.renameat2(_HERE, a, _HERE, b, _EXCHANGE) else 0

        return renameat2
    return None
