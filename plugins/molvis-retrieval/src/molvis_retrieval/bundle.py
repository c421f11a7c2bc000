"""Bundles: trained encoders as a folder that anybody can open without running its author's code.

`bundle.toml` holds the format number, the filled configuration, the calibration, plugin versions, the digest of the
data, licences and citations; each encoder's weights are a safetensors file; what scorers learned is in `scorers/KEY/`;
`CARD.md` is for people. There is no pickle.

Format 2 keeps a checksum of all of `bundle.toml`, and so, through the digests of the weights in it, of everything that
changes a result. `write_calibration` and `save_bundle` write it. Who edits the file by hand accepts the edit with
`molvis bundle verify PATH --accept`.
"""

from __future__ import annotations

import importlib
import logging
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from molvis_core import registry
from molvis_core.errors import BundleError, MolvisError, RecordError, did_you_mean
from molvis_core.plugins import plugins
from molvis_core.progress import Progress
from molvis_core.records import Structure
from molvis_core.text import quoted
from molvis_files.digests import KEY, checksum, file_sha256
from molvis_files.documents import to_plain
from molvis_files.locking import sole_writer
from molvis_files.writing import replacing_folder
from molvis_nn.sizes import build_within
from molvis_retrieval.bundle_folder import (
    FOLDER,
    Saves,
    check_states,
    default_card,
    digest_of,
    find_bundle,
    read_content,
    write_content,
    write_states,
)
from molvis_retrieval.channels import Channels
from molvis_retrieval.config import RunConfig, check, config_from, fill
from molvis_retrieval.pieces import Pieces
from molvis_retrieval.presence import Presence
from molvis_retrieval.schema import Spec, from_mapping

if TYPE_CHECKING:
    import torch


log = logging.getLogger("molvis")


@dataclass(frozen=True, slots=True)
class Calibration:
    """Weights that turn evidence for a candidate into the logit of a calibrated probability.

    Attributes:
        weights: by feature: a modality's name weighs the cosine of its encoder, `<scorer>.<feature>` a scorer's column.
        shortlist: how many of the best candidates by embedding get the scorers' evidence.
        fitted_on: what the weights were fitted on, for people; empty where they are only a starting point.
        repeats: n records of one modality count as n to this power times one record: 0 where they only repeat it, 1
            where each is evidence of its own.
        presence: how probable it is that the truth is among the candidates at all.
        pieces: how probable it is that each kind of measurement is of the unknown.
    """

    weights: dict[str, float] = field(default_factory=dict)
    shortlist: int = 256
    fitted_on: str = ""
    repeats: float = 0.0
    presence: Presence = field(default_factory=Presence)
    pieces: Pieces = field(default_factory=Pieces)


@dataclass(frozen=True)
class Bundle:
    """Encoders of one shared space, and the weights of their evidence.

    Attributes:
        path: the folder.
        config: of the training run, every default filled in.
        calibration: weights of the evidence.
        digest: SHA-256 of all that changes a result, the calibration included, and of the metadata.
        encoders_digest: SHA-256 of the encoders alone, their configuration and weights. An index remembers it: a new
            calibration leaves its vectors as they are.
        metadata: the rest of `bundle.toml`: name, data, licences, metrics, citations.
    """

    path: Path
    config: RunConfig
    calibration: Calibration
    digest: str
    encoders_digest: str
    metadata: dict[str, Any] = field(default_factory=dict)
    _learned: tuple[str, ...] = ()
    _content: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _encoders: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _channels: list[Channels] = field(default_factory=list, repr=False, compare=False)

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.metadata.get("name") or self.path.name)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Keys that `embed` takes."""
        return tuple(self.config.encoders)

    def encoder(self, key: str) -> Any:
        """The encoder of one modality, in evaluation mode; loaded when first asked for.

        Raises:
            BundleError: the bundle has no such encoder, or its weights are damaged.
        """
        if key not in self.config.encoders:
            raise BundleError(
                f"bundle {self.name!r} has no encoder for {key!r}.{did_you_mean(key, self.modalities)} "
                f"It has: {', '.join(self.modalities)}."
            )
        if key not in self._encoders:
            self._encoders[key] = _load_encoder(self.path, key, self.config.encoders[key])
        return self._encoders[key]

    @property
    def channels(self) -> Channels:
        """What it can use of an unknown; resolved when first asked for, and kept by calibrated copies."""
        if not self._channels:
            self._channels.append(Channels.of(self.config, self.path / "bundle.toml", self._learned))
        return self._channels[0]

    @property
    def scorers(self) -> dict[str, Any]:
        """Further evidence, by name."""
        return {key: one.scorer for key, one in self.channels.scorers.items()}

    def with_calibration(self, calibration: Calibration) -> Bundle:
        """The same bundle with other weights of the evidence. Embeddings stay as they are, and so do indexes."""
        content = {**self._content, "calibration": to_plain(calibration)}
        return replace(self, calibration=calibration, digest=checksum(content), _content=content)

    def with_references(self, path: Path) -> Bundle:
        """The same bundle with further references for its scorers, as `Channels.with_references` adds them."""
        return replace(self, _channels=[self.channels.with_references(path, self.name)])

    def with_calibrants(self, path: Path) -> Bundle:
        """The same bundle, corrected by measurements of known compounds, as `Channels.with_calibrants` does it."""
        return replace(self, _channels=[self.channels.with_calibrants(path, self.name)])

    def embed(
        self,
        modality: str,
        records: Sequence[Any],
        *,
        batch_size: int = 256,
        device: torch.device | str | None = None,
        progress: Progress | None = None,
    ) -> Float[np.ndarray, "n dim"]:
        """Records of one modality to unit vectors, float32.

        Args:
            modality: a key of the bundle's encoders, such as `msms` or `structure`.
            records: of the type that the encoder accepts.
            batch_size: records at a time.
            device: where to compute; a GPU if there is one, else the CPU.
            progress: called with the records done and the records in all.

        Raises:
            BundleError: the bundle has no such encoder.
            RecordError: a record of another type, or one whose vector is not finite.
        """
        encoder = self._encoder_of(modality, records)
        made: list[np.ndarray] = []
        for start in range(0, len(records), batch_size):
            made.append(_forward(encoder, encoder.collate(records[start : start + batch_size]), device))
            if progress:
                progress(min(start + batch_size, len(records)), len(records))
        return _finite(np.concatenate(made) if made else np.empty((0, encoder.dim), dtype=np.float32), modality)

    def embed_usable(
        self, modality: str, records: Sequence[Any], *, batch_size: int = 256, device: torch.device | str | None = None
    ) -> tuple[Float[np.ndarray, "k dim"], dict[int, str]]:
        """Unit vectors of the records that the encoder can prepare, and why it cannot prepare the others, by place.

        Records are prepared together. Only those of a batch that fails are prepared one by one.

        Args:
            modality: as in `embed`, and so are the others.
            records: to prepare.
            batch_size: records at a time.
            device: where to compute.

        Raises:
            BundleError, RecordError: as in `embed`, but not for a record that cannot be prepared.
        """
        encoder = self._encoder_of(modality, records)
        made: list[np.ndarray] = [np.empty((0, encoder.dim), dtype=np.float32)]
        faults: dict[int, str] = {}
        for start in range(0, len(records), batch_size):
            some = list(records[start : start + batch_size])
            try:
                batch = encoder.collate(some)
            except MolvisError:
                found = {place: fault for place, one in enumerate(some) if (fault := _fault(encoder, one))}
                if not found:  # each can be prepared alone, but not all together: that is no record's fault
                    raise
                faults |= {start + place: fault for place, fault in found.items()}
                some = [one for place, one in enumerate(some) if place not in found]
                batch = encoder.collate(some) if some else None
            if batch is not None:
                made.append(_forward(encoder, batch, device))
        return _finite(np.concatenate(made), modality), faults

    def _encoder_of(self, modality: str, records: Sequence[Any]) -> Any:
        encoder = self.encoder(modality)
        for number, record in enumerate(records):
            if not isinstance(record, encoder.accepts):
                raise RecordError(
                    f"record {number} is a {type(record).__name__}; the {modality!r} encoder takes "
                    f"{encoder.accepts.__name__}"
                )
        return encoder

    def fuse(
        self, measured: Sequence[Mapping[str, Float[np.ndarray, "_ dim"]]], key: str, **options: Any
    ) -> Float[np.ndarray, "n dim"]:
        """Vectors of the measurements of each unknown to one unit vector, float32.

        Args:
            measured: for each unknown, by modality, the vectors that `embed` returned.
            key: of the fusion in `[encoders]`.
            options: as in `embed`.

        Raises:
            RecordError: an unknown has no vector of a modality that the fusion takes.
        """
        from molvis_nn.fusion import Vectors

        parts = self.channels.fusions[key]
        pooled: list[Vectors] = []
        for number, one in enumerate(measured):
            names = [part for part in parts for _ in one.get(part, ())]
            if not names:
                raise RecordError(f"unknown {number} has no record of {', '.join(parts)}")
            pooled.append(Vectors(np.concatenate([one[p] for p in parts if len(one.get(p, ()))]), tuple(names)))
        return self.embed(key, pooled, **options)

    def embed_fused(
        self, unknowns: Sequence[Mapping[str, Sequence[Any]]], *, key: str = "", **options: Any
    ) -> Float[np.ndarray, "n dim"]:
        """All that was measured of each unknown to one unit vector, float32.

        Args:
            unknowns: for each its records by modality; what the fusion does not take is left out.
            key: of the fusion in `[encoders]`; the bundle's only one if empty.
            options: as in `embed`.

        Raises:
            BundleError: the bundle has no fusion, or several and none is named.
            RecordError: an unknown has no record that the fusion takes, or one of another type.
        """
        found = [key] if key else list(self.channels.fusions)
        if len(found) != 1 or found[0] not in self.channels.fusions:
            raise BundleError(
                f"bundle {self.name!r} has {'no' if not found or key else 'more than one'} fused encoder"
                f"{f' {key!r}' if key else ''}; it has: {', '.join(self.modalities)}"
            )
        measured: list[dict[str, np.ndarray]] = [{} for _ in unknowns]
        for part in self.channels.fusions[found[0]]:
            rows = self.embed(part, [record for one in unknowns for record in one.get(part, ())], **options)
            ends = np.cumsum([len(one.get(part, ())) for one in unknowns])
            for mine, own in zip(measured, np.split(rows, ends[:-1]) if len(ends) else [], strict=True):
                mine[part] = own
        return self.fuse(measured, found[0], **options)

    def embed_structures(self, structures: Sequence[Structure], **options: Any) -> Float[np.ndarray, "n dim"]:
        """`embed("structure", ...)`."""
        return self.embed("structure", structures, **options)

    def identify(self, queries: Sequence[Any], index: Any, **options: Any) -> Any:
        """Deprecated: use `molvis_retrieval.identify(bundle, queries, index)`. It is kept for one release."""
        now = "bundle.identify(queries, index) is now molvis_retrieval.identify(bundle, queries, index)"
        warnings.warn(now, DeprecationWarning, stacklevel=2)
        # By name: a bundle does not know what is built on it.
        return importlib.import_module("molvis_retrieval.identification").identify(self, queries, index, **options)


def load_bundle(path: Path | str) -> Bundle:
    """Open a bundle: a folder, or the name of one that an installed plugin ships.

    Weights are read when an encoder is first used. Nothing in the bundle is executed.

    Raises:
        BundleError: no bundle there, one that is damaged or incomplete, or one of a newer format.
    """
    path = find_bundle(path)
    return _opened(path, read_content(path / "bundle.toml"))


def _opened(path: Path, raw: dict[str, Any]) -> Bundle:
    file = path / "bundle.toml"
    try:
        config = config_from(registry.with_current_names(raw["config"]))
        check(config)
        calibration = from_mapping(Calibration, raw.get("calibration", {}))
        stored: Mapping[str, str] = raw["weights"]
    except KeyError as error:
        raise BundleError(f"{file}: damaged: {error} is missing") from error
    except MolvisError as error:
        raise BundleError(f"{file}: {error}{_missing_plugins(raw)}") from error
    for key in config.encoders:
        weights = path / f"{key}.safetensors"
        if key not in stored:
            raise BundleError(f"{file}: damaged: [weights] has no digest for {key!r}")
        if not weights.is_file():
            raise BundleError(f"{path}: incomplete: {weights.name} is missing")
        if (actual := file_sha256(weights)) != stored[key]:
            raise BundleError(
                f"{weights}: damaged: its digest is {actual[:12]}, bundle.toml records {stored[key][:12]}"
            )
    known = {"format", "config", "calibration", "weights", "states", KEY}
    return Bundle(
        path=path,
        config=config,
        calibration=calibration,
        digest=raw[KEY],
        encoders_digest=digest_of(raw["config"]["encoders"], stored),
        metadata={k: v for k, v in raw.items() if k not in known},
        _learned=check_states(path, raw.get("states", {}), config),
        _content=raw,
    )


def verify_bundle(path: Path | str, *, accept: bool = False) -> Bundle:
    """Check every file of a bundle against the digests that it keeps.

    Args:
        path: its folder, or the name of one that an installed plugin ships.
        accept: take `bundle.toml` as it is now, after an edit by hand or in an old format, and write its checksum. The
            weights must be those that it names.

    Raises:
        BundleError: something is damaged, missing, or cannot be written; names the file.
    """
    if not accept:
        return load_bundle(path)
    path = find_bundle(path)
    file = path / "bundle.toml"
    with sole_writer(path):
        content = read_content(file, accept=True)
        opened = _opened(path, {**content, KEY: checksum(content)})
        write_content(file, content)
    return opened


def save_bundle(
    path: Path | str,
    config: RunConfig,
    states: Mapping[str, Mapping[str, torch.Tensor]],
    *,
    calibration: Calibration | None = None,
    scorers: Mapping[str, Saves] | None = None,
    metadata: Mapping[str, Any] | None = None,
    card: str = "",
    half: bool = False,
) -> Bundle:
    """Write a bundle, whole or not at all, and open it.

    Args:
        path: the folder; one that exists is replaced when the new one is complete.
        config: of the run; it is stored filled.
        states: state dict of each encoder, by its key in the configuration.
        calibration: weights of the evidence.
        scorers: those that have learned, by their keys in the configuration.
        metadata: name, data digest, licences, citations, metrics: plain TOML values.
        card: text of `CARD.md`.
        half: store floating point weights as 16 bits, half the size; they are read back as 32 bits.

    Raises:
        BundleError: an encoder has no weights, or the disk is full; what was there before stays.
    """
    import torch
    from safetensors.torch import save_file

    path = Path(path)
    if missing := [k for k in config.encoders if k not in states]:
        raise BundleError(f"{path}: no weights for {', '.join(missing)}")
    try:
        with sole_writer(path), replacing_folder(path) as fresh:
            digests: dict[str, str] = {}
            for key in config.encoders:
                tensors: dict[str, torch.Tensor] = {}
                for name, tensor in states[key].items():
                    kept = tensor.detach().cpu().contiguous().clone()
                    tensors[name] = kept.half() if half and kept.dtype == torch.float32 else kept
                save_file(tensors, fresh / f"{key}.safetensors")
                digests[key] = file_sha256(fresh / f"{key}.safetensors")
            content = {
                **dict(metadata or {}),
                "plugins": {p.distribution: p.version for p in plugins() if not p.problem},
                "weights": digests,
                **({"states": learned} if (learned := write_states(fresh, scorers or {})) else {}),
                "calibration": to_plain(calibration or Calibration()),
                "config": fill(config),
            }
            (fresh / FOLDER.file).write_text(FOLDER.text(content), encoding="utf-8")
            (fresh / "CARD.md").write_text(card or default_card(config, metadata or {}), encoding="utf-8")
    except OSError as error:
        raise BundleError(f"{path}: the bundle cannot be written: {error}. What was there before is kept.") from error
    return load_bundle(path)


def write_calibration(bundle: Bundle, calibration: Calibration) -> Bundle:
    """Store new weights of the evidence in a bundle's folder.

    Raises:
        BundleError: the file cannot be written; the old one is kept.
        molvis_core.errors.BusyError: another process writes the bundle.
    """
    file = bundle.path / "bundle.toml"
    with sole_writer(bundle.path):
        content = {**read_content(file), "calibration": to_plain(calibration)}
        write_content(file, content)
    return replace(bundle, calibration=calibration, digest=checksum(content), _content=content)


def _forward(encoder: Any, batch: Any, device: torch.device | str | None) -> Float[np.ndarray, "n dim"]:
    """Vectors of a batch, float32."""
    import torch

    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    encoder.to(place)
    with torch.inference_mode():
        return encoder(batch.to(place)).float().cpu().numpy()


def _fault(encoder: Any, record: Any) -> str:
    """Why an encoder cannot prepare a record; empty where it can."""
    try:
        encoder.collate([record])
    except MolvisError as error:
        return str(error) or type(error).__name__
    return ""


def _finite(vectors: Float[np.ndarray, "n dim"], modality: str) -> Float[np.ndarray, "n dim"]:
    bad = ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        where = int(np.flatnonzero(bad)[0])
        raise RecordError(f"the {modality!r} encoder returned a vector that is not finite for record {where}")
    return vectors


def _load_encoder(path: Path, key: str, spec: Spec) -> Any:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = path / f"{key}.safetensors"
    where = f"{path / 'bundle.toml'}: encoders.{key}"
    encoder = build_within(file, spec, lambda: registry.build("encoder", spec, where=f"encoders.{key}"), where)
    try:
        state = load_file(file)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{file}: damaged: {error}") from error
    state = {k: v.float() if v.dtype == torch.float16 else v for k, v in state.items()}
    try:
        encoder.load_state_dict(state)
    except RuntimeError as error:
        raise BundleError(
            f"{file}: its weights do not fit encoder {spec['use']!r} of the installed plugin: "
            f"{str(error).splitlines()[-1].strip()}"
        ) from error
    return encoder.eval().requires_grad_(False)


def _missing_plugins(raw: Mapping[str, Any]) -> str:
    installed = {p.distribution for p in plugins()}
    stated = raw.get("plugins", {})
    missing = [str(d) for d in stated if d not in installed] if isinstance(stated, dict) else []
    if not missing:
        return ""
    # The names come from the bundle's author: only what can be a name may stand in a command.
    names = [d for d in missing if _DISTRIBUTION.fullmatch(d)]
    odd = [quoted(d) for d in missing if d not in names]
    listed = ", ".join([*names, *odd])
    advice = f" If you know and trust them: pip install {' '.join(names)}" if names else ""
    return f" It was made with plugins that are not installed: {listed}.{advice}"


_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
"""Names of distributions, as PEP 508 has them."""
