"""What every check shares: the error that it raises, and the section of the documentation that it names."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec

from molvis_core.errors import MolvisError

P = ParamSpec("P")
DOCUMENTATION = "docs/contracts.md"


class ContractError(MolvisError, AssertionError):
    """An object does not keep its contract."""


def contract(anchor: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    def decorate(check: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(check)
        def checked(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                check(*args, **kwargs)
            except ContractError as error:
                raise ContractError(f"{error} (contract: {DOCUMENTATION}#{anchor})") from error

        setattr(checked, "anchor", anchor)  # noqa: B010 - a function declares no such attribute
        return checked

    return decorate


def require(condition: object, message: str) -> None:
    if not condition:
        raise ContractError(message)
