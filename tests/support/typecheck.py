"""What jaxtyping applies to functions of ours under test: the shapes and types of arrays, checked by beartype.

Other annotations are left to the static type checker. A test of what we say to a wrong argument must reach our own
message, which names the argument and what to do, before any checker's.

jaxtyping's import hook wraps every function, whether it knows of arrays or not: functions without arrays stay as they
are. Its own wrapper binds the arguments of each call to the signature and checks them twice, before the call and beside
the result. Ours checks them once, in half of the time, and leaves to jaxtyping's what is rare: generators, axes that
name the value of an argument, and the words of an error.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jaxtyping
from beartype import beartype
from beartype.roar import BeartypeCallHintParamViolation, BeartypeCallHintReturnViolation
from jaxtyping import AbstractArray, AbstractDtype
from jaxtyping._storage import pop_shape_memo, push_shape_memo

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
    if not _mentions_an_array(function):
        return thing
    if isinstance(thing, type):
        unwrapped = not hasattr(function, "__wrapped__") and not getattr(thing, "__no_type_check__", False)
        if dataclasses.is_dataclass(thing) and unwrapped:
            thing.__init__ = _jaxtyped(function, typechecker=typechecker)
        return thing
    thorough = _wrapped(thing, typechecker=typechecker)
    quick = isinstance(thing, types.FunctionType) and not inspect.isgeneratorfunction(thing)
    return _quickly(thing, thorough) if quick else thorough


def _quickly(function: types.FunctionType, thorough: Callable[..., Any]) -> Callable[..., Any]:
    """As jaxtyping's wrapper of a function checks it, but for arguments that are looked at once and not twice.

    Args:
        function: as it was written.
        thorough: jaxtyping's wrapper, which words the error of an argument that does not fit.
    """
    hints = {name: _resolved(hint, function.__globals__) for name, hint in function.__annotations__.items()}
    hints = {name: hint for name, hint in hints.items() if _holds_an_array(hint)}
    if any("{" in array.dim_str for hint in hints.values() for array in _arrays(hint)):
        return thorough
    copy = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__, copy.__annotations__, copy.__qualname__ = function.__kwdefaults__, hints, function.__qualname__
    checked = beartype(copy)

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if jaxtyping.config.jaxtyping_disable:
            return function(*args, **kwargs)
        push_shape_memo({})
        try:
            return checked(*args, **kwargs)
        except BeartypeCallHintParamViolation:
            found = None
        except BeartypeCallHintReturnViolation as error:
            found = jaxtyping.TypeCheckError(str(error))
        finally:
            pop_shape_memo()
        if found is not None:
            raise found
        return thorough(*args, **kwargs)

    return wrapper


def _resolved(hint: Any, names: dict[str, Any]) -> Any:
    """An annotation as it is meant, where `from __future__ import annotations` has left a text.

    `Any` stands for what is imported for the type checker alone, and unknown when tests run.
    """
    holder = types.SimpleNamespace(__annotations__={"hint": hint})
    try:
        return typing.get_type_hints(holder, names, include_extras=True)["hint"]
    except (NameError, AttributeError, TypeError, ValueError, SyntaxError):
        return Any


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
    return next(_arrays(annotation), None) is not None


def _arrays(annotation: Any) -> Iterator[type[AbstractArray]]:
    """All annotations of arrays in one that may hold others."""
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _arrays(part)
