"""Configurations: TOML in, frozen dataclasses out, defaults filled.

TOML names components; every other key is an argument of the constructor, so the signature is the schema. There is no
interpolation and no inheritance between files: logic belongs in a script.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from molvis_core import registry
from molvis_core.errors import ConfigError, MolvisError, did_you_mean
from molvis_core.registry import fill_spec, warn_of_old_name
from molvis_files.documents import load_toml, to_plain
from molvis_retrieval.schema import Keys, Source, Spec, dotted, from_mapping


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Where the measurements are and which of them are used.

    Attributes:
        path: the dataset, as `molvis data import` makes it; a relative path starts in the working folder.
        train, validation: names of the folds.
        min_peaks: leave out spectra with fewer peaks. 0 keeps all.
        adducts: keep these only. Empty keeps all.
    """

    path: str
    train: str = "train"
    validation: str = "val"
    min_peaks: int = 1
    adducts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PairConfig:
    """Two modalities trained towards each other.

    Attributes:
        query, reference: keys of `[encoders]`. The reference is a structure or another measurement. A query whose
            encoder is a fusion, such as `set-attention`, is all that was measured of a compound.
        loss: a component of kind `loss`.
        target: a component of kind `target`: which pairs match, and how well.
        weight: how often batches of this pairing come, relative to the others.
        negatives: harder candidates for each query, from the library of `[negatives]`; none, with a warning, where it
            names no library.
        own_negatives: weight of a second term of the loss in which a query sees only its own structure and its own
            harder candidates: what a search in a mass window will ask of it.
        measured: of a fusion as query: leave out compounds with fewer of its modalities.
        records: of a fusion as query: how many measurements of one modality are drawn at most.
    """

    query: str
    reference: str
    loss: Spec = field(default_factory=lambda: {"use": "infonce"})
    target: Spec = field(default_factory=lambda: {"use": "same-compound"})
    weight: float = 1.0
    negatives: int = 0
    own_negatives: float = 1.0
    measured: int = 1
    records: int = 3


@dataclass(frozen=True, slots=True)
class JointConfig:
    """Mode pairings that need no `[[pairs]]` of their own; one that has is left as configured.

    Attributes:
        pairings: `all` trains every measurement of `[encoders]` against the structure and against each other,
            `structure` against the structure only, `none` leaves it to `[[pairs]]`.
        loss, target: as in `[[pairs]]`. Every pairing has a loss of its own, and so a learned temperature of its own.
        negatives, own_negatives: as in `[[pairs]]`, where the reference is the structure.
        min_compounds: leave out pairings with fewer compounds in the training fold.
    """

    pairings: Literal["none", "structure", "all"] = "none"
    loss: Spec = field(default_factory=lambda: {"use": "infonce"})
    target: Spec = field(default_factory=lambda: {"use": "same-compound"})
    negatives: int = 0
    own_negatives: float = 1.0
    min_compounds: int = 16


@dataclass(frozen=True, slots=True)
class NegativesConfig:
    """Negatives hard to distinguish from the truth: of its mass or formula, from a library or from the batch itself.

    Attributes:
        path: SMILES, SDF, CSV or Parquet, as `molvis library build` takes it. Empty for none.
        by: `mass` takes what is near in mass, `formula` what has the same formula.
        ppm: how near in mass, in parts per million.
        pool: how many are kept for each training compound; batches draw from them.
        in_batch: share of the compounds that come into batches together with others of their mass or formula, as far
            as there are such; needs no library, and all of them were measured.
    """

    path: str = ""
    by: Literal["mass", "formula"] = "mass"
    ppm: float = 10.0
    pool: int = 64
    in_batch: float = 0.0


@dataclass(frozen=True, slots=True)
class WindowsConfig:
    """What scorers learn from: measurements whose compound is known, each among structures of its mass.

    The structures are those of `[negatives] path`, or the dataset's own compounds where it is empty. A compound of
    another fold is never one of them.

    Attributes:
        spectra: measurements of a compound at most, of unlike adducts, derivatives and collision energies.
        candidates: of each measurement, the truth among them.
        ppm: how near they are in mass, in parts per million.
        fill_ppm: how near those are that are taken where there are too few.
        validation: candidates of each measurement of the validation fold at most; they are not filled up.
    """

    spectra: int = 2
    candidates: int = 16
    ppm: float = 10.0
    fill_ppm: float = 50.0
    validation: int = 100


@dataclass(frozen=True, slots=True)
class EvidenceConfig:
    """What counts among the candidates of a mass window or of a formula.

    Attributes:
        cosines: whether embeddings count beside scorers that take the same measurement. Without, they choose which
            candidates scorers look at, and rank where there are no scorers, as in a search of the whole library.
    """

    cosines: bool = True


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """The loop.

    Attributes:
        epochs: passes over the compounds.
        batch: distinct compounds in a batch, of each process where several train together.
        spectra: how many measurements of a compound are drawn in an epoch.
        sampling: with several pairings, how often each comes: 1 in proportion to its compounds, 0 all equally often; in
            between, their number to this power. The steps of an epoch are as many in any case.
        balance: `norm` scales each pairing's gradients at encoders that it shares with others so that their running
            norms agree and none has more influence than another; `none` leaves them.
        optimizer: `adamw` or `adam`.
        learning_rate, weight_decay, betas: of the optimizer.
        schedule: `cosine` (warm-up, then a half cosine to zero), `exponential` (times `decay` an epoch) or `constant`.
        warmup: share of the steps spent warming up.
        decay: factor an epoch of the exponential schedule.
        ema_decay: decay of the exponential moving average of the weights that is validated and kept; 0 for none.
        clip: largest gradient norm; 0 for none.
        freeze: keys of encoders whose weights stay as they are.
        init_from: folders of pretrained weights by encoder key, as `molvis pretrain` leaves them.
        select: `hit1`, `mrr` or `loss` on the validation fold: which epoch is the best.
        patience: stop after this many validations without a better one; 0 never stops early.
        validate_every: epochs between validations.
        checkpoint_every: seconds between checkpoints; 0 for one after every step.
        seed: of everything drawn.
        workers: processes that collate.
        threads: that PyTorch computes with on processors; 0 for as many as are free when the run begins, or as
            OMP_NUM_THREADS says.
        precision: Lightning Fabric's, such as `32-true` or `bf16-mixed`; `auto` is bf16 on a GPU that has it.
        accelerator, devices, nodes, strategy: Lightning Fabric's. Under torchrun, `auto` devices are the processes that
            it has started, whatever `nodes` has.
    """

    epochs: int = 60
    batch: int = 256
    spectra: int = 1
    sampling: float = 0.5
    balance: Literal["none", "norm"] = "none"
    optimizer: Literal["adamw", "adam"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["cosine", "exponential", "constant"] = "cosine"
    warmup: float = 0.05
    decay: float = 0.999
    ema_decay: float = 0.0
    clip: float = 1.0
    freeze: tuple[str, ...] = ()
    init_from: dict[str, str] = field(default_factory=dict)
    select: Literal["hit1", "mrr", "loss"] = "mrr"
    patience: int = 0
    validate_every: int = 1
    checkpoint_every: float = 300.0
    seed: int = 0
    workers: int = 0
    threads: int = 0
    precision: str = "auto"
    accelerator: str = "auto"
    devices: int | str = "auto"
    nodes: int = 1
    strategy: str = "auto"


@dataclass(frozen=True, slots=True)
class RunConfig:
    """One training run: `molvis train CONFIG`."""

    data: DataConfig
    encoders: dict[str, Spec]
    pairs: tuple[PairConfig, ...] = ()
    joint: JointConfig = field(default_factory=JointConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    negatives: NegativesConfig = field(default_factory=NegativesConfig)
    windows: WindowsConfig = field(default_factory=WindowsConfig)
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    scorers: dict[str, Spec] = field(default_factory=dict)
    name: str = ""


def read_config(path: Path | str) -> RunConfig:
    """A configuration from a TOML file, checked against the dataclasses and the components' signatures.

    Raises:
        ConfigError: the file is not TOML, or a key or a value is none; names file, line and key.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return parse_config(text, path=path)


def config_path(name: Path | str) -> Path:
    """The file of a configuration: a path as it is, or the name of a preset that a plugin ships.

    Raises:
        ConfigError: there is neither.
    """
    if (path := Path(name)).is_file():
        return path
    presets = {c.name for c in registry.components("preset")}
    if str(name) in presets:
        return Path(registry.load("preset", str(name)))
    raise ConfigError(
        f"{name}: no such file, and no preset of this name.{did_you_mean(str(name), presets)} "
        f"Presets: {', '.join(sorted(presets)) or 'none'}."
    )


def find_config(
    name: str, *, data: str = "", negatives: str = "", epochs: int = 0, seed: int | None = None
) -> RunConfig:
    """A configuration from a file or a preset's name, with a few settings replaced.

    Raises:
        ConfigError: there is neither a file nor a preset of this name, or it is not right.
    """
    config = read_config(config_path(name))
    settings = dataclasses.replace(
        config.train,
        epochs=epochs or config.train.epochs,
        seed=config.train.seed if seed is None else seed,
    )
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, path=data or config.data.path),
        negatives=dataclasses.replace(config.negatives, path=negatives or config.negatives.path),
        train=settings,
    )


def parse_config(text: str, *, path: Path | str = "<config>") -> RunConfig:
    """The same from a string; `path` is for messages and for files named relative to it."""
    try:
        raw = load_toml(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    source = Source(str(path), text)
    for section, old, new in old_keys(raw):
        warn_of_old_name("configuration key", f"{section}.{old}", f"{section}.{new}")
    config = config_from(raw, where=source)
    check(config, where=source)
    return config


RENAMED = {("joint", "least"): "min_compounds", ("train", "start"): "init_from", ("train", "average"): "ema_decay"}
"""Keys that had another name, by section and old name. The old names are accepted for one release."""


def old_keys(raw: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The renamed keys that plain values still use: section, old name, new name."""
    sections = {section: raw.get(section) for section, _ in RENAMED}
    return [
        (section, old, new)
        for (section, old), new in RENAMED.items()
        if isinstance(found := sections[section], Mapping) and old in found
    ]


def config_from(raw: Mapping[str, Any], *, where: Source | None = None) -> RunConfig:
    """A configuration from plain values, such as those that a bundle stores; keys may have their old names.

    Raises:
        ConfigError: a key that does not exist, one that is missing or given by both its names, or a value of another
            type.
    """
    where = where or Source("<config>", "")
    current = dict(raw)
    for section, old, new in old_keys(raw):
        if new in current[section]:
            raise ConfigError(
                f"{where.at(section, old)}: {section}.{old} is the old name of {section}.{new}, and both are given. "
                f"Remove {old}."
            )
        current[section] = {new if key == old else key: value for key, value in current[section].items()}
    return from_mapping(RunConfig, current, where=where)


def check(config: RunConfig, *, where: Source | None = None) -> None:
    """Every component named must exist and take the arguments given.

    Raises:
        ConfigError, molvis_core.errors.ComponentError: naming the place.
    """
    where = where or Source("<config>", "")
    if not config.pairs and config.joint.pairings == "none":
        raise ConfigError(
            f"{where.at()}: no [[pairs]]; name at least one query and reference, or set [joint] pairings = 'all'"
        )
    _check_numbers(config, where)
    for key, spec in config.scorers.items():
        _check_spec("scorer", spec, where, ("scorers", key))
    _check_encoders(config, where)
    for number, pair in enumerate(config.pairs):
        _check_pair(config, number, pair, where)
    if config.joint.pairings != "none":
        _check_spec("loss", config.joint.loss, where, ("joint", "loss"))
        _check_spec("target", config.joint.target, where, ("joint", "target"))
        if config.joint.negatives and not config.negatives.path:
            raise ConfigError(f"{where.at('joint', 'negatives')}: [joint] negatives needs [negatives] path")
    for setting, keys in (("freeze", config.train.freeze), ("init_from", config.train.init_from)):
        for key in keys:
            if key not in config.encoders:
                raise ConfigError(
                    f"{where.at('train', setting)}: {setting} names {key!r}; the encoders are "
                    f"{', '.join(config.encoders)}"
                )


def _check_encoders(config: RunConfig, where: Source) -> None:
    for key, spec in config.encoders.items():
        _check_spec("encoder", spec, where, ("encoders", key))
        for part in parts_of(config, key) if is_fused(config, key) else ():
            if part not in config.encoders or part == "structure" or is_fused(config, part):
                raise ConfigError(
                    f"{where.at('encoders', key, 'of')}: [encoders.{key}] fuses {part!r}, which is no measurement of "
                    f"[encoders].{did_you_mean(part, set(config.encoders) - {key, 'structure'})}"
                )


def _check_pair(config: RunConfig, number: int, pair: PairConfig, where: Source) -> None:
    for side in (pair.query, pair.reference):
        if side not in config.encoders:
            raise ConfigError(
                f"{where.at('pairs', number, side)}: "
                f"pair {number + 1} names {side!r}, but [encoders.{side}] is missing."
                f"{did_you_mean(side, config.encoders)}"
            )
    _check_spec("loss", pair.loss, where, ("pairs", number, "loss"))
    _check_spec("target", pair.target, where, ("pairs", number, "target"))
    if is_fused(config, pair.reference):
        raise ConfigError(
            f"{where.at('pairs', number, 'reference')}: pair {number + 1}: a fusion is a query; write "
            f"query = {pair.reference!r}, reference = {pair.query!r}"
        )
    if pair.negatives and pair.reference != "structure":
        raise ConfigError(
            f"{where.at('pairs', number, 'negatives')}: negatives are structures, but the reference of pair "
            f"{number + 1} is {pair.reference!r}"
        )


def _check_numbers(config: RunConfig, where: Source) -> None:
    for section, key, value in (
        ("train", "sampling", config.train.sampling),
        ("negatives", "in_batch", config.negatives.in_batch),
    ):
        if not 0 <= value <= 1:
            raise ConfigError(f"{where.at(section, key)}: {section}.{key} must be from 0 to 1, got {value}")
    windows = config.windows
    for key, value, least in (
        ("spectra", windows.spectra, 1),
        ("candidates", windows.candidates, 2),
        ("validation", windows.validation, 2),
        ("ppm", windows.ppm, 1e-9),
        ("fill_ppm", windows.fill_ppm, windows.ppm),
    ):
        if not value >= least:
            raise ConfigError(f"{where.at('windows', key)}: windows.{key} must be at least {least:g}, got {value}")


def is_fused(config: RunConfig, key: str) -> bool:
    """Whether an encoder takes what other encoders give."""
    return bool(registry.parts_argument(config.encoders.get(key, {})))


def parts_of(config: RunConfig, key: str) -> tuple[str, ...]:
    """The modalities whose measurements an encoder takes: of a fusion several, else its own."""
    argument = registry.parts_argument(config.encoders.get(key, {}))
    return tuple(config.encoders[key].get(argument, ())) if argument else (key,)


def pairs_of(config: RunConfig) -> tuple[PairConfig, ...]:
    """The pairings of a run: `[[pairs]]`, then those that `[joint]` adds."""
    joint = config.joint
    if joint.pairings == "none":
        return config.pairs
    measured = [key for key in config.encoders if key != "structure" and not is_fused(config, key)]
    wanted: list[tuple[str, str]] = []
    if "structure" in config.encoders:
        wanted += [(key, "structure") for key in config.encoders if key != "structure"]
    if joint.pairings == "all":
        wanted += itertools.combinations(measured, 2)
    named = {frozenset((pair.query, pair.reference)) for pair in config.pairs}
    return config.pairs + tuple(
        PairConfig(
            query,
            reference,
            loss=joint.loss,
            target=joint.target,
            negatives=joint.negatives if reference == "structure" else 0,
            own_negatives=joint.own_negatives,
        )
        for query, reference in wanted
        if {query, reference} not in named
    )


def fill(config: RunConfig) -> dict[str, Any]:
    """The configuration with every default written out, as plain TOML values."""
    filled = to_plain(config)
    filled["encoders"] = {k: fill_spec("encoder", s) for k, s in config.encoders.items()}
    filled["scorers"] = {k: fill_spec("scorer", s) for k, s in config.scorers.items()}
    filled["pairs"] = [
        {**to_plain(p), "loss": fill_spec("loss", p.loss), "target": fill_spec("target", p.target)}
        for p in config.pairs
    ]
    joint = config.joint
    if joint.pairings == "none":
        del filled["joint"]
    else:
        filled["joint"] |= {"loss": fill_spec("loss", joint.loss), "target": fill_spec("target", joint.target)}
    return {k: v for k, v in filled.items() if v not in ({}, "", [])}


def _check_spec(kind: str, spec: Mapping[str, Any], where: Source, keys: Keys) -> None:
    try:
        name, arguments = registry.spec_name(spec, where=dotted(keys))
        registry.check_arguments(kind, name, arguments, where=dotted(keys))
    except MolvisError as error:
        found = re.search(r"no (?:argument|\w+ named) '([^']+)'", str(error))
        place = where.at(*keys, found.group(1)) if found else where.at(*keys)
        raise type(error)(f"{place}: {error}") from error
