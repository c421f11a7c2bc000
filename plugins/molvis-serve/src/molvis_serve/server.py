"""The server's process: uvicorn around the app."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable

import uvicorn

from molvis_core.errors import ConfigError
from molvis_files.locking import sole_writer
from molvis_serve.app import create_app
from molvis_serve.logs import log_to
from molvis_serve.settings import Settings

__all__ = ["run"]


def run(settings: Settings, tell: Callable[[str], None] | None = None) -> None:
    """Serve until told to stop.

    Args:
        settings: of the service.
        tell: called with the address, once it listens there.

    Raises:
        molvis_core.errors.BusyError: another service uses the state folder.
        ConfigError: the service cannot start.
    """
    log_to(settings.log_level)
    settings.state.mkdir(parents=True, exist_ok=True)
    with sole_writer(settings.state), _listening(settings) as listening:
        config = uvicorn.Config(
            create_app(settings), log_config=None, server_header=False, proxy_headers=False, timeout_keep_alive=30,
            timeout_graceful_shutdown=int(settings.grace_seconds) + 1, limit_concurrency=settings.max_connections,
        )  # fmt: skip
        server = uvicorn.Server(config)
        # uvicorn stops in good order, and then sends itself the signal that it was told to stop by.
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: None)
        if tell:
            host, port = listening.getsockname()[:2]
            tell(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
        server.run(sockets=[listening])
        if not server.started:
            raise ConfigError("the service could not start; its log says why")
    sys.stderr.flush()


def _listening(settings: Settings) -> socket.socket:
    """A socket at the address of the settings.

    Raises:
        ConfigError: the address is not this machine's, or something else listens there.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((settings.host, settings.port))
    except (OSError, OverflowError) as error:
        made.close()
        raise ConfigError(f"cannot listen on {settings.host} port {settings.port}: {error}; name another") from error
    return made
