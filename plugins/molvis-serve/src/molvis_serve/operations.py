"""The routes of all installed plugins."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from molvis_core import registry
from molvis_core.errors import MolvisError
from molvis_files.routes import Route, json_schema

__all__ = ["Operation", "routes"]

log = logging.getLogger("molvis.serve")


@dataclass(frozen=True, slots=True)
class Operation:
    """A route with what its component says of it.

    Attributes:
        name: of the component, such as `nmr-fit`.
        path: below `/api/v1`, such as `nmr/fit`.
        summary: one sentence.
        target: `module:attribute` of the route.
        route: what does it.
    """

    name: str
    path: str
    summary: str
    target: str
    route: Route

    def describe(self, opened: Mapping[str, Any]) -> dict[str, Any]:
        """Plain values for `info`, with the names of what is opened where an option chooses among them."""
        return {
            "name": self.name,
            "path": self.path,
            "summary": self.summary,
            "quick": self.route.quick,
            "options": json_schema(self.route, opened),
            "files": [
                {
                    "name": u.name, "help": u.help, "suffixes": list(u.suffixes), "least": u.least, "most": u.most,
                }
                for u in self.route.files
            ],
        }  # fmt: skip


@functools.cache
def routes() -> Mapping[str, Operation]:
    """Every route by name; one that cannot be loaded is logged and left out."""
    found: dict[str, Operation] = {}
    for component in sorted(registry.components("route"), key=lambda c: c.name):
        try:
            route = registry.load("route", component.name)
        except MolvisError as error:
            log.error("route %s is left out: %s", component.name, error)
            continue
        path = component.name.replace("-", "/", 1)
        found[component.name] = Operation(component.name, path, component.summary, component.target, route)
    return found
