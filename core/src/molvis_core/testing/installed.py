"""The contract kit on what is installed, without its test files: `molvis check NAME`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from typing import Any

from molvis_core import registry
from molvis_core.errors import ComponentError, ConfigError, did_you_mean
from molvis_core.interfaces import PredictsRecords
from molvis_core.plugins import Component, Plugin, plugins
from molvis_core.progress import Progress
from molvis_core.testing import checks
from molvis_core.testing.ownership import claimed_elsewhere
from molvis_core.testing.synthetic import synthetic_rankings, synthetic_records, synthetic_structures

OWNERSHIP = "no other distribution claims its files"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of one check of one component.

    Attributes:
        component: kind and name, such as `encoder ir-resnet`; `plugin` and its name for the manifest.
        check: what was checked, in words.
        ok: False if the contract is broken; None if it could not be run without more arguments.
        problem: what went wrong, or why it was not run; where the contract is kept, what to be warned of all the same.
    """

    component: str
    check: str
    ok: bool | None
    problem: str = ""


def check_installed(name: str, *, progress: Progress | None = None) -> list[CheckResult]:
    """Run what can be run of the contracts on an installed plugin.

    Components are built with their defaults and run on synthetic records. One that needs arguments is only imported:
    its own tests, which inherit the contracts, know more.

    Args:
        name: of a distribution, such as `molvis-losses`, or of a plugin's entry point. Of a distribution that is no
            plugin, such as `molvis-cli`, only the ownership of its files is checked.
        progress: called with the checks done and the checks in all.

    Raises:
        ComponentError: nothing of this name is installed.
    """
    planned = _planned(name)
    results: list[CheckResult] = []
    left: set[str] = set()
    for number, (subject, label, check) in enumerate(planned, start=1):
        if subject not in left:
            results.append(result := _run(subject, label, check))
            if result.ok is None:  # what stops one check of a component stops the rest
                left.add(subject)
        if progress:
            progress(number, len(planned))
    return results


def _planned(name: str) -> list[_Step]:
    """Every check of what is installed under a name.

    Raises:
        ComponentError: nothing of this name is installed.
    """
    chosen = [p for p in plugins() if name in (p.name, p.distribution) or _same_project(name, p.distribution)]
    planned = [step for plugin in chosen for step in _plan(plugin)]
    owners = {p.distribution for p in chosen if p.distribution != "?"} or ({name} if _belongs_to_us(name) else set())
    planned += [(f"distribution {o}", OWNERSHIP, partial(_owned, o)) for o in sorted(owners)]
    if not planned:
        known = sorted({p.distribution for p in plugins()} | {p.name for p in plugins()})
        raise ComponentError(
            f"no plugin named {name!r} is installed.{did_you_mean(name, known)} "
            f"Installed: {', '.join(known) or 'none'}. "
            f"If it is a distribution on its way: pip install {name}"
        )
    return planned


def _same_project(a: str, b: str) -> bool:
    return a.lower().replace("_", "-") == b.lower().replace("_", "-")


def _belongs_to_us(name: str) -> bool:
    """Whether an installed distribution stands on the core without being a plugin."""
    try:
        required = metadata.requires(name) or []
    except (metadata.PackageNotFoundError, ValueError):
        return False
    return any(re.match(r"molvis[-_.]core\b", text, re.IGNORECASE) for text in required)


def _owned(distribution: str) -> None:
    contested = claimed_elsewhere(distribution)
    if contested:
        raise _Warned("; ".join(contested))


class _Warned(Exception):  # noqa: N818 - not an error: nothing of the component's own is at fault
    """The contract is kept, and there is something to know."""


class _NotRun(Exception):  # noqa: N818 - not an error: it states why a check cannot be run without more arguments
    """Left to the plugin's own tests."""


def _run(subject: str, label: str, check: Callable[[], None]) -> CheckResult:
    try:
        check()
    except _Warned as warning:
        return CheckResult(subject, label, True, str(warning))
    except _NotRun as reason:
        return CheckResult(subject, "contract of its kind", None, str(reason))
    except Exception as error:  # noqa: BLE001 - a stranger's component may raise anything: it is what is being checked
        plain = isinstance(error, checks.ContractError)
        return CheckResult(subject, label, False, str(error) if plain else f"{type(error).__name__}: {error}")
    return CheckResult(subject, label, True)


_Step = tuple[str, str, Callable[[], None]]


def _plan(plugin: Plugin) -> Iterator[_Step]:
    subject = f"plugin {plugin.name}"
    yield subject, "loads and offers something", partial(checks.plugin_is_healthy, plugin)
    if plugin.problem:
        return
    yield subject, "manifest brings in nothing heavy", partial(checks.manifest_is_light, plugin)
    for component in plugin.components:
        subject = f"{component.kind} {component.name}"
        yield subject, "is described", partial(checks.component_is_described, component)
        yield subject, "can be imported, and no other has its name", partial(checks.component_resolves, component)
        for label, check in _OF_KIND.get(component.kind, _brought)(component):
            yield subject, label, check


_Checks = list[tuple[str, Callable[[], None]]]


class _Built:
    """Built once, when the first check asks for it."""

    def __init__(self, component: Component) -> None:
        self.component = component
        self._made: Any = None

    def __call__(self) -> Any:
        if self._made is None:
            kind, name = self.component.kind, self.component.name
            needed = [n for n, p in registry.parameters(kind, name).items() if p.default is p.empty]
            if needed:
                raise _NotRun(f"needs {', '.join(needed)}: left to the plugin's own tests")
            try:
                self._made = registry.build(kind, name)
            except ConfigError as error:
                raise _NotRun(f"its defaults do not build it, {error}: left to the plugin's own tests") from error
        return self._made

    def records(self) -> list[Any]:
        return synthetic_records(self().accepts)


def _modality(component: Component) -> _Checks:
    return [("is a Modality", partial(checks.modality_is_a_value, component))]


def _encoder(component: Component) -> _Checks:
    built = _Built(component)
    return [
        ("gives unit rows", lambda: checks.encoder_gives_unit_rows(built(), built.records())),
        ("same alone and among neighbours", lambda: checks.encoder_ignores_neighbours(built(), built.records())),
        ("keeps the order of records", lambda: checks.encoder_keeps_order(built(), built.records())),
        ("batch pickles and moves", lambda: checks.encoder_batch_travels(built(), built.records())),
        ("every parameter gets a gradient", lambda: checks.encoder_parameters_learn(built(), built.records())),
        ("deterministic", lambda: checks.encoder_is_deterministic(built(), built.records())),
        ("prepared records encode the same", lambda: checks.encoder_featurises(built(), built.records())),
        ("parts add up", lambda: checks.encoder_parts_add_up(built())),
        (
            "survives a bundle exactly",
            lambda: checks.encoder_survives_a_bundle(built(), built.records(), {"use": component.name}),
        ),
    ]


def _loss(component: Component) -> _Checks:
    built = _Built(component)
    return [
        ("finite gradients", lambda: checks.loss_has_finite_gradients(built())),
        ("order of pairs does not matter", lambda: checks.loss_ignores_the_order_of_pairs(built())),
        ("weight 0 hides a pair", lambda: checks.loss_hides_pairs_of_weight_zero(built())),
        ("nothing known costs nothing", lambda: checks.loss_of_nothing_is_zero(built())),
        ("what it declares is of use", lambda: checks.loss_declares_what_training_asks(built())),
        ("matches cost less", lambda: checks.loss_prefers_matches(built())),
        ("every parameter gets a gradient", lambda: checks.loss_parameters_learn(built())),
    ]


def _target(component: Component) -> _Checks:
    built = _Built(component)
    return [
        ("a likeness between 0 and 1", lambda: checks.target_is_a_likeness(built(), synthetic_structures())),
        ("batch pickles and moves", lambda: checks.target_batch_travels(built(), synthetic_structures())),
    ]


def _predictor(component: Component) -> _Checks:
    built = _Built(component)

    def of_numbers(check: Callable[[Any, Any], None]) -> Callable[[], None]:
        # What it predicts is known once it is built, and building it is part of the check.
        return lambda: None if isinstance(built(), PredictsRecords) else check(built(), built.records())

    def predicts() -> None:
        records = isinstance(built(), PredictsRecords)
        check = checks.predictor_gives_records if records else checks.predictor_gives_mean_and_sd
        check(built(), built.records())

    return [
        ("means and positive deviations, or records", predicts),
        ("same alone and among neighbours", of_numbers(checks.predictor_ignores_neighbours)),
        ("batch pickles and moves", of_numbers(checks.predictor_batch_travels)),
        ("every parameter gets a gradient", of_numbers(checks.predictor_parameters_learn)),
    ]


def _classifier(component: Component) -> _Checks:
    def gives_classes() -> None:
        checks.classifier_gives_classes(registry.build("classifier", component.name), synthetic_structures())

    return [("a row of classes for each structure", gives_classes)]


def _scorer(component: Component) -> _Checks:
    built = _Built(component)

    def with_query(check: Callable[[Any, Any, Any], None]) -> Callable[[], None]:
        return lambda: check(built(), built.records()[-1], synthetic_structures())

    return [
        ("finite features", with_query(checks.scorer_gives_features)),
        ("explains peaks that there are", with_query(checks.scorer_explains_peaks)),
        ("order of candidates does not matter", with_query(checks.scorer_ignores_the_order_of_candidates)),
        ("adapts to a run", with_query(checks.scorer_adapts_to_a_run)),
        ("leaves compounds out", with_query(checks.scorer_leaves_out)),
        ("tells records apart", lambda: checks.scorer_tells_records_apart(built(), built.records()[-1])),
        ("uses references that can be left out", with_query(checks.scorer_uses_references)),
        ("names what resembles a query", with_query(checks.scorer_names_analogues)),
        (
            "keeps what it learned",
            lambda: checks.scorer_keeps_what_it_learned(built(), synthetic_rankings(built().accepts)),
        ),
    ]


def _reader(component: Component) -> _Checks:
    def any_bytes() -> None:
        read = registry.load("reader", component.name)
        for suffix in component.suffixes or ("",):
            checks.reader_survives_any_bytes(read, suffix)

    return [("any bytes give a ReadError at worst", any_bytes)]


def _writer(component: Component) -> _Checks:
    return [("can be called", lambda: checks.is_callable(registry.load("writer", component.name)))]


def _fitter(component: Component) -> _Checks:
    built = _Built(component)
    return [("has prior, simulate and fit", lambda: checks.is_fitter(built()))]


def _route(component: Component) -> _Checks:
    return [("is described", lambda: checks.route_is_described(registry.load("route", component.name)))]


def _brought(component: Component) -> _Checks:
    """The check of a kind that another distribution owns, where one is installed that brings it."""
    if not any(c.name == component.kind for c in registry.components("contract")):
        return []
    contract = registry.component("contract", component.kind)

    def keeps() -> None:
        registry.load("contract", component.kind)(component)

    return [(contract.summary.rstrip("."), keeps)]


_OF_KIND: dict[str, Callable[[Component], _Checks]] = {
    "modality": _modality,
    "encoder": _encoder,
    "loss": _loss,
    "target": _target,
    "predictor": _predictor,
    "scorer": _scorer,
    "classifier": _classifier,
    "reader": _reader,
    "writer": _writer,
    "fitter": _fitter,
    "route": _route,
}
