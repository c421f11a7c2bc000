"""Sizes that a stranger's configuration states, against the weights that come with it.

A configuration of a few bytes can ask for an encoder of terabytes. Its weights show how large it really is.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molvis_core.errors import BundleError

if TYPE_CHECKING:
    import torch

log = logging.getLogger("molvis")

LARGEST = 1_000_000
"""Of whole numbers in the configuration of an encoder or a scorer, unless its weights have more elements."""
_SLACK = 4
"""How many times its weights a constructor may make: some build parts that they copy, or register twice."""
_FEW = 1000


def read_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors in a safetensors file; only its header is read.

    Raises:
        BundleError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as content:
            return {name: tuple(content.get_slice(name).get_shape()) for name in content.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{file}: damaged: {error}") from error


def refuse_absurd(spec: Mapping[str, Any], where: object, most: int = LARGEST) -> None:
    """Refuse a configuration that holds a number no size can be.

    Args:
        spec: of a component.
        where: that the error names.
        most: the largest number that may be; seeds may be any.

    Raises:
        BundleError: names the argument.
    """
    for name, value in _numbers("", spec):
        if abs(value) > most:
            raise BundleError(
                f"{where}: {name} is {value:,}, and at most {most:,} is opened; its weights are not of that size"
            )


def _numbers(name: str, value: Any) -> Iterator[tuple[str, int]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if "seed" not in str(key):
                yield from _numbers(f"{name}.{key}".strip("."), inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _numbers(name, inner)
    elif isinstance(value, int):
        yield name, value


def build_within(
    file: Path, spec: Mapping[str, Any], build: Callable[[], torch.nn.Module], where: object
) -> torch.nn.Module:
    """An encoder, unless its configuration asks for far more parameters than its weights have.

    It is made without memory first, on torch's meta device, and given up at the first parameter too many.

    Args:
        file: of the weights.
        spec: of the encoder.
        build: makes it.
        where: that the error names.

    Raises:
        BundleError: it would be larger than its weights, or they are damaged.
    """
    import torch

    shapes = read_shapes(file)
    elements = sum(math.prod(shape) for shape in shapes.values())
    refuse_absurd(spec, where, max(LARGEST, elements))
    with _watched(len(shapes) * _SLACK + _FEW, elements * _SLACK + _FEW**2, where):
        try:
            with torch.device("meta"), _unfilled():
                build()
        except _TooManyParameters as error:
            raise BundleError(str(error)) from error
        except Exception as error:  # noqa: BLE001 - made without memory, a constructor may fail in any way
            log.debug("%s cannot be made on the meta device: %s", where, error)
        try:
            return build()
        except _TooManyParameters as error:
            raise BundleError(str(error)) from error
        except MemoryError as error:
            raise BundleError(f"{where}: is too large for the memory: {error}") from error


def _unfilled() -> contextlib.AbstractContextManager[Any]:
    """While it holds, tensors without memory are not filled with random numbers.

    There is nothing to fill, and torch imports its compiler to find that out: seconds, at the first one.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    fills = {torch.Tensor.normal_, torch.Tensor.uniform_, torch.nn.init.normal_, torch.nn.init.uniform_}

    class Unfilled(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            named = kwargs or {}
            tensor = args[0] if args else named.get("tensor")
            return tensor if func in fills and tensor is not None and tensor.is_meta else func(*args, **named)

    return Unfilled()


class _TooManyParameters(Exception):  # noqa: N818 - caught in this module alone
    """Nothing between it and this module takes it for a refused argument."""


@contextlib.contextmanager
def _watched(tensors: int, elements: int, where: object) -> Generator[None]:
    """While it holds, modules that register more than so many parameters raise an error."""
    import torch
    from torch.nn.modules.module import register_module_parameter_registration_hook

    seen = [0, 0]

    def registered(_module: object, name: str, parameter: torch.Tensor | None) -> None:
        if parameter is None:
            return
        seen[0] += 1
        seen[1] += 0 if torch.nn.parameter.is_lazy(parameter) else parameter.numel()
        if seen[0] > tensors or seen[1] > elements:
            shape = tuple(parameter.shape)
            raise _TooManyParameters(f"{where}: requires more parameters than its weights have, such as {name} {shape}")

    hook = register_module_parameter_registration_hook(registered)
    try:
        yield
    finally:
        hook.remove()
