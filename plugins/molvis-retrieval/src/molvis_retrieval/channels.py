"""What a bundle can use of an unknown: by an encoder, by a fusion of several encoders, or by a scorer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from molvis_core import registry
from molvis_core.errors import BundleError
from molvis_core.interfaces import Learns, TellsApart, UsesReferences
from molvis_nn.sizes import refuse_absurd
from molvis_retrieval.bundle_folder import states_folder
from molvis_retrieval.config import RunConfig, is_fused, parts_of


@runtime_checkable
class TakesCalibrants(Protocol):
    """A scorer that corrects for what a laboratory measures differently, as compounds that it knows tell."""

    @property
    def calibrated(self) -> str:
        """What is corrected for, for people, such as `TW +1.20% by 5 compounds`; empty where nothing is."""

    def with_calibrants(self, path: Path) -> Self:
        """The same scorer, corrected by a table of measurements of known structures; this one stays as it is.

        Raises:
            molvis_core.errors.MolvisError: the table cannot be read, or nothing follows from it.
        """


@dataclass(frozen=True, slots=True)
class ScorerChannel:
    """A scorer of a bundle with the records that it takes.

    Attributes:
        scorer: the component.
        modality: whose records it takes; empty for those of any.
    """

    scorer: Any
    modality: str

    @property
    def features(self) -> tuple[str, ...]:
        """Names of its columns."""
        return self.scorer.features

    def apart(self, records: Sequence[Any]) -> list[list[Any]]:
        """Records in groups that say the same: by their kind where the scorer tells them apart, else all together."""
        if not isinstance(self.scorer, TellsApart):
            return [list(records)]
        groups: dict[str, list[Any]] = {}
        for one in records:
            groups.setdefault(self.scorer.kind(one), []).append(one)
        return list(groups.values())

    def takes(self, modality: str, record: Any) -> bool:
        """Whether it scores candidates by this record."""
        return self.modality in ("", modality) and isinstance(record, self.scorer.accepts)


@dataclass(frozen=True, slots=True)
class Channels:
    """Everything that a bundle can use, resolved once for each bundle that is opened.

    Attributes:
        encoders: keys of the encoders that take single measurements or structures.
        fusions: of each encoder that takes what others give, their keys.
        scorers: by name.
    """

    encoders: tuple[str, ...]
    fusions: Mapping[str, tuple[str, ...]]
    scorers: Mapping[str, ScorerChannel]

    @classmethod
    def of(cls, config: RunConfig, file: Path, learned: Collection[str] = ()) -> Channels:
        """Those of a configuration.

        Args:
            config: of the bundle.
            file: that it is from, with what scorers learned beside it.
            learned: the scorers that have learned something.

        Raises:
            BundleError: a scorer that learns has learned nothing, or what it learned is damaged.
            molvis_core.errors.MolvisError: a scorer cannot be built.
        """
        scorers: dict[str, ScorerChannel] = {}
        for key, spec in config.scorers.items():
            refuse_absurd(spec, f"{file}: scorers.{key}")
            built = registry.build("scorer", spec, where=f"scorers.{key}")
            if key in learned:
                _load(built, states_folder(file.parent, key), f"{file}: scorers.{key}")
            elif isinstance(built, Learns):
                raise BundleError(
                    f"{file}: scorers.{key}: scorer {spec['use']!r} must learn, and the bundle holds nothing that it "
                    "learned. Train the bundle anew: molvis train"
                )
            scorers[key] = ScorerChannel(built, registry.component("scorer", registry.spec_name(spec)[0]).modality)
        fusions = {key: parts_of(config, key) for key in config.encoders if is_fused(config, key)}
        return cls(tuple(key for key in config.encoders if key not in fusions), fusions, scorers)

    def with_references(self, path: Path, name: str) -> Channels:
        """The same, with further references for the scorers that use some.

        Args:
            path: of the folder.
            name: of the bundle, for messages.

        Raises:
            BundleError: no scorer uses references.
            molvis_core.errors.MolvisError: there is no such folder, or it is damaged.
        """
        more = {
            key: replace(one, scorer=one.scorer.with_references(path))
            for key, one in self.scorers.items()
            if isinstance(one.scorer, UsesReferences)
        }
        lacking = 'uses references. Train one that has: [scorers.references] use = "nearest-spectra"'
        return self._with_scorers(more, name, lacking)

    def with_calibrants(self, path: Path, name: str) -> Channels:
        """The same, with the scorers that can corrected by what the own laboratory measured of known compounds.

        Args:
            path: of the table.
            name: of the bundle, for messages.

        Raises:
            BundleError: no scorer takes calibrants.
            molvis_core.errors.MolvisError: the table cannot be read, or nothing follows from it.
        """
        more = {
            key: replace(one, scorer=one.scorer.with_calibrants(path))
            for key, one in self.scorers.items()
            if isinstance(one.scorer, TakesCalibrants)
        }
        return self._with_scorers(more, name, "takes calibrants, as ccs-likelihood does for cross sections")

    def _with_scorers(self, more: Mapping[str, ScorerChannel], name: str, lacking: str) -> Channels:
        """The same, with some of the scorers in place of those of their keys; an error where there are none."""
        if not more:
            raise BundleError(f"bundle {name!r} has no scorer that {lacking}")
        return replace(self, scorers={**self.scorers, **more})

    @property
    def calibrated(self) -> str:
        """What calibrants corrected, for people; empty where there are none."""
        told = {
            key: one.scorer.calibrated for key, one in self.scorers.items() if isinstance(one.scorer, TakesCalibrants)
        }
        return "; ".join(f"{key}: {text}" for key, text in told.items() if text)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those of measurements that can be used, in the order of the alphabet."""
        found = {*self.encoders, *self.fusions, *(s.modality for s in self.scorers.values())}
        return tuple(sorted(found - {"structure", ""}))

    def scored(self, modality: str, record: Any) -> bool:
        """Whether a scorer takes this record."""
        return any(scorer.takes(modality, record) for scorer in self.scorers.values())

    def fused(self, measured: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The fusions that pool something of what was measured: of two modalities or more that they take."""
        known = set(measured)
        return {key: parts for key, parts in self.fusions.items() if len(known & set(parts)) > 1}

    def modalities_of(self, kind: type[Any]) -> list[str]:
        """Installed modalities whose records are of this type: those that the bundle knows, or else all."""
        installed = sorted({c.name for c in registry.components("modality") if c.name != "structure"})
        fitting = [name for name in installed if registry.load("modality", name).record is kind]
        return [name for name in fitting if name in self.modalities] or fitting


def _load(scorer: Any, folder: Path, where: str) -> None:
    if not isinstance(scorer, Learns):
        raise BundleError(f"{where}: {folder} holds what it learned, but the installed scorer learns nothing")
    scorer.load(folder)
