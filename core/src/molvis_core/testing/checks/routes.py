"""Contracts of routes."""

from __future__ import annotations

import json
from typing import Any

from molvis_core import interfaces
from molvis_core.testing.checks._contract import ContractError, contract, require

_KINDS = ("number", "integer", "text", "texts", "flag", "peaks")


@contract("route-description")
def route_is_described(route: Any) -> None:
    """Names that are identifiers and differ, kinds that there are, help for each, defaults that JSON can hold."""
    require(isinstance(route, interfaces.Route), f"{route!r:.80} lacks run, files or options")
    require(callable(route.run), "its run cannot be called")
    names = [one.name for one in (*route.files, *route.options)]
    require(len(names) == len(set(names)), "two of its files and options have one name")
    for one in (*route.files, *route.options):
        fine = one.name.isidentifier() and one.name == one.name.lower()
        require(fine, f"{one.name!r} must be lowercase letters, digits and underscores")
        require(one.help.strip(), f"{one.name!r} has no help")
    for option in route.options:
        require(option.kind in _KINDS, f"option {option.name!r} is of an unknown kind, {option.kind!r}")
        default = json.loads(json.dumps(option.default))
        require(default == option.default, f"option {option.name!r}: its default is changed by JSON")
    for upload in route.files:
        require(0 <= upload.least <= upload.most, f"files {upload.name!r}: least {upload.least}, most {upload.most}")
        fine = all(s.startswith(".") and s == s.lower() for s in upload.suffixes)
        require(fine, f"files {upload.name!r}: an ending is not lowercase with a dot")


@contract("route-answers")
def route_answers(route: Any, request: Any) -> None:
    """Plain JSON values for a request, progress that makes sense, and files as they were sent."""
    told: list[tuple[int, int, str]] = []
    sent = [path for paths in request.files.values() for path in paths]
    before = [path.read_bytes() for path in sent]
    found = route.run(request, lambda done, total, what="", /: told.append((done, total, what)))
    try:
        json.dumps(dict(found), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ContractError(f"its answer is no JSON: {error}") from error
    sane = all(isinstance(d, int) and isinstance(t, int) and d >= 0 and (d <= t or t == 0) for d, t, _ in told)
    require(sane, f"it told progress that makes no sense: {told[:5]}")
    require([path.read_bytes() for path in sent] == before, "it changed files that were sent")
