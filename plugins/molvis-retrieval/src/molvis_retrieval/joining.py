"""Several bundles as one, so that what was measured in all their ways counts in one ranking.

Bundles that were trained apart have spaces of their own. The joined bundle's structures have the vectors of all these
spaces end to end, each times the square root of its share; the vectors of a measurement are zero but for the space that
its encoder was trained in. A cosine is then that of its own bundle times the square root of the share, for which its
calibrated weight makes up. Nothing is trained: embeddings, scorers and their weights are those of the bundles.

Logarithms of likelihoods add up where errors are independent. Whether they are, compounds show that were measured in
several ways: `molvis calibrate` fits the weights together.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molvis_core.errors import BundleError
from molvis_files.digests import file_sha256
from molvis_retrieval.bundle import Bundle, Calibration, save_bundle
from molvis_retrieval.bundle_folder import states_folder
from molvis_retrieval.config import EvidenceConfig, RunConfig, is_fused, pairs_of
from molvis_retrieval.evidence import START_WEIGHT
from molvis_retrieval.pieces import Pieces
from molvis_retrieval.presence import Presence
from molvis_retrieval.schema import Spec

if TYPE_CHECKING:
    import torch

_STRUCTURE = "structure"


@dataclass(frozen=True, slots=True)
class Joined:
    """What came of several bundles.

    Attributes:
        bundle: the joined one.
        spaces: how many spaces its vectors hold end to end.
        notes: what there is to know of its calibration, for people.
    """

    bundle: Bundle
    spaces: int
    notes: tuple[str, ...]


def join_bundles(bundles: Sequence[Bundle], path: Path | str, *, name: str = "") -> Joined:
    """Write a bundle that takes what each of several bundles takes.

    Args:
        bundles: at least two, without a common modality of an encoder and without unlike scorers of one name. Those
            with the same encoder of structures share its space as it is.
        path: the new folder.
        name: of the joined bundle; the names of the others with a plus sign between them if empty.

    Raises:
        BundleError: fewer than two bundles, names that clash, a bundle without structures or with a fusion of several
            modalities, or a folder that cannot be written.
    """
    if len(bundles) < 2:
        raise BundleError(f"{len(bundles)} bundle to join; name at least two")
    _check(bundles)
    name = name or "+".join(one.name for one in bundles)
    spaces = _Spaces.of(bundles)
    notes = _notes(bundles)
    joined = save_bundle(
        path,
        _config(bundles, spaces, name),
        spaces.states(bundles),
        calibration=_calibration(bundles, spaces),
        scorers={key: _Kept(one, key) for one in bundles for key in _learned(one)},
        metadata=_metadata(bundles, name),
        card=_card(bundles, name, notes),
    )
    return Joined(joined, len(spaces.specs), notes)


def _check(bundles: Sequence[Bundle]) -> None:
    """Raise `BundleError` where the bundles cannot be joined."""
    encoders: dict[str, Bundle] = {}
    scorers: dict[str, Bundle] = {}
    for one in bundles:
        _check_encoders(one, encoders)
        for key in one.config.scorers:
            if key in scorers and _scorer(scorers[key], key) != _scorer(one, key):
                raise BundleError(
                    f"bundles {scorers[key].name!r} and {one.name!r} both have a scorer {key!r}, and these are not the "
                    f"same. Train one of them under another name: [scorers.{key}] becomes [scorers.{key}-2]"
                )
            scorers[key] = one


def _check_encoders(one: Bundle, known: dict[str, Bundle]) -> None:
    """Raise `BundleError` where a bundle has no structures, a fusion or a known encoder; add its own to the known."""
    if _STRUCTURE not in one.config.encoders:
        raise BundleError(f"bundle {one.name!r} has no encoder of structures, and cannot be joined with others")
    for key in one.config.encoders:
        if is_fused(one.config, key):
            raise BundleError(
                f"bundle {one.name!r} has the fusion {key!r} of several modalities, whose vectors have no place in a "
                "space of several bundles. Train one without it, or all modalities in one run: docs/train.md"
            )
        if key != _STRUCTURE and key in known:
            raise BundleError(
                f"bundles {known[key].name!r} and {one.name!r} both have an encoder of {key!r}; a joined bundle has "
                "one for each modality. Join others, or train one of them without it"
            )
        known[key] = one


def _scorer(one: Bundle, key: str) -> tuple[Spec, dict[str, str], dict[str, float]]:
    """What makes a scorer the same: its settings, what it learned, and what its evidence weighs."""
    folder = states_folder(one.path, key)
    files = {f.name: file_sha256(f) for f in sorted(folder.iterdir())} if folder.is_dir() else {}
    weights = {k: v for k, v in one.calibration.weights.items() if k.split(".", 1)[0] == key}
    return one.config.scorers[key], files, weights


@dataclass(frozen=True, slots=True)
class _Spaces:
    """The spaces of several bundles, each once.

    Attributes:
        specs: of the encoder of structures of each.
        owners: a bundle of each.
        place: of each bundle's space among them.
        dims: lengths of their vectors.
    """

    specs: list[Spec]
    owners: list[Bundle]
    place: list[int]
    dims: list[int]

    @classmethod
    def of(cls, bundles: Sequence[Bundle]) -> _Spaces:
        """Those of the bundles; encoders of structures with the same settings and weights have one space."""
        found: dict[str, int] = {}
        made = cls([], [], [], [])
        for one in bundles:
            spec = one.config.encoders[_STRUCTURE]
            key = json.dumps([spec, file_sha256(_weights(one, _STRUCTURE))], sort_keys=True)
            if key not in found:
                found[key] = len(made.specs)
                made.specs.append(spec)
                made.owners.append(one)
                made.dims.append(int(one.encoder(_STRUCTURE).dim))
            made.place.append(found[key])
        return made

    @property
    def factor(self) -> float:
        """What a cosine of one of the bundles is multiplied by."""
        return math.sqrt(1 / len(self.specs))

    def encoders(self, bundles: Sequence[Bundle]) -> dict[str, Spec]:
        """Specs of the joined bundle's encoders."""
        out: dict[str, Spec] = {}
        for one, place in zip(bundles, self.place, strict=True):
            before, after = sum(self.dims[:place]), sum(self.dims[place + 1 :])
            for key, spec in one.config.encoders.items():
                if key != _STRUCTURE:
                    out[key] = {"use": "placed", "of": spec, "before": before, "after": after} if self._many else spec
        return out | {_STRUCTURE: {"use": "concatenated", "of": self.specs} if self._many else self.specs[0]}

    @property
    def _many(self) -> bool:
        return len(self.specs) > 1

    def states(self, bundles: Sequence[Bundle]) -> dict[str, dict[str, torch.Tensor]]:
        """Weights of the joined bundle's encoders, in the precision in which they were stored."""
        out: dict[str, dict[str, torch.Tensor]] = {}
        for one in bundles:
            for key in one.config.encoders:
                if key != _STRUCTURE:
                    out[key] = dict(_under("encoder." if self._many else "", one, key))
        out[_STRUCTURE] = {
            name: tensor
            for place, owner in enumerate(self.owners)
            for name, tensor in _under(f"parts.{place}." if self._many else "", owner, _STRUCTURE)
        }
        return out


def _weights(one: Bundle, key: str) -> Path:
    return one.path / f"{key}.safetensors"


def _under(prefix: str, one: Bundle, key: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Weights of an encoder as they are stored, with something before their names."""
    from safetensors.torch import load_file

    yield from ((prefix + name, tensor) for name, tensor in load_file(_weights(one, key)).items())


def _learned(one: Bundle) -> list[str]:
    """The scorers of a bundle that keep something that they learned."""
    return [key for key in one.config.scorers if states_folder(one.path, key).is_dir()]


class _Kept:
    """What a scorer learned, as the bundle holds it."""

    def __init__(self, bundle: Bundle, key: str) -> None:
        self.folder = states_folder(bundle.path, key)

    def save(self, folder: Path) -> None:
        """Copy the files."""
        for file in sorted(self.folder.iterdir()):
            shutil.copyfile(file, folder / file.name)


def _config(bundles: Sequence[Bundle], spaces: _Spaces, name: str) -> RunConfig:
    """The settings of the first with the encoders, pairings and scorers of all."""
    first = bundles[0].config
    return replace(
        first,
        name=name,
        encoders=spaces.encoders(bundles),
        pairs=tuple(pair for one in bundles for pair in pairs_of(one.config)),
        joint=type(first.joint)(),
        train=replace(first.train, init_from={}, freeze=()),
        scorers={key: spec for one in bundles for key, spec in one.config.scorers.items()},
        # Where a bundle has scorers in the place of cosines, they take that measurement alone.
        evidence=EvidenceConfig(cosines=all(one.config.evidence.cosines for one in bundles)),
    )


def _calibration(bundles: Sequence[Bundle], spaces: _Spaces) -> Calibration:
    """Weights that give each bundle's evidence as before."""
    weights: dict[str, float] = {}
    for one in bundles:
        weights |= _own_weights(one, spaces.factor)
    fitted = [one for one in bundles if one.calibration.weights]
    known = [one for one in bundles if one.calibration.presence.usable]
    cosines = {key for one in bundles for key in _measured(one)}
    return Calibration(
        weights={key: round(value, 6) for key, value in weights.items()},
        shortlist=max(one.calibration.shortlist for one in bundles),
        fitted_on="; ".join(f"{one.name}: {one.calibration.fitted_on or 'not calibrated'}" for one in bundles),
        repeats=fitted[0].calibration.repeats if fitted else 0.0,
        presence=_presence(known[0], cosines, spaces.factor) if known else Presence(),
        pieces=_pieces(bundles, cosines, spaces.factor),
    )


def _measured(one: Bundle) -> list[str]:
    """The modalities that a bundle embeds measurements of."""
    return [key for key in one.modalities if key != _STRUCTURE]


def _own_weights(one: Bundle, factor: float) -> dict[str, float]:
    """Weights of a bundle's evidence; those of cosines make up for the factor."""
    cosines = {*_measured(one), *(f"{key}.alone" for key in _measured(one))}
    own = one.calibration.weights or dict.fromkeys(_measured(one), START_WEIGHT)
    return {key: value / factor if key in cosines else value for key, value in own.items()}


def _notes(bundles: Sequence[Bundle]) -> tuple[str, ...]:
    """What is to be known of the joined bundle's calibration."""
    notes = [
        f"{one.name} was never calibrated: its evidence has the weight that training starts with"
        for one in bundles
        if not one.calibration.weights
    ]
    known = [one.name for one in bundles if one.calibration.presence.usable]
    if known[1:]:
        others = ", ".join(known[1:])
        notes.append(f"how probable it is that the truth is among the candidates is {known[0]}'s, not {others}'s")
    notes.append(
        "the weights are each bundle's own, as if the errors of their measurements were independent; molvis calibrate "
        "fits them together to compounds that were measured in several ways"
    )
    return tuple(notes)


_Bounds = tuple[float, float, float, float]


def _scaled(features: Mapping[str, _Bounds], cosines: set[str], factor: float) -> dict[str, _Bounds]:
    """Bounds, mean and deviation of features, those of cosines times a factor."""
    out: dict[str, _Bounds] = {}
    for name, (low, high, mean, sd) in features.items():
        by = factor if name.rpartition("/")[2] in cosines else 1.0
        out[name] = (round(low * by, 9), round(high * by, 9), round(mean * by, 9), round(sd * by, 9))
    return out


def _presence(one: Bundle, cosines: set[str], factor: float) -> Presence:
    presence = one.calibration.presence
    return replace(presence, features=_scaled(presence.features, cosines, factor))


def _pieces(bundles: Sequence[Bundle], cosines: set[str], factor: float) -> Pieces:
    """What is known of each kind of measurement, by the first bundle that knows something of it."""
    out = Pieces()
    for one in bundles:
        mine = one.calibration.pieces
        if not mine.usable:
            continue
        known = {name.partition("/")[0] for name in out.weights}
        weights = {k: v for k, v in mine.weights.items() if k.partition("/")[0] not in known}
        features = {k: v for k, v in mine.features.items() if k.partition("/")[0] not in known}
        out = replace(
            out,
            weights=out.weights | weights,
            features=out.features | _scaled(features, cosines, factor),
            fitted_on="; ".join(text for text in (out.fitted_on, mine.fitted_on) if text),
        )
    return out


def _metadata(bundles: Sequence[Bundle], name: str) -> dict[str, Any]:
    """What is known of each: texts by bundle, metrics by bundle, citations once."""
    told: dict[str, Any] = {
        key: "; ".join(f"{one.name}: {one.metadata[key]}" for one in bundles if one.metadata.get(key))
        for key in ("data", "licence", "data_digest")
    }
    told["metrics"] = {
        f"{one.name}/{key}": value for one in bundles for key, value in one.metadata.get("metrics", {}).items()
    }
    told["citations"] = sorted({text for one in bundles for text in one.metadata.get("citations", ())})
    told["warnings"] = [f"{one.name}: {text}" for one in bundles for text in one.metadata.get("warnings", ())]
    made_of = [{"name": one.name, "digest": one.digest} for one in bundles]
    return {"name": name, "joined": made_of, **{key: value for key, value in told.items() if value}}


def _card(bundles: Sequence[Bundle], name: str, notes: Sequence[str]) -> str:
    """A card that says what it is made of, and holds the card of each with its headings one level down."""
    lines = [f"# {name}", "", "Joined of the bundles below by `molvis bundle join`; nothing was trained.", ""]
    lines += [f"- {note}" for note in notes]
    for one in bundles:
        file = one.path / "CARD.md"
        text = file.read_text(encoding="utf-8") if file.is_file() else f"# {one.name}\n"
        lines += ["", *(f"#{line}" if line.startswith("#") else line for line in text.strip().splitlines())]
    return "\n".join([*lines, ""])
