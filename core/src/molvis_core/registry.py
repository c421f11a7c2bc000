"""Find, import and build components by kind and name."""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from molvis_core.errors import ComponentError, ConfigError, PluginError, did_you_mean
from molvis_core.plugins import Component, plugins
from molvis_core.signatures import read_parameters

if TYPE_CHECKING:
    from molvis_core.interfaces import (
        Classifier,
        EncoderModule,
        Fitter,
        PairLoss,
        Predictor,
        Reader,
        Scorer,
        Target,
        Writer,
    )
    from molvis_core.modality import Modality

log = logging.getLogger("molvis")


@functools.cache
def warn_of_old_name(what: str, old: str, new: str) -> None:
    """Log once in a process that a thing of this kind has another name now; the old one works for one release."""
    log.warning("%s %r is called %r now; the old name works in this release and not in the next", what, old, new)


def components(kind: str | None = None) -> tuple[Component, ...]:
    """Everything that healthy plugins offer, of one kind or of all. Imports manifests only."""
    return tuple(c for p in plugins() for c in p.components if kind is None or c.kind == kind)


def component(kind: str, name: str) -> Component:
    """The one component of this kind and name; a name that it had before works too, with a warning.

    Raises:
        ComponentError: there is none, or several plugins offer one: nothing wins by luck.
    """
    found = _called(kind, name)
    if len(found) == 1:
        if found[0].name != name:
            warn_of_old_name(kind, name, found[0].name)
        return found[0]
    if found:
        offers = " and ".join(f"{c.distribution} ({c.target})" for c in found)
        raise ComponentError(f"{len(found)} plugins offer a {kind} named {name!r}: {offers}. Uninstall all but one.")
    names = sorted({c.name for c in components(kind)})
    broken = [p for p in plugins() if p.problem]
    message = f"no {kind} named {name!r}.{did_you_mean(name, names)} Installed: {', '.join(names) or 'none'}."
    if broken:
        message += " Broken plugins: " + "; ".join(f"{p.distribution} ({p.problem})" for p in broken) + "."
    raise ComponentError(message)


def current_name(kind: str, name: str) -> str:
    """The present name of a component that may be called by one that it had before; without a warning.

    What older versions wrote to disk names components as they were called then.
    """
    names = {c.name for c in _called(kind, name)}
    return names.pop() if len(names) == 1 else name


def _called(kind: str, name: str) -> list[Component]:
    """Components with this name now; if there is none, those that had it before."""
    of_kind = components(kind)
    return [c for c in of_kind if c.name == name] or [c for c in of_kind if name in c.replaces]


def with_current_names(config: Any, kind: str = "encoder") -> Any:
    """A configuration that an older version wrote, with the present names of its components; without a warning.

    Args:
        config: what was read: tables, lists and values; `use` names a component.
        kind: of the components in it; those under `loss` and `target` are of that kind.
    """
    if isinstance(config, list):
        return [with_current_names(item, kind) for item in config]
    if not isinstance(config, dict):
        return config
    found = {k: with_current_names(v, k if k in ("loss", "target") else kind) for k, v in config.items()}
    if isinstance(name := found.get("use"), str):
        found["use"] = current_name(kind, name)
    return found


def clashes() -> dict[str, tuple[str, ...]]:
    """By plugin: which of its components another one offers too. They work only when nobody asks for them by name."""
    offers: dict[tuple[str, str], list[Component]] = {}
    for found in components():
        offers.setdefault((found.kind, found.name), []).append(found)
    clashing: dict[str, tuple[str, ...]] = {}
    for (kind, name), several in offers.items():
        for one in several if len(several) > 1 else ():
            others = " and ".join(sorted({c.distribution for c in several if c is not one}))
            clashing[one.plugin] = (*clashing.get(one.plugin, ()), f"{kind} {name!r} is offered by {others} too")
    return clashing


@overload
def load(kind: Literal["encoder"], name: str) -> Callable[..., EncoderModule]: ...
@overload
def load(kind: Literal["loss"], name: str) -> Callable[..., PairLoss]: ...
@overload
def load(kind: Literal["target"], name: str) -> Callable[..., Target]: ...
@overload
def load(kind: Literal["predictor"], name: str) -> Callable[..., Predictor]: ...
@overload
def load(kind: Literal["fitter"], name: str) -> Callable[..., Fitter]: ...
@overload
def load(kind: Literal["scorer"], name: str) -> Callable[..., Scorer]: ...
@overload
def load(kind: Literal["classifier"], name: str) -> Callable[..., Classifier]: ...
@overload
def load(kind: Literal["modality"], name: str) -> Modality: ...
@overload
def load(kind: Literal["reader"], name: str) -> Reader: ...
@overload
def load(kind: Literal["writer"], name: str) -> Writer: ...
@overload
def load(kind: str, name: str) -> Any: ...
def load(kind: str, name: str) -> Any:
    """Import what a component names, and return it.

    Raises:
        ComponentError: see `component`.
        PluginError: its module cannot be imported, or lacks the attribute.
    """
    found = component(kind, name)
    return _import(found, found.target)


def recogniser(found: Component) -> Callable[[Path], bool] | None:
    """The function that returns whether a file is a reader's own; None where the component names none.

    Raises:
        PluginError: see `load`.
    """
    return _import(found, found.recognises) if found.recognises else None


def parts_argument(spec: Mapping[str, Any]) -> str:
    """The argument of an encoder that names the encoders it is made of, as its component declares it; empty if none."""
    name = current_name("encoder", str(spec.get("use", "")))
    return next((c.parts for c in components("encoder") if c.name == name), "")


def _import(found: Component, target: str) -> Any:
    module_name, _, attribute = target.partition(":")
    try:
        return functools.reduce(getattr, attribute.split("."), importlib.import_module(module_name))
    except (ImportError, AttributeError) as error:
        raise PluginError(
            f"{found.kind} {found.name!r} of {found.distribution} {found.version} cannot be loaded from {target}: "
            f"{error}. {_remedy(found, error)}"
        ) from error


def _remedy(found: Component, error: Exception) -> str:
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing and missing != re.split("[.:]", found.target)[0]:
        return f"Install what it needs: pip install {missing}"
    return f"Reinstall it: pip install --force-reinstall {found.distribution}"


def parameters(kind: str, name: str) -> dict[str, inspect.Parameter]:
    """The arguments of a component's constructor: its configuration schema, without annotations.

    They are read from its source where that is plain, so that a configuration is checked without importing PyTorch.
    """
    if (known := read_parameters(component(kind, name).target)) is not None:
        return known
    target = load(kind, name)
    return {
        p.name: p
        for p in inspect.signature(target).parameters.values()
        if p.name != "self" and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }


def check_arguments(kind: str, name: str, given: Mapping[str, Any], *, where: str = "") -> None:
    """Raise `ConfigError` when a key is no argument of the component, or one without a default is missing."""
    known = parameters(kind, name)
    place = where or f"{kind} {name!r}"
    for key in given:
        if key not in known:
            raise ConfigError(
                f"{place}: {kind} {name!r} has no argument {key!r}.{did_you_mean(key, known)} "
                f"It takes: {', '.join(known) or 'none'}."
            )
    missing = [k for k, p in known.items() if p.default is p.empty and k not in given]
    if missing:
        raise ConfigError(f"{place}: {kind} {name!r} needs {', '.join(missing)}.")


def spec_name(spec: Mapping[str, Any] | str, *, where: str = "") -> tuple[str, dict[str, Any]]:
    """`{"use": "infonce", "temperature": 0.07}` or `"infonce"` to the name and the arguments."""
    if isinstance(spec, str):
        return spec, {}
    if not isinstance(spec.get("use"), str):
        raise ConfigError(f"{where or 'component'}: the key 'use' must name a component, found {dict(spec)}")
    return spec["use"], {k: v for k, v in spec.items() if k != "use"}


@overload
def build(kind: Literal["encoder"], spec: Mapping[str, Any] | str, *, where: str = "") -> EncoderModule: ...
@overload
def build(kind: Literal["loss"], spec: Mapping[str, Any] | str, *, where: str = "") -> PairLoss: ...
@overload
def build(kind: Literal["target"], spec: Mapping[str, Any] | str, *, where: str = "") -> Target: ...
@overload
def build(kind: Literal["predictor"], spec: Mapping[str, Any] | str, *, where: str = "") -> Predictor: ...
@overload
def build(kind: Literal["fitter"], spec: Mapping[str, Any] | str, *, where: str = "") -> Fitter: ...
@overload
def build(kind: Literal["scorer"], spec: Mapping[str, Any] | str, *, where: str = "") -> Scorer: ...
@overload
def build(kind: Literal["classifier"], spec: Mapping[str, Any] | str, *, where: str = "") -> Classifier: ...
@overload
def build(kind: str, spec: Mapping[str, Any] | str, *, where: str = "") -> Any: ...
def build(kind: str, spec: Mapping[str, Any] | str, *, where: str = "") -> Any:
    """Build a component: `build("loss", {"use": "infonce", "temperature": 0.07})`.

    Raises:
        ComponentError, PluginError: see `load`.
        ConfigError: an argument that the constructor does not have, lacks, or refuses.
    """
    name, arguments = spec_name(spec, where=where)
    target: Callable[..., Any] = load(kind, name)
    check_arguments(kind, name, arguments, where=where)
    try:
        return target(**arguments)
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{where or kind}: {kind} {name!r} refused {arguments}: {error}") from error


def measured_modalities() -> set[str]:
    """Names of the modalities that are measurements: all whose `measured` is not False."""
    declared = components("modality")
    others = {"structure"}
    for found in declared:
        try:
            if not load("modality", found.name).measured:
                others.add(found.name)
        except (ComponentError, PluginError):  # offered twice, or broken: `molvis plugins` shows why
            log.debug("modality %s cannot be loaded", found.name)
    return ({c.name for c in declared} | {c.modality for c in components("reader")}) - others


def fixed_modalities() -> set[str]:
    """Names of the modalities of readers that are neither measurements nor structures, such as a spin system."""
    return readable_modalities() - measured_modalities()


def readable_modalities() -> set[str]:
    """Names of the modalities that readers give, but for structures."""
    return {c.modality for c in components("reader")} - {"structure"}


def for_suffix(
    kind: str, path: Path | str, *, modality: str | Collection[str] | None = None, remedy: str = ""
) -> Component:
    """The reader or writer that claims a file's ending; `.gz` behind it does not matter.

    The longest ending wins, so that `.mb.txt` goes before `.txt`. Where several readers claim it and the file is there,
    the one that recognises what is in it is taken.

    Args:
        kind: `reader` or `writer`.
        path: the file.
        modality: take only those of this one, or of one of these.
        remedy: how the caller's user can choose where several claim it, a sentence for the error. By default the
            options `--reader` or `--writer`, and `--modality` where the readers are of several.

    Raises:
        ComponentError: none does, or several do.
        PluginError: the function that recognises a reader's files cannot be imported.
    """
    wanted = {modality} if isinstance(modality, str) else modality
    fitting = claiming(kind, path, modality=wanted)
    if kind == "reader" and len(fitting) > 1 and Path(path).is_file():
        fitting = _recognising(Path(path), fitting, remedy)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(c.name for c in fitting)
        raise ComponentError(
            f"{path}: several {kind}s claim this ending: {names}. {remedy or _by_option(kind, fitting)}"
        )
    known = sorted({s for c in components(kind) if wanted is None or c.modality in wanted for s in c.suffixes})
    others = [f"{c.name} ({c.modality})" for c in claiming(kind, path)]
    claimed = f" Those of other modalities do: {', '.join(others)}." if others else ""
    raise ComponentError(f"{path}: no {kind} claims this ending. Known endings: {', '.join(known) or 'none'}.{claimed}")


def claiming(kind: str, path: Path | str, *, modality: Collection[str] | None = None) -> list[Component]:
    """Readers or writers that claim the longest ending that a file's name has; `.gz` behind it does not matter.

    Args:
        kind: `reader` or `writer`.
        path: the file, which need not exist.
        modality: only those of one of these.
    """
    name = Path(path).name.lower().removesuffix(".gz")
    offered = [c for c in components(kind) if modality is None or c.modality in modality]
    claims = [(len(suffix), c) for c in offered for suffix in c.suffixes if name.endswith(suffix)]
    longest = max((length for length, _ in claims), default=0)
    return [c for length, c in claims if length == longest]


def _by_option(kind: str, fitting: Sequence[Component]) -> str:
    """How one of several readers or writers is chosen on a command line."""
    several = kind == "reader" and len({c.modality for c in fitting}) > 1
    return f"Name one with --{kind}{', or its modality with --modality' if several else ''}."


def _recognising(path: Path, fitting: Sequence[Component], remedy: str) -> list[Component]:
    """Of several readers those that know the file; else those that cannot recognise files."""
    verdicts = [(c, recognises(c, path)) for c in fitting]
    known = [c for c, knows in verdicts if knows] or [c for c, knows in verdicts if knows is None]
    if not known:
        names = ", ".join(c.name for c in fitting)
        remedy = remedy or _by_option("reader", fitting)
        raise ComponentError(f"{path}: of the readers that claim this ending none recognises it: {names}. {remedy}")
    return known


def reader_for(path: Path | str, *, modality: str) -> Component:
    """The reader of a file or a folder, by its ending and by what is in it.

    The reader that `for_suffix` finds is taken unless it does not recognise the file and another one does: a folder has
    no ending, and a file may have that of something else.

    Args:
        path: the file or the folder.
        modality: of the readers to choose from.

    Raises:
        ComponentError: no reader claims the ending or recognises the file.
    """
    readers = [c for c in components("reader") if c.modality == modality]
    try:
        found = for_suffix("reader", path, modality=modality)
    except ComponentError:
        known = next((c for c in readers if recognises(c, path)), None)
        if known is None:
            raise
        return known
    if recognises(found, path) is not False:
        return found
    return next((c for c in readers if recognises(c, path)), found)


def recognises(found: Component, path: Path | str) -> bool | None:
    """Whether a reader recognises a file or a folder as its own; None where it has no opinion."""
    ask = recogniser(found)
    return None if ask is None else bool(ask(Path(path)))


def fill_spec(kind: str, spec: Mapping[str, Any] | str) -> dict[str, Any]:
    """A component's spec with the defaults of its constructor. Nested specs are filled too.

    An argument whose default is None is left out: TOML has no word for it.
    """
    name, given = spec_name(spec)
    filled: dict[str, Any] = {"use": component(kind, name).name}
    for key, parameter in parameters(kind, name).items():
        value = given.get(key, parameter.default)
        if value is inspect.Parameter.empty or value is None:
            continue
        filled[key] = _fill_nested(kind, value)
    return filled


def _fill_nested(kind: str, value: Any) -> Any:
    if isinstance(value, Mapping) and isinstance(value.get("use"), str):
        return fill_spec(kind, value)
    if isinstance(value, (list, tuple)):
        return [_fill_nested(kind, v) for v in value]
    return value
