"""Work on many items chunk by chunk, each kept as a file: a run that is killed goes on with the chunks it lacks.

A chunk is written whole or not at all, and is the same whenever the same items are worked on, so that a run which was
killed ends as an undisturbed one. Only the chunks that processes work on are held in memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from molvis_core.errors import ConfigError
from molvis_core.progress import Progress
from molvis_files.documents import load_json
from molvis_files.opening import read_text
from molvis_files.parallel import Engine, in_parallel
from molvis_files.writing import write_text

T = TypeVar("T")


def work_in_chunks(
    work: Callable[[Sequence[T]], Sequence[Any]],
    items: Iterable[T],
    count: int,
    folder: Path,
    *,
    size: int,
    what: str,
    processes: int | None = None,
    few: int = 1,
    engine: Engine = "processes",
    address: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Keep `work(chunk)`, one plain value for each item, of all chunks whose file is not there yet: see `kept_in`.

    Args:
        work: a function, or an object that can be called, that pickles.
        items: what to work on, the same in every run.
        count: of these.
        folder: made where it is missing. It holds nothing else.
        size: items of a chunk.
        what: is done, for a warning: a process that *annotated features* died.
        processes: how many work on chunks side by side; all processors by default.
        few: of fewer chunks than these the work is done in this process.
        engine: where chunks are worked on, see `molvis_files.parallel.in_parallel`.
        address: of a Ray cluster.
        progress: called with the items done and in all, after each chunk; first, where an earlier run has done some.
    """
    folder.mkdir(exist_ok=True)
    sizes = {folder / f"{at // size + 1:05d}.json": min(size, count - at) for at in range(0, count, size)}
    missing = [file for file in sizes if not file.is_file()]
    remaining = iter(items)
    chunks = (chunk for file in sizes if (chunk := list(islice(remaining, size))) and file in missing)
    done = count - sum(sizes[file] for file in missing)
    if progress and done:
        progress(done, count)
    made = in_parallel(
        work, chunks, len(missing), what=what, processes=processes, few=few, engine=engine, address=address
    )
    for file, kept in zip(missing, made, strict=True):
        write_text(file, json.dumps(kept, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n")
        done += len(kept)
        if progress:
            progress(done, count)


def kept_in(folder: Path) -> Iterator[Any]:
    """What `work_in_chunks` kept of each item, in order.

    Raises:
        ConfigError: a file is damaged.
    """
    for file in sorted(folder.glob("*.json")):
        try:
            yield from load_json(read_text(file))
        except json.JSONDecodeError as error:
            raise ConfigError(f"{file} is damaged: {error}; delete it, and run the same command again") from error
