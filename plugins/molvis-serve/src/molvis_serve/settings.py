"""What the service is started with: environment variables, each a field here, and what the command line names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from molvis_core.errors import ConfigError

__all__ = ["PREFIX", "Settings", "table"]

PREFIX = "MOLVIS_SERVE_"
_MB = 1024 * 1024
_STATE = Path("molvis-serve")


def _setting(default: Any, what: str, *, least: float | None = None) -> Any:
    return field(default=default, metadata={"what": what, "least": least})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting of the service. MOLVIS_SERVE_MAX_UPLOAD is the environment variable of the field `max_upload`."""

    bundle: str = _setting("massbank", "folder or name of a bundle")
    library: tuple[str, ...] = _setting((), "libraries of candidates, separated by commas, the first with priority")
    references: tuple[str, ...] = _setting((), "folders of reference spectra beside the bundle's own")
    device: str = _setting("", "where networks run, such as `cpu` or `cuda`; empty for the usual one")
    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(8000, "port to listen on; 0 takes a free one", least=0)
    workers: int = _setting(2, "processes that work, beside the one that answers", least=1)
    reserved: int = _setting(1, "workers kept free of jobs, for calls, where there are more", least=0)
    state: Path = field(default=_STATE, metadata={"what": "folder of jobs and their database", "least": None})
    api_keys: tuple[str, ...] = _setting(
        (), "keys, separated by commas; without any, whoever reaches the port may use it"
    )
    max_upload: int = _setting(256 * _MB, "bytes of a request for a job, all files together", least=1)
    max_call: int = _setting(4 * _MB, "bytes of a request that is answered at once, as sent and unpacked", least=1)
    max_files: int = _setting(50, "files of a request", least=1)
    max_result: int = _setting(512 * _MB, "bytes of a job's files", least=1)
    max_unpacked: int = _setting(
        0, "bytes that a compressed file may unpack to; 0: 128 MiB, or 50 times its size", least=0
    )
    call_seconds: float = _setting(60.0, "deadline of a call, waiting counted in", least=0.1)
    job_seconds: float = _setting(3600.0, "deadline of a job's work", least=0.1)
    max_waiting: int = _setting(64, "calls that wait or are worked on; more are answered 503", least=1)
    max_queued: int = _setting(200, "jobs that wait; more are answered 503", least=1)
    max_queued_each: int = _setting(50, "jobs of one key, or of one address, that wait; more are answered 429", least=1)
    max_connections: int = _setting(1000, "connections at once; more are answered 503", least=1)
    hosts: tuple[str, ...] = _setting(
        (),
        "names that it may be called by, `*` for any; without any, whatever it is called, or, listening on this "
        "machine alone, this machine's",
    )
    request_seconds: float = _setting(600.0, "deadline of the arrival of a request", least=0.1)
    least_free: int = _setting(1024 * _MB, "bytes that stay free on the disk of the state folder", least=0)
    rate: float = _setting(
        0.0, "requests a minute of one key, or of one address; more are answered 429; 0: no limit", least=0
    )
    attempts: int = _setting(3, "times that a job is begun which its worker or the server did not survive", least=1)
    keep_hours: float = _setting(24.0, "hours that a finished job is kept", least=0)
    grace_seconds: float = _setting(
        20.0, "time that work has to end when the service stops; jobs then wait for the next start", least=0
    )
    worker_memory: int = _setting(
        0, "bytes of memory from which a worker is replaced, its job counted as failed; 0: no limit", least=0
    )
    docs: bool = _setting(True, "whether `/docs` and `/openapi.json` are served")
    page: bool = _setting(True, "whether the page is served at `/`")
    log_level: str = _setting("info", "of the structured log: `debug`, `info`, `warning` or `error`")

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None, **given: Any) -> Settings:
        """The settings of the environment; what is given goes before them, where it is not None.

        Raises:
            ConfigError: a variable is no setting, or has a value that it cannot have.
        """
        from molvis_core.errors import did_you_mean

        environment = os.environ if environment is None else environment
        known = {f.name: f for f in fields(cls)}
        values: dict[str, Any] = {}
        for variable, text in environment.items():
            if not variable.startswith(PREFIX):
                continue
            name = variable.removeprefix(PREFIX).lower()
            if name not in known:
                raise ConfigError(f"{variable} is no setting of the service.{did_you_mean(name, known)}")
            values[name] = _parsed(variable, text, known[name].default)
        values |= {name: value for name, value in given.items() if value is not None}
        for name, value in values.items():
            least = known[name].metadata["least"]
            if least is not None and value < least:
                raise ConfigError(f"{PREFIX}{name.upper()} must be at least {least:g}, got {value:g}")
        return cls(**values)


def _parsed(variable: str, text: str, default: Any) -> Any:
    try:
        if isinstance(default, bool):
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
        if isinstance(default, tuple):
            return tuple(part.strip() for part in text.split(",") if part.strip())
        return type(default)(text)
    except (KeyError, ValueError) as error:
        kinds = {bool: "true or false", int: "a whole number", float: "a number"}
        raise ConfigError(f"{variable} must be {kinds.get(type(default), 'a text')}, got {text!r}") from error


def table() -> list[tuple[str, str, str]]:
    """Variable, default and meaning of every setting."""
    return [
        (
            f"{PREFIX}{f.name.upper()}",
            ",".join(f.default) if isinstance(f.default, tuple) else str(f.default),
            f.metadata["what"],
        )
        for f in fields(Settings)
    ]
