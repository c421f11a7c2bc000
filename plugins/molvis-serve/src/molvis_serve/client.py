"""A client for Python: the same operations as on the command line, on another machine.

with Client("http://localhost:8000") as service:
    answer = service.call("identify", {"peaks": [[110.07, 40], [138.07, 100]], "precursor_mz": 195.0877})
    job = service.submit("identify", files={"spectra": ["unknowns.mgf"]})
    print(service.wait(job.id).state, service.result(job.id))
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from molvis_core.errors import MolvisError
from molvis_files.writing import replacing
from molvis_serve.schemas import FileInfo, Info, JobInfo, JobList

__all__ = ["Client", "ServiceError"]

Files = Mapping[str, Sequence[Path | str]]
_PATH = "/api/v1"
_ENDED = ("done", "failed", "cancelled")
_AGAIN = (429, 503)


class ServiceError(MolvisError):
    """The service refused a request, or cannot be reached.

    Attributes:
        status: of the answer; 0 where there was none.
        request_id: to be found in the service's log.
        retry: seconds after which the service says to try again; 0 where it does not.
    """

    def __init__(self, message: str, status: int = 0, request_id: str = "", retry: float = 0.0) -> None:
        super().__init__(message)
        self.status, self.request_id, self.retry = status, request_id, retry


class Client:
    """A connection to a service. It may be used as a context manager."""

    def __init__(
        self, url: str, *, key: str = "", seconds: float = 120.0, patience: float = 60.0, session: Any = None
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: of the service, such as `http://localhost:8000`.
            key: API key, where it wants one.
            seconds: that an answer may take.
            patience: seconds for which a request is sent again where the service has too much to do; 0: not at all.
            session: an `httpx2.Client` to use instead of one of its own.
        """
        self.patience = patience
        self._session = session or httpx2.Client(base_url=url, timeout=seconds)
        self._headers = {"x-api-key": key} if key else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def info(self) -> Info:
        """What the service offers."""
        return Info.model_validate(self._json("GET", "/info"))

    def call(self, operation: str, options: Mapping[str, Any] | None = None, files: Files | None = None) -> Any:
        """Call an operation, and wait for its answer.

        Args:
            operation: its name, such as `nmr-fit`.
            options: by name.
            files: paths by field.

        Raises:
            ServiceError: the request is refused, or the service cannot be reached.
        """
        path = f"/{operation.replace('-', '/', 1)}"
        if not files:
            return self._json("POST", path, json=dict(options or {}))
        with contextlib.ExitStack() as opened:
            return self._json("POST", path, data={"options": json.dumps(options or {})}, files=_parts(files, opened))

    def submit(
        self,
        operation: str,
        options: Mapping[str, Any] | None = None,
        files: Files | None = None,
        *,
        title: str = "",
    ) -> JobInfo:
        """Queue a job.

        Args:
            operation: its name.
            options: by name.
            files: paths by field.
            title: what to call it.

        Raises:
            ServiceError: see `call`.
        """
        fields = {"operation": operation, "title": title, "options": json.dumps(options or {})}
        with contextlib.ExitStack() as opened:
            parts = _parts(files or {}, opened)
            if parts:
                return JobInfo.model_validate(self._json("POST", "/jobs", data=fields, files=parts))
        plain = {**fields, "options": dict(options or {})}
        return JobInfo.model_validate(self._json("POST", "/jobs", json=plain))

    def jobs(self, state: str | None = None) -> list[JobInfo]:
        """The jobs of this key, the newest first."""
        query = {"state": state} if state else {}
        return JobList.model_validate(self._json("GET", "/jobs", params=query)).jobs

    def job(self, identifier: str) -> JobInfo:
        """A job as it is now."""
        return JobInfo.model_validate(self._json("GET", f"/jobs/{identifier}"))

    def events(self, identifier: str) -> Iterator[JobInfo]:
        """A job now and after each change, until it has ended."""
        with self._session.stream("GET", f"{_PATH}/jobs/{identifier}/events", headers=self._headers) as answer:
            if answer.status_code != 200:
                answer.read()
                raise _error(answer)
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield JobInfo.model_validate_json(line.removeprefix("data: "))

    def wait(self, identifier: str, progress: Callable[[JobInfo], None] | None = None) -> JobInfo:
        """Wait until a job has ended, also over a restart of the service, for as long as the client's patience.

        Args:
            identifier: of the job.
            progress: called with the job after each change.

        Raises:
            ServiceError: see `call`.
        """
        until = time.monotonic() + self.patience
        while True:
            try:
                for job in self.events(identifier):
                    until = time.monotonic() + self.patience
                    if progress:
                        progress(job)
                    if job.state in _ENDED:
                        return job
            except httpx2.TransportError as error:
                if time.monotonic() > until:
                    raise ServiceError(f"the service cannot be reached: {error}") from error
            time.sleep(0.2)

    def result(self, identifier: str) -> Any:
        """The answer of a job that is done."""
        return self._json("GET", f"/jobs/{identifier}/result")

    def files(self, identifier: str) -> list[FileInfo]:
        """The files that a job has made."""
        return [FileInfo.model_validate(one) for one in self._json("GET", f"/jobs/{identifier}/files")]

    def download(self, identifier: str, folder: Path | str) -> list[Path]:
        """Fetch all files of a job into a folder.

        Raises:
            ServiceError: see `call`.
        """
        home, out = Path(folder).resolve(), []
        for one in self.files(identifier):
            place = (home / one.name).resolve()
            if home not in place.parents:
                raise ServiceError(f"the service names a file outside of the folder: {one.name!r}")
            place.parent.mkdir(parents=True, exist_ok=True)
            with (
                replacing(place) as fresh,
                fresh.open("wb") as file,
                self._session.stream("GET", one.url, headers=self._headers) as answer,
            ):
                if answer.status_code != 200:
                    answer.read()
                    raise _error(answer)
                for block in answer.iter_bytes():
                    file.write(block)
            out.append(place)
        return out

    def cancel(self, identifier: str) -> JobInfo | None:
        """Cancel a job; forget one that has ended."""
        left = self._json("DELETE", f"/jobs/{identifier}")
        return None if left is None else JobInfo.model_validate(left)

    def _json(self, method: str, path: str, **given: Any) -> Any:
        until = time.monotonic() + self.patience
        while True:
            try:
                answer = self._session.request(method, f"{_PATH}{path}", headers=self._headers, **given)
            except httpx2.TransportError as error:
                raise ServiceError(f"the service cannot be reached: {error}") from error
            if answer.status_code < 300:
                return answer.json()
            error = _error(answer)
            pause = max(error.retry, 0.1)
            if answer.status_code not in _AGAIN or time.monotonic() + pause > until:
                raise error
            for _, (_, file) in given.get("files", ()):
                file.seek(0)
            time.sleep(pause)


def _parts(files: Files, opened: contextlib.ExitStack) -> list[tuple[str, tuple[str, Any]]]:
    return [
        (field, (Path(path).name, opened.enter_context(Path(path).open("rb"))))
        for field, paths in files.items()
        for path in paths
    ]


def _error(answer: Any) -> ServiceError:
    try:
        said = answer.json()
        message, identifier = str(said["error"]), str(said.get("request_id", ""))
    except (ValueError, KeyError, TypeError):
        message, identifier = answer.text[:200], ""
    retry = answer.headers.get("retry-after", "")
    seconds = float(retry) if retry.isdigit() else 0.0
    return ServiceError(f"{answer.status_code}: {message}", answer.status_code, identifier, seconds)
