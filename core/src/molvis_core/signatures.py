"""Arguments of components, read from the source of their modules: importing these takes PyTorch, and seconds.

Whatever is not plain in the source (a decorator, a metaclass, a default that is computed) is left to be imported.
"""

from __future__ import annotations

import ast
import functools
import importlib.machinery
import inspect
import sys
from pathlib import Path
from typing import Any

_PLAIN = {"object", "Module", "nn.Module", "torch.nn.Module", "Protocol", "Generic", "ABC"}
_DATACLASS = {"dataclass", "dataclasses.dataclass"}
_Parameters = dict[str, inspect.Parameter]


class _Unknown(Exception):  # noqa: N818 - no failure: the import knows
    """The source does not state it plainly."""


def read_parameters(target: str) -> _Parameters | None:
    """Named arguments of a function or of a class's constructor; None where only the import can determine them.

    Args:
        target: `module:attribute`, as components name it.
    """
    module, _, attribute = target.partition(":")
    if module in sys.modules:  # imported already, and perhaps not what the source states
        return None
    try:
        return _of(module, attribute)
    except (_Unknown, RecursionError):
        return None


def _parse(module: str) -> ast.Module:
    """The source of a module, whose parents are not imported either."""
    places: list[str] | None = None
    spec = None
    for part in module.split("."):
        spec = importlib.machinery.PathFinder.find_spec(part, places)
        if spec is None:
            raise _Unknown(module)
        places = list(spec.submodule_search_locations or ())
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        raise _Unknown(module)
    try:
        return _tree(spec.origin, Path(spec.origin).stat().st_mtime_ns)
    except (OSError, SyntaxError, ValueError) as error:
        raise _Unknown(module) from error


@functools.lru_cache(maxsize=64)
def _tree(file: str, changed: int) -> ast.Module:  # noqa: ARG001 - a file that changed is read again
    return ast.parse(Path(file).read_bytes())


def _binding(module: str, name: str) -> tuple[str, ast.stmt]:
    """The one statement that binds a name, and the module in which it stands."""
    found = [node for node in _parse(module).body for bound in _bound(node) if bound == name]
    if len(found) != 1:
        raise _Unknown(name)
    node = found[0]
    if not isinstance(node, ast.ImportFrom):
        return module, node
    if node.level or not node.module:
        raise _Unknown(name)
    return _binding(node.module, next(a.name for a in node.names if (a.asname or a.name) == name))


def _bound(node: ast.stmt) -> list[str]:
    """The names that a statement of a module binds, as far as they are plain."""
    if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return [node.name]
    if isinstance(node, ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _of(module: str, attribute: str) -> _Parameters:
    module, node = _binding(module, attribute)
    if isinstance(node, ast.FunctionDef) and not node.decorator_list:
        return _arguments(module, node.args)
    if not isinstance(node, ast.ClassDef) or node.keywords:
        raise _Unknown(attribute)
    if node.decorator_list:
        return _fields(module, node)
    for base in node.bases:
        _plain(module, base)
    own = {n.name: n for n in node.body if isinstance(n, ast.FunctionDef)}
    if not node.bases and not own.keys() & {"__init__", "__new__"}:
        return {}
    if "__new__" in own or "__init__" not in own or own["__init__"].decorator_list:
        raise _Unknown(attribute)
    found = _arguments(module, own["__init__"].args)
    return {name: parameter for name, parameter in found.items() if name != "self"}


def _plain(module: str, base: ast.expr) -> None:
    """Raise unless a base leaves the constructor to its child."""
    name = ast.unparse(base.value if isinstance(base, ast.Subscript) else base)
    if name in _PLAIN:
        return
    place, node = _binding(module, name)
    if not isinstance(node, ast.ClassDef) or node.keywords:
        raise _Unknown(name)
    if any(isinstance(n, ast.FunctionDef) and n.name == "__new__" for n in node.body):
        raise _Unknown(name)
    for further in node.bases:
        _plain(place, further)


def _arguments(module: str, given: ast.arguments) -> _Parameters:
    listed = [*given.posonlyargs, *given.args]
    defaults = [*[None] * (len(listed) - len(given.defaults)), *given.defaults, *given.kw_defaults]
    either, by_name = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    kinds = [*[either] * len(listed), *[by_name] * len(given.kwonlyargs)]
    return {
        a.arg: _parameter(module, a.arg, kind, default)
        for a, kind, default in zip([*listed, *given.kwonlyargs], kinds, defaults, strict=True)
    }


def _fields(module: str, node: ast.ClassDef) -> _Parameters:
    """Of a dataclass without bases, whose fields have plain defaults."""
    options = _dataclass_options(node)
    only = any(o.arg == "kw_only" and ast.unparse(o.value) == "True" for o in options)
    kind = inspect.Parameter.KEYWORD_ONLY if only else inspect.Parameter.POSITIONAL_OR_KEYWORD
    found: _Parameters = {}
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            annotation = ast.unparse(item.annotation)
            if "KW_ONLY" in annotation:
                raise _Unknown(node.name)
            if "ClassVar" not in annotation:
                found[item.target.id] = _parameter(module, item.target.id, kind, item.value)
    return found


def _dataclass_options(node: ast.ClassDef) -> list[ast.keyword]:
    """What `dataclass` is called with; raise where the class is more than a plain dataclass."""
    made = node.decorator_list[0]
    options = made.keywords if isinstance(made, ast.Call) else []
    name = ast.unparse(made.func if isinstance(made, ast.Call) else made)
    constructs = any(isinstance(n, ast.FunctionDef) and n.name in ("__init__", "__new__") for n in node.body)
    alone = len(node.decorator_list) == 1 and not node.bases and name in _DATACLASS
    if not alone or constructs or any(o.arg in (None, "init") for o in options):
        raise _Unknown(node.name)
    return options


def _parameter(module: str, name: str, kind: Any, default: ast.expr | None) -> inspect.Parameter:
    value = inspect.Parameter.empty if default is None else _value(module, default)
    return inspect.Parameter(name, kind, default=value)


def _value(module: str, node: ast.expr) -> Any:
    """A literal, or a name that the module binds to one."""
    if isinstance(node, ast.Name):
        module, bound = _binding(module, node.id)
        if not isinstance(bound, (ast.Assign, ast.AnnAssign)) or bound.value is None:
            raise _Unknown(node.id)
        return _value(module, bound.value)
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise _Unknown(ast.unparse(node)) from error
