"""The server's process: uvicorn around the app."""

from __future__ import annotations

import signal
import sys

import uvicorn

from molvis_core.errors import ConfigError
from molvis_files.locking import sole_writer
from molvis_serve.app import create_app
from molvis_serve.logs import log_to
from molvis_serve.settings import Settings

__all__ = ["run"]


def run(settings: Settings) -> None:
    """Serve until told to stop.

    Raises:
        molvis_core.errors.BusyError: another service uses the state folder.
        ConfigError: the service cannot start.
    """
    log_to(settings.log_level)
    settings.state.mkdir(parents=True, exist_ok=True)
    with sole_writer(settings.state):
        config = uvicorn.Config(
            create_app(settings), host=settings.host, port=settings.port, log_config=None, server_header=False,
            timeout_keep_alive=30, timeout_graceful_shutdown=int(settings.grace_seconds) + 1, proxy_headers=False,
        )  # fmt: skip
        server = uvicorn.Server(config)
        # uvicorn stops in good order, and then sends itself the signal that it was told to stop by.
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: None)
        server.run()
        if not server.started:
            raise ConfigError("the service could not start; its log says why")
    sys.stderr.flush()
