"""What jaxtyping applies to every function of ours under test: the shapes and types of arrays, checked by beartype.

Other annotations are left to the static type checker. A test of what we say to a wrong argument must reach our own
message, which names the argument and what to do, before any checker's.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any, TypeVar

from beartype import beartype
from jaxtyping import AbstractArray

T = TypeVar("T", bound=Callable[..., Any])


def typecheck(function: T) -> T:
    """Check the arrays among the arguments and the result of a function at each call."""
    function.__annotations__ = {k: v for k, v in function.__annotations__.items() if _holds_an_array(v)}
    return beartype(function)


def _holds_an_array(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return True
    return any(_holds_an_array(part) for part in typing.get_args(annotation))
