"""Jobs in SQLite: what was asked, how far it is, and how it ended. A write is on disk before the answer goes out."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from molvis_core.errors import ConfigError

__all__ = ["ENDED", "Job", "Store"]

ENDED = ("done", "failed", "cancelled")
_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    owner TEXT NOT NULL,
    operation TEXT NOT NULL,
    title TEXT NOT NULL,
    options TEXT NOT NULL,
    files TEXT NOT NULL,
    state TEXT NOT NULL,
    created REAL NOT NULL,
    started REAL,
    ended REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL DEFAULT 0,
    what TEXT NOT NULL DEFAULT '',
    problem TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, number);
"""


@dataclass(frozen=True, slots=True)
class Job:
    """A job.

    Attributes:
        id: that cannot be guessed.
        number: by which jobs wait, from 1.
        owner: digest of the key that it was sent with; empty without keys.
        operation: that is done.
        title: what the user calls it.
        options: given.
        files: by field, names as they are shown.
        state: `queued`, `running`, `done`, `failed` or `cancelled`.
        created, started, ended: seconds since 1970.
        attempts: how often it was begun.
        done, total, what: how far it is; a total of 0 is not known.
        problem: why it failed, or what happened to it.
    """

    id: str
    number: int
    owner: str
    operation: str
    title: str
    options: Mapping[str, Any]
    files: Mapping[str, Sequence[str]]
    state: str = "queued"
    created: float = field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    attempts: int = 0
    done: int = 0
    total: int = 0
    what: str = ""
    problem: str = ""


class Store:
    """The table of jobs. One process writes it."""

    def __init__(self, path: Path) -> None:
        try:
            # The server's loop and its shutdown may be of different threads; there is never more than one at a time.
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode=WAL")
            # A process that is killed loses nothing so; a computer that loses power, the last moment at most.
            self._db.execute("PRAGMA synchronous=NORMAL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                raise ConfigError(f"{path} is of a newer molvis (format {version}); choose another state folder")
            self._db.executescript(_SCHEMA)
            self._db.execute(f"PRAGMA user_version={_VERSION}")
        except sqlite3.DatabaseError as error:
            raise ConfigError(f"{path} cannot be used as a database: {error}; choose another state folder") from error

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def add(self, job: Job) -> Job:
        """Keep a new job, at the end of the queue."""
        row = self._db.execute(
            "INSERT INTO jobs (id, number, owner, operation, title, options, files, state, created) "
            "SELECT ?, coalesce(max(number), 0) + 1, ?, ?, ?, ?, ?, ?, ? FROM jobs RETURNING *",
            (
                job.id, job.owner, job.operation, job.title, json.dumps(dict(job.options)), json.dumps(dict(job.files)),
                job.state, job.created,
            ),
        ).fetchone()  # fmt: skip
        return _job(row)

    def get(self, identifier: str) -> Job | None:
        """A job, if there is one."""
        row = self._db.execute("SELECT * FROM jobs WHERE id = ?", (identifier,)).fetchone()
        return _job(row) if row else None

    def change(self, identifier: str, **values: Any) -> Job | None:
        """Write some columns of a job, and return it."""
        assignments = ", ".join(f"{name} = ?" for name in values)
        row = self._db.execute(
            f"UPDATE jobs SET {assignments} WHERE id = ? RETURNING *", (*values.values(), identifier)
        ).fetchone()
        return _job(row) if row else None

    def remove(self, identifier: str) -> None:
        """Forget a job."""
        self._db.execute("DELETE FROM jobs WHERE id = ?", (identifier,))

    def next(self) -> Job | None:
        """The job that waits longest."""
        row = self._db.execute("SELECT * FROM jobs WHERE state = 'queued' ORDER BY number LIMIT 1").fetchone()
        return _job(row) if row else None

    def all(self, owner: str | None = None, state: str | None = None, limit: int = 1000) -> list[Job]:
        """Jobs, the newest first."""
        conditions = {"owner": owner, "state": state}
        given = {name: value for name, value in conditions.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given) or "1"
        rows = self._db.execute(
            f"SELECT * FROM jobs WHERE {where} ORDER BY number DESC LIMIT ?", (*given.values(), limit)
        )
        return [_job(row) for row in rows]

    def count(self, state: str, owner: str | None = None) -> int:
        """How many jobs are in a state."""
        query, values = "SELECT count(*) FROM jobs WHERE state = ?", [state]
        if owner is not None:
            query, values = f"{query} AND owner = ?", [state, owner]
        return int(self._db.execute(query, values).fetchone()[0])

    def ahead(self, job: Job) -> int:
        """How many jobs wait before a job."""
        return int(
            self._db.execute(
                "SELECT count(*) FROM jobs WHERE state = 'queued' AND number < ?", (job.number,)
            ).fetchone()[0]
        )

    def ended_before(self, moment: float) -> Iterator[Job]:
        """Jobs that ended before a moment."""
        rows = self._db.execute("SELECT * FROM jobs WHERE ended IS NOT NULL AND ended < ?", (moment,)).fetchall()
        yield from (_job(row) for row in rows)


def _job(row: sqlite3.Row) -> Job:
    values = dict(row)
    return Job(**values | {"options": json.loads(values["options"]), "files": json.loads(values["files"])})
