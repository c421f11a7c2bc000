"""The service of molvis: operations of all plugins over HTTP, as calls and as jobs, and a page.

Public names are imported when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from molvis_core.lazy import lazy_names

if TYPE_CHECKING:
    from molvis_serve.app import create_app
    from molvis_serve.client import Client
    from molvis_serve.settings import Settings

    __version__: str

_HOME = {"Client": "client", "Settings": "settings", "create_app": "app"}

__all__ = ["Client", "Settings", "create_app"]
__getattr__, __dir__ = lazy_names(__name__, _HOME)
