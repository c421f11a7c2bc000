"""The contracts as functions: each returns when its object keeps it, and raises `ContractError` when not."""

from __future__ import annotations

import copy
import dataclasses
import functools
import gzip
import json
import math
import pickle
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence, Sized
from pathlib import Path
from typing import Any, ParamSpec, cast

import numpy as np

from molvis_core import interfaces, registry
from molvis_core.errors import LeftOutError, MolvisError, ReadError, did_you_mean
from molvis_core.fitting import Fit, Fixed, Normal, Prior, Uniform
from molvis_core.modality import Modality
from molvis_core.plugins import KINDS, Component, Plugin
from molvis_core.records import RECORD_TYPES, Structure, Trace

P = ParamSpec("P")
DOCUMENTATION = "docs/contracts.md"
HEAVY = ("torch", "rdkit", "jax", "pyarrow", "matplotlib", "scipy", "pandas", "torch_geometric", "tensorflow")
"""What a manifest must not bring in: any of them makes `molvis --help` slow."""


class ContractError(MolvisError, AssertionError):
    """An object does not keep its contract."""


def _contract(anchor: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    def decorate(check: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(check)
        def checked(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                check(*args, **kwargs)
            except ContractError as error:
                raise ContractError(f"{error} (contract: {DOCUMENTATION}#{anchor})") from error

        checked.anchor = anchor  # pyright: ignore[reportAttributeAccessIssue]
        return checked

    return decorate


def _require(condition: object, message: str) -> None:
    if not condition:
        raise ContractError(message)


# Plugins


@_contract("plugin-light")
def manifest_is_light(plugin: Plugin) -> None:
    """The manifest imports nothing heavy, in a process of its own."""
    script = (
        # The interpreter's own start-up may bring some in, through .pth files; that is not the manifest's doing.
        "import sys; before = set(sys.modules); import importlib, json; "
        "module = importlib.import_module(sys.argv[1]); list(module.molvis_components()); "
        f"print(json.dumps([h for h in {HEAVY!r} if h in sys.modules and h not in before]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, plugin.module], capture_output=True, text=True, check=False, timeout=120
    )
    _require(done.returncode == 0, f"importing {plugin.module} failed: {done.stderr.strip().splitlines()[-1:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    _require(
        not found, f"importing the manifest {plugin.module} brings in {', '.join(found)}; import it where it is used"
    )


@_contract("plugin-healthy")
def plugin_is_healthy(plugin: Plugin) -> None:
    """It loads, and offers something."""
    _require(not plugin.problem, f"plugin {plugin.name} is broken: {plugin.problem}")
    _require(plugin.components, f"plugin {plugin.name} offers no component")


@_contract("plugin-targets")
def component_resolves(component: Component) -> None:
    """Its target can be imported, and what recognises its files; no other plugin offers the same name."""
    try:
        registry.load(component.kind, component.name)
        registry.recogniser(component)
    except MolvisError as error:
        raise ContractError(str(error)) from error


@_contract("plugin-summaries")
def component_is_described(component: Component) -> None:
    """A kind that there is; one line of summary; suffixes and modality where its kind has them."""
    known = f"{did_you_mean(component.kind, KINDS)} Kinds: {', '.join(KINDS)}."
    _require(component.kind in KINDS, f"component {component.name!r} is of an unknown kind, {component.kind!r}.{known}")
    _require("\n" not in component.summary, f"the summary of {component.kind} {component.name!r} has several lines")
    _require(
        len(component.summary) <= 120, f"the summary of {component.kind} {component.name!r} is over 120 characters"
    )
    for suffix in component.suffixes:
        fine = suffix.startswith(".") and suffix == suffix.lower()
        _require(fine, f"{component.kind} {component.name!r}: suffix {suffix!r} must be lowercase and start with a dot")
    if component.kind in ("reader", "writer"):
        _require(component.modality, f"{component.kind} {component.name!r} says not of which modality it is")


@_contract("modality")
def modality_is_a_value(component: Component) -> None:
    """It is a `Modality` of the component's name; what is measured is carried by a record type of core."""
    found = registry.load("modality", component.name)
    _require(isinstance(found, Modality), f"modality {component.name!r} is {found!r}, not a molvis_core.Modality")
    _require(found.name == component.name, f"modality {component.name!r} calls itself {found.name!r}")
    known = ", ".join(RECORD_TYPES)
    of_core = found.record in RECORD_TYPES.values()
    _require(of_core or not found.measured, f"modality {component.name!r}: its record is none of {known}")
    _require(dataclasses.is_dataclass(found.record), f"modality {component.name!r}: its record is not a dataclass")


# Encoders


def _encode(encoder: Any, records: Sequence[Any]) -> np.ndarray:
    import torch

    with torch.no_grad():
        return encoder(encoder.collate(list(records))).float().cpu().numpy()


def _evaluating(model: Any) -> Any:
    return model.eval() if hasattr(model, "eval") else model


@_contract("encoder-rows")
def encoder_gives_unit_rows(encoder: Any, records: Sequence[Any]) -> None:
    """One row of norm 1 for each record, of the length it announces."""
    _require(isinstance(encoder, interfaces.Encoder), f"{encoder!r:.80} lacks accepts, dim, collate or __call__")
    for record in records:
        _require(isinstance(record, encoder.accepts), f"a {type(record).__name__} is not what the encoder accepts")
    rows = _encode(_evaluating(encoder), records)
    wanted = (len(records), encoder.dim)
    _require(rows.shape == wanted, f"{len(records)} records gave shape {rows.shape}; {wanted} is wanted")
    _require(np.isfinite(rows).all(), "an embedding is not finite")
    norms = np.linalg.norm(rows, axis=1)
    _require(np.allclose(norms, 1, atol=1e-4), f"rows have norms from {norms.min():.6f} to {norms.max():.6f}, not 1")


def _same_alone(apply: Callable[[Sequence[Any]], np.ndarray], records: Sequence[Any], tolerance: float) -> None:
    together = apply(records)
    for number, record in enumerate(records):
        off = float(np.abs(apply([record])[0] - together[number]).max())
        _require(
            off <= tolerance,
            f"record {number} comes out different alone and among {len(records) - 1} others, by {off:.2g}: padding or "
            "neighbours leak into it. Mask before every normalisation, pooling and attention",
        )


@_contract("encoder-alone")
def encoder_ignores_neighbours(encoder: Any, records: Sequence[Any], tolerance: float = 2e-5) -> None:
    """A record encodes the same alone and among longer neighbours. Padding leaks are the commonest bug here."""
    model = _evaluating(encoder)
    _same_alone(lambda some: _encode(model, some), records, tolerance)


@_contract("encoder-order")
def encoder_keeps_order(encoder: Any, records: Sequence[Any], tolerance: float = 2e-5) -> None:
    """Rows come in the order of the records."""
    model = _evaluating(encoder)
    forward, backward = _encode(model, records), _encode(model, list(records)[::-1])[::-1]
    _require(np.allclose(forward, backward, atol=tolerance), "the rows of reversed records are not the rows reversed")


def _check_batch(model: Any, records: Sequence[Any], run: Callable[[Any], np.ndarray]) -> None:
    batch = model.collate(list(records))
    _require(len(batch) == len(records), f"a batch of {len(records)} records has length {len(batch)}")
    wanted = run(batch)
    moved = batch.to("cpu")
    _require(moved is not batch, "batch.to(device) returned the batch itself; a new one is wanted")
    _require(len(moved) == len(records), f"batch.to(device) has length {len(moved)}, not {len(records)}")
    _require(np.array_equal(run(moved), wanted), "batch.to(device) gives other results")
    try:
        copied = pickle.loads(pickle.dumps(batch))  # noqa: S301 - what was pickled the moment before
    except Exception as error:
        raise ContractError(f"the batch does not pickle, so that workers cannot send it: {error}") from error
    _require(np.array_equal(run(copied), wanted), "a pickled batch gives other results")


@_contract("encoder-batch")
def encoder_batch_travels(encoder: Any, records: Sequence[Any]) -> None:
    """The batch has a length, pickles, and moves to a device as a new batch."""
    import torch

    model = _evaluating(encoder)
    with torch.no_grad():
        _check_batch(model, records, lambda batch: model(batch).float().numpy())


def _check_gradients(model: Any, cost: Callable[[Any], Any]) -> None:
    import torch

    if not isinstance(model, torch.nn.Module):
        return
    trial = copy.deepcopy(model).train()
    wanted = {name: p for name, p in trial.named_parameters() if p.requires_grad}
    trial.zero_grad(set_to_none=True)
    if not wanted:
        return
    torch.manual_seed(0)
    cost(trial).backward()
    silent = [name for name, p in wanted.items() if p.grad is None]
    _require(not silent, f"no gradient reaches {', '.join(silent)}: unused, or detached on the way")
    wild = [name for name, p in wanted.items() if p.grad is not None and not bool(torch.isfinite(p.grad).all())]
    _require(not wild, f"the gradient of {', '.join(wild)} is not finite")


@_contract("encoder-gradients")
def encoder_parameters_learn(encoder: Any, records: Sequence[Any]) -> None:
    """Every parameter gets a finite gradient."""
    import torch

    def cost(model: Any) -> Any:
        rows = model(model.collate(list(records)))
        # Random directions: the plain sum of a unit vector may have no gradient by symmetry.
        return (rows * torch.randn(rows.shape, generator=torch.Generator().manual_seed(0))).sum()

    _check_gradients(encoder, cost)


@_contract("encoder-deterministic")
def encoder_is_deterministic(encoder: Any, records: Sequence[Any]) -> None:
    """In evaluation mode the same records give the same rows."""
    model = _evaluating(encoder)
    _require(np.array_equal(_encode(model, records), _encode(model, records)), "two calls give different rows")


@_contract("encoder-round-trip")
def encoder_survives_a_bundle(encoder: Any, records: Sequence[Any], spec: Any = None) -> None:
    """Weights through safetensors, and the spec through TOML, give exactly the same rows.

    With a spec the encoder is built afresh, as a bundle does it: whatever is neither an argument nor in the state dict
    is lost there.
    """
    import tomllib

    import tomli_w
    from safetensors.torch import load_file, save_file

    from molvis_core.registry import fill_spec

    model = _evaluating(encoder)
    wanted = _encode(model, records)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        save_file({name: tensor.detach().clone().contiguous() for name, tensor in model.state_dict().items()}, file)
        state = load_file(file)
    if spec is None:
        fresh = copy.deepcopy(model)
        for parameter in fresh.parameters():
            parameter.data.add_(1)
    else:
        fresh = registry.build("encoder", tomllib.loads(tomli_w.dumps(fill_spec("encoder", spec))))
    fresh.load_state_dict(state)
    found = _encode(_evaluating(fresh), records)
    _require(np.array_equal(found, wanted), "an encoder stored and loaded again gives other rows")


# Losses


def _pairs(n: int = 5, m: int = 7, dim: int = 8, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    import torch

    generator = torch.Generator().manual_seed(seed)
    query = torch.nn.functional.normalize(torch.randn(n, dim, generator=generator), dim=1)
    reference = torch.nn.functional.normalize(torch.randn(m, dim, generator=generator), dim=1)
    target = 0.6 * torch.rand(n, m, generator=generator)
    target.fill_diagonal_(1)
    weight = 0.5 + 0.5 * torch.rand(n, m, generator=generator)
    return query, reference, target, weight


def _value(loss: Any, *pairs: Any) -> float:
    import torch

    with torch.no_grad():
        found = loss(*pairs)
    _require(tuple(found.shape) == (), f"the loss has shape {tuple(found.shape)}; a scalar is wanted")
    return float(found)


def _gradients(loss: Any, query: Any, reference: Any, target: Any, weight: Any) -> tuple[float, list[Any]]:
    import torch

    q, r = query.clone().requires_grad_(), reference.clone().requires_grad_()
    learned = [p for p in loss.parameters() if p.requires_grad] if isinstance(loss, torch.nn.Module) else []
    value = loss(q, r, target, weight)
    _require(value.requires_grad, "the loss has no gradient: it was detached from the vectors")
    return value.item(), list(torch.autograd.grad(value, [q, r, *learned], allow_unused=True))


@_contract("loss-finite")
def loss_has_finite_gradients(loss: Any) -> None:
    """Also for equal and for opposite vectors, and more references than queries."""
    import torch

    query, reference, target, weight = _pairs()
    same = query[:1].expand(5, -1).contiguous()
    cases = {
        "random vectors": (query, reference, target, weight),
        "equal vectors": (same, query[:1].expand(7, -1).contiguous(), target, weight),
        "opposite vectors": (same, -query[:1].expand(7, -1).contiguous(), target, weight),
        "matches on top of each other": (query, torch.cat([query, reference[:2]]), target, weight),
        "one pair": (query[:1], reference[:1], target[:1, :1], weight[:1, :1]),
    }
    for name, pairs in cases.items():
        value, gradients = _gradients(loss, *pairs)
        _require(math.isfinite(value), f"for {name} the loss is {value}")
        for gradient in gradients:
            fine = gradient is None or bool(torch.isfinite(gradient).all())
            _require(fine, f"for {name} a gradient is not finite")


@_contract("loss-permutation")
def loss_ignores_the_order_of_pairs(loss: Any) -> None:
    """Permuting queries, and permuting references, changes nothing."""
    import torch

    query, reference, target, weight = _pairs()
    rows, columns = torch.tensor([3, 0, 4, 1, 2]), torch.tensor([6, 2, 0, 5, 1, 3, 4])
    before = _value(loss, query, reference, target, weight)
    after = _value(loss, query[rows], reference[columns], target[rows][:, columns], weight[rows][:, columns])
    _require(
        math.isclose(before, after, rel_tol=1e-4, abs_tol=1e-5), f"{before:.6g} became {after:.6g} in another order"
    )


@_contract("loss-weight-zero")
def loss_hides_pairs_of_weight_zero(loss: Any) -> None:
    """A pair of weight 0 does not count, whatever its target; a whole row or column of them is as if not there."""
    query, reference, target, weight = _pairs()
    weight[:, 5:] = 0
    weight[4, :] = 0
    weight[0, 1] = 0
    without = _value(loss, query[:4], reference[:5], target[:4, :5], weight[:4, :5])
    with_hidden = _value(loss, query, reference, target, weight)
    close = math.isclose(without, with_hidden, rel_tol=1e-4, abs_tol=1e-5)
    _require(close, f"{without:.6g} became {with_hidden:.6g} when rows and columns of weight 0 were added")
    changed = target.clone()
    changed[0, 1], changed[4, 4], changed[2, 6] = 1.0, 0.0, 1.0
    other = _value(loss, query, reference, changed, weight)
    close = math.isclose(other, with_hidden, rel_tol=1e-5, abs_tol=1e-6)
    _require(close, f"{with_hidden:.6g} became {other:.6g} when the target of hidden pairs changed")


@_contract("loss-nothing-known")
def loss_of_nothing_is_zero(loss: Any) -> None:
    """All weights 0: the loss is exactly 0, and so are its gradients."""
    import torch

    query, reference, target, weight = _pairs()
    value, gradients = _gradients(loss, query, reference, target, torch.zeros_like(weight))
    _require(value == 0, f"with nothing known the loss is {value}, not 0")
    for gradient in gradients:
        _require(gradient is None or not bool(gradient.any()), "with nothing known a gradient is not 0")


@_contract("loss-direction")
def loss_prefers_matches(loss: Any) -> None:
    """Queries on top of their matches cost less than queries on top of the wrong ones."""
    import torch

    vectors, target, weight = torch.eye(8)[:6], torch.full((6, 6), 0.1).fill_diagonal_(1), torch.ones(6, 6)
    right, wrong = (
        _value(loss, vectors, vectors, target, weight),
        _value(loss, vectors, vectors.roll(1, 0), target, weight),
    )
    _require(right < wrong, f"matching vectors cost {right:.4g}, mismatched ones {wrong:.4g}")


@_contract("loss-parameters")
def loss_parameters_learn(loss: Any) -> None:
    """Every parameter of the loss gets a finite gradient."""
    _check_gradients(loss, lambda trial: trial(*_pairs()))


# Targets


@_contract("target-range")
def target_is_a_likeness(target: Any, structures: Sequence[Structure]) -> None:
    """Target and weight between 0 and 1, 1 for the same structure, the same seen from either side."""
    import torch

    left, right = target.collate(list(structures)), target.collate(list(structures)[:-1])
    wanted, weight = target(left, right)
    shape = (len(structures), len(structures) - 1)
    for name, matrix in (("target", wanted), ("weight", weight)):
        _require(tuple(matrix.shape) == shape, f"the {name} has shape {tuple(matrix.shape)}; {shape} is wanted")
        _require(bool(torch.isfinite(matrix).all()), f"the {name} is not finite")
        inside = float(matrix.min()) >= 0 and float(matrix.max()) <= 1 + 1e-6
        _require(inside, f"the {name} runs from {float(matrix.min())} to {float(matrix.max())}, beyond [0, 1]")
    known = weight.diagonal() > 0
    _require(bool((wanted.diagonal()[known] > 0.999).all()), "a structure is not like itself: its target is below 1")
    mirrored, _ = target(right, left)
    _require(bool(torch.allclose(mirrored.T, wanted, atol=1e-5)), "target(a, b) and target(b, a) disagree")


@_contract("target-batch")
def target_batch_travels(target: Any, structures: Sequence[Structure]) -> None:
    """The batch has a length, pickles, and moves to a device as a new batch."""
    _check_batch(target, structures, lambda batch: target(batch, batch)[0].float().numpy())


# Predictors


def _predict(predictor: Any, batch: Any) -> np.ndarray:
    import torch

    with torch.no_grad():
        mean, sd = predictor(batch)
    return torch.stack([mean, sd], dim=-1).float().cpu().numpy()


@_contract("predictor-values")
def predictor_gives_mean_and_sd(predictor: Any, records: Sequence[Any]) -> None:
    """Finite means and positive standard deviations, one row for each record; a modality's name in `predicts`."""
    _require(isinstance(predictor, interfaces.Predictor), f"{predictor!r:.80} lacks accepts, predicts or collate")
    out = _predict(predictor, _evaluating(predictor).collate(list(records)))
    _require(out.ndim == 3 and len(out) == len(records), f"{len(records)} records gave means of shape {out.shape[:-1]}")
    _require(np.isfinite(out).all(), "a mean or a standard deviation is not finite")
    _require((out[..., 1] > 0).all(), "a standard deviation is not positive")
    names = [c.name for c in registry.components("modality")]
    _require(
        predictor.predicts in names, f"predicts = {predictor.predicts!r} is no installed modality: {', '.join(names)}"
    )


@_contract("predictor-alone")
def predictor_ignores_neighbours(predictor: Any, records: Sequence[Any], tolerance: float = 1e-4) -> None:
    """A record is predicted the same alone and among longer neighbours, relative to the prediction's size."""
    model = _evaluating(predictor)

    def relative(some: Sequence[Any]) -> np.ndarray:
        out = _predict(model, model.collate(list(some)))
        return np.stack([out[..., 0] / (np.abs(out[..., 0]) + 1), np.log(out[..., 1])], axis=-1)

    _same_alone(relative, records, tolerance)


@_contract("predictor-batch")
def predictor_batch_travels(predictor: Any, records: Sequence[Any]) -> None:
    """The batch has a length, pickles, and moves to a device as a new batch."""
    model = _evaluating(predictor)
    _check_batch(model, records, lambda batch: _predict(model, batch))


@_contract("predictor-gradients")
def predictor_parameters_learn(predictor: Any, records: Sequence[Any]) -> None:
    """Every parameter gets a finite gradient from a Gaussian likelihood."""

    def cost(model: Any) -> Any:
        mean, sd = model(model.collate(list(records)))
        return (((mean - 1) / sd).square() / 2 + sd.log()).mean()

    _check_gradients(predictor, cost)


# Scorers


@_contract("scorer-features")
def scorer_gives_features(scorer: Any, query: Any, candidates: Sequence[Structure]) -> None:
    """A finite row of features for each candidate, none for none."""
    _require(isinstance(scorer, interfaces.Scorer), f"{scorer!r:.80} lacks accepts, features or __call__")
    _require(isinstance(query, scorer.accepts), f"a {type(query).__name__} is not what the scorer accepts")
    for some in (list(candidates), []):
        found, wanted = np.asarray(scorer(query, some)), (len(some), len(scorer.features))
        _require(found.shape == wanted, f"{len(some)} candidates gave shape {found.shape}; {wanted} is wanted")
        _require(np.isfinite(found).all(), "a feature is not finite")


@_contract("scorer-order")
def scorer_ignores_the_order_of_candidates(scorer: Any, query: Any, candidates: Sequence[Structure]) -> None:
    """The features of a candidate depend neither on the order of the candidates nor on chance.

    They may depend on which others there are: how far a candidate stands above them is evidence too.
    """
    forward = np.asarray(scorer(query, list(candidates)))
    backward = np.asarray(scorer(query, list(candidates)[::-1]))[::-1]
    off = np.abs(forward - backward).max(axis=1)
    worst = int(off.argmax())
    _require(off[worst] <= 1e-6, f"candidate {worst} scores differently in another order, by {off[worst]:.2g}")


# Readers


def _read(read: Any, path: Path) -> tuple[list[Any], list[ReadError]]:
    measurements: list[Any] = []
    errors: list[ReadError] = []
    try:
        for item in read(path):
            (errors if isinstance(item, ReadError) else measurements).append(item)
    except ReadError as error:
        errors.append(error)
    return measurements, errors


def _refused(errors: Sequence[ReadError]) -> list[ReadError]:
    return [error for error in errors if not isinstance(error, LeftOutError)]


def _describe(measurement: Any) -> tuple[object, ...]:
    record = measurement.record
    fields = tuple(
        value.tobytes() if isinstance(value := getattr(record, name), np.ndarray) else value
        for name in type(record).__dataclass_fields__
    )
    structure = measurement.structure
    return (type(record).__name__, *fields, structure and structure.inchikey)


@_contract("reader-measurements")
def reader_gives_measurements(read: Any, path: Path, modality: str) -> None:
    """Measurements of the modality's record type; the same ones each time."""
    found, errors = _read(read, path)
    _require(not _refused(errors), f"a good file gave an error: {_refused(errors)[:1]}")
    _require(found, f"{path.name} gave nothing")
    record = registry.load("modality", modality).record
    for item in found:
        _require(hasattr(item, "record"), f"a reader yields molvis_core.records.Measurement, not {type(item).__name__}")
        _require(
            isinstance(item.record, record), f"modality {modality!r} is carried by {record.__name__}, not {item!r:.80}"
        )
        _require(item.modality == modality, f"a measurement says modality {item.modality!r}, not {modality!r}")
    again, _ = _read(read, path)
    _require(
        [_describe(m) for m in found] == [_describe(m) for m in again], "a second reading gives other measurements"
    )


@_contract("reader-gzip")
def reader_reads_gzip(read: Any, path: Path) -> None:
    """`name.suffix.gz` reads like `name.suffix`."""
    wanted, _ = _read(read, path)
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / path.parent.name / f"{path.name}.gz"
        packed.parent.mkdir()
        packed.write_bytes(gzip.compress(path.read_bytes()))
        found, errors = _read(read, packed)
    _require(not _refused(errors), f"the compressed file gave an error: {_refused(errors)[:1]}")
    # A record may name the file that it is from.
    places = [repr(_describe(m)).replace(str(packed), str(path)) for m in found]
    _require(places == [repr(_describe(m)) for m in wanted], "the compressed file reads differently")


@_contract("reader-bad-file")
def reader_names_the_place(read: Any, path: Path) -> None:
    """A bad file gives a `ReadError` with its path, and the line or the record where it went wrong."""
    _, errors = _read(read, path)
    _require(errors, f"the bad file {path.name} was read without an error")
    for error in errors:
        _require(Path(error.path).name == path.name, f"an error names {error.path}, not {path}")
        _require(error.line is not None or error.record is not None, f"an error names neither line nor record: {error}")
        _require(error.reason.strip(), "an error gives no reason")


@_contract("reader-any-bytes")
def reader_survives_any_bytes(read: Any, suffix: str) -> None:
    """A missing, an empty and a garbled file give nothing or a `ReadError`, never another exception."""
    rng = np.random.default_rng(0)
    contents = {
        "empty": b"",
        "garbled": rng.bytes(400),
        "text": b"BEGIN\n\x00 this is = not : a\tspectrum\n1 2 3\nnan inf\n",
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, content in contents.items():
            path = Path(folder) / f"{name}{suffix}"
            path.write_bytes(content)
            try:
                _read(read, path)
            except Exception as error:
                raise ContractError(f"a file of {name} bytes raised {type(error).__name__}: {error}") from error
        try:
            _, errors = _read(read, Path(folder) / f"missing{suffix}")
        except Exception as error:
            raise ContractError(f"a missing file raised {type(error).__name__}: {error}, not a ReadError") from error
        _require(errors, "a missing file was read without an error")


@_contract("writer-round-trip")
def writer_round_trip(write: Any, read: Any, measurements: Iterable[Any], suffix: str) -> None:
    """What is written is read back."""
    wanted = list(measurements)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"round-trip{suffix}"
        write(path, wanted)
        left = [p.name for p in Path(folder).iterdir() if p != path]
        _require(not left, f"writing leaves {', '.join(left)} behind")
        found, errors = _read(read, path)
    _require(not errors, f"what was written cannot be read: {errors[:1]}")
    _require(len(found) == len(wanted), f"{len(wanted)} measurements were written and {len(found)} read")
    for number, (before, after) in enumerate(zip(wanted, found, strict=True)):
        for name in type(before.record).__dataclass_fields__:
            a, b = getattr(before.record, name), getattr(after.record, name)
            same = np.allclose(a, b, rtol=1e-6) if isinstance(a, np.ndarray) else (a == b or _near(a, b))
            _require(same, f"measurement {number}: {name} was {a!r:.60} and came back as {b!r:.60}")


def _near(a: object, b: object) -> bool:
    return isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=1e-6)


# Fitters


def draw(prior: Prior, rng: np.random.Generator) -> np.ndarray:
    """Values of the parameters as the prior believes them, in its order."""
    values = []
    for belief in prior.values():
        if isinstance(belief, Normal):
            values.append(rng.normal(belief.mean, belief.sd))
        elif isinstance(belief, Uniform):
            values.append(rng.uniform(belief.low, belief.high))
        else:
            values.append(belief.value)
    return np.array(values)


def _free(prior: Prior) -> list[str]:
    return [name for name, belief in prior.items() if not isinstance(belief, Fixed)]


def _succeeded(fit: Fit) -> Fit:
    _require(not fit.problem, f"a fit of data simulated from the prior failed: {fit.problem}")
    return fit


def binomial_range(trials: int, probability: float, tail: float = 1e-4) -> tuple[int, int]:
    """Smallest and largest count that are not less likely, together with what lies beyond them, than `tail`."""
    mass = [math.comb(trials, k) * probability**k * (1 - probability) ** (trials - k) for k in range(trials + 1)]
    below, above = np.cumsum(mass), np.cumsum(mass[::-1])[::-1]
    return int(np.argmax(below > tail)), int(trials - np.argmax(above[::-1] > tail))


@_contract("fitter-coverage")
def fitter_covers_the_truth(
    fitter: Any,
    records: Sequence[Any],
    add_noise: Callable[[Sequence[Any], np.random.Generator], Sequence[Any]],
    *,
    seeds: int = 60,
    level: float = 0.8,
) -> None:
    """Intervals cover the truth as often as they claim, over many truths drawn from the prior.

    The bounds on the count are such that a right fitter fails for one parameter in five thousand.
    """
    prior = fitter.prior(records)
    free = _free(prior)
    hits = dict.fromkeys(free, 0)
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        truth = draw(prior, rng)
        fit = _succeeded(fitter.fit(add_noise(fitter.simulate(truth, records), rng), prior, seed=seed))
        bounds = dict(zip(fit.names, fit.interval(level), strict=True))
        for name, value in zip(prior, truth, strict=True):
            if name in hits:
                hits[name] += int(bounds[name][0] <= value <= bounds[name][1])
    low, high = binomial_range(seeds, level)
    for name, count in hits.items():
        _require(
            low <= count <= high,
            f"the {level:.0%} interval of {name} covered the truth in {count} of {seeds} fits; "
            f"{low} to {high} are expected",
        )


@_contract("fitter-unseen")
def fitter_keeps_the_prior_of_the_unseen(fitter: Any, records: Sequence[Any], name: str) -> None:
    """A parameter that the data cannot see comes back as its prior."""
    prior = fitter.prior(records)
    _require(name in prior, f"{name!r} is no parameter of the prior: {', '.join(prior)}")
    belief = prior[name]
    truth = draw(prior, np.random.default_rng(0))
    fit = _succeeded(fitter.fit(fitter.simulate(truth, records), prior, seed=0))
    where = fit.names.index(name)
    if isinstance(belief, Normal):
        mean, sd = belief.mean, belief.sd
    elif isinstance(belief, Uniform):
        mean, sd = (belief.low + belief.high) / 2, (belief.high - belief.low) / math.sqrt(12)
    else:
        raise ContractError(f"{name!r} is fixed in the prior; an estimated parameter is wanted")
    width = math.sqrt(fit.covariance[where, where])
    _require(0.8 < width / sd < 1.25, f"{name} is unseen, but its sd went from {sd:.4g} in the prior to {width:.4g}")
    off = abs(fit.values[where] - mean)
    _require(off < sd, f"{name} is unseen, but its value moved from {mean:.4g} to {fit.values[where]:.4g}")


@_contract("fitter-seed")
def fitter_repeats_itself(fitter: Any, records: Sequence[Any]) -> None:
    """The same seed gives the same fit."""
    prior = fitter.prior(records)
    data = fitter.simulate(draw(prior, np.random.default_rng(0)), records)
    one, two = (fitter.fit(data, prior, seed=3) for _ in range(2))
    same = np.array_equal(one.values, two.values) and np.array_equal(one.covariance, two.covariance)
    _require(same, "two fits with the same seed differ")
    if one.samples is not None:
        _require(
            two.samples is not None and np.array_equal(one.samples, two.samples), "samples of the same seed differ"
        )


@_contract("fitter-axes")
def fitter_simulates_on_the_axes(fitter: Any, records: Sequence[Any]) -> None:
    """Simulated data are of the measurement's type, number and axes; so are those that a fit returns."""
    prior = fitter.prior(records)
    simulated = fitter.simulate(draw(prior, np.random.default_rng(0)), records)
    fit = _succeeded(fitter.fit(simulated, prior, seed=0))
    free = set(_free(prior))
    _require(free <= set(fit.names), f"the fit lacks {', '.join(sorted(free - set(fit.names)))} of the prior")
    for source, found in (("simulate", simulated), ("Fit.simulated", fit.simulated)):
        _require(len(found) == len(records), f"{source} gave {len(found)} records for {len(records)}")
        for like, made in zip(records, found, strict=True):
            _require(type(made) is type(like), f"{source} gave a {type(made).__name__} for a {type(like).__name__}")
            if isinstance(like, Trace):
                _require(np.array_equal(cast("Trace", made).x, like.x), f"{source} changed the axis")
            elif isinstance(like, Sized) and isinstance(made, Sized):
                _require(len(made) == len(like), f"{source} gave {len(made)} points for {len(like)}")


@_contract("fitter-problem")
def fitter_reports_failure(fitter: Any, records: Sequence[Any], impossible: Sequence[Any]) -> None:
    """Data that cannot be fitted come back with a `problem`, not as an exception."""
    try:
        fit = fitter.fit(impossible, fitter.prior(records), seed=0)
    except Exception as error:
        raise ContractError(f"fitting impossible data raised {type(error).__name__}: {error}") from error
    _require(fit.problem.strip(), "fitting impossible data reports no problem")


@_contract("fitter-verbs")
def is_fitter(fitter: Any) -> None:
    """It has the three verbs."""
    _require(isinstance(fitter, interfaces.Fitter), f"{fitter!r:.80} lacks prior, simulate or fit")


@_contract("writer-callable")
def is_callable(function: Any) -> None:
    """It can be called."""
    _require(callable(function), f"{function!r:.80} cannot be called")


def anchors() -> list[str]:
    """Every anchor that a failing check may point to."""
    found = [getattr(value, "anchor", "") for value in globals().values()]
    return sorted({a for a in found if isinstance(a, str) and re.fullmatch(r"[a-z-]+", a)})
