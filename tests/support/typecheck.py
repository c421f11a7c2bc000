"""What jaxtyping applies to functions of ours under test: the shapes and types of arrays, checked by beartype.

Other annotations are left to the static type checker. A test of what we say to a wrong argument must reach our own
message, which names the argument and what to do, before any checker's.

jaxtyping's import hook wraps every function, whether it knows of arrays or not, and each wrapped call binds its
arguments to the signature three times: a third of the time of all tests. Functions without arrays stay as they are.
"""

from __future__ import annotations

import functools
import re
import typing
from collections.abc import Callable
from typing import Any, TypeVar

import jaxtyping
from beartype import beartype
from jaxtyping import AbstractArray, AbstractDtype

T = TypeVar("T", bound=Callable[..., Any])

_wrapped = jaxtyping.jaxtyped


def typecheck(function: T) -> T:
    """Check the arrays among the arguments and the result of a function at each call."""
    function.__annotations__ = {k: v for k, v in function.__annotations__.items() if _holds_an_array(v)}
    return beartype(function)


def skip_functions_without_arrays() -> None:
    """Let jaxtyping's import hook wrap only what takes or returns an array; to be called before the first import."""
    jaxtyping.jaxtyped = _jaxtyped


def _jaxtyped(thing: Any = None, *, typechecker: Any = None) -> Any:
    """What the import hook decorates with: functions as they are defined, and finished classes."""
    if thing is None:
        return functools.partial(_jaxtyped, typechecker=typechecker)
    function = vars(thing).get("__init__") if isinstance(thing, type) else thing
    return _wrapped(thing, typechecker=typechecker) if _mentions_an_array(function) else thing


def _mentions_an_array(function: Any) -> bool:
    names = getattr(function, "__globals__", {})
    for annotation in getattr(function, "__annotations__", {}).values():
        if isinstance(annotation, str):  # as `from __future__ import annotations` leaves it
            if any(_names_arrays(names.get(word)) for word in re.findall(r"[^\W\d]\w*", annotation)):
                return True
        elif _names_arrays(annotation):
            return True
    return False


def _names_arrays(value: Any) -> bool:
    is_dtype = isinstance(value, type) and issubclass(value, AbstractDtype)
    return is_dtype or value is jaxtyping or _holds_an_array(value)


def _holds_an_array(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return True
    return any(_holds_an_array(part) for part in typing.get_args(annotation))
