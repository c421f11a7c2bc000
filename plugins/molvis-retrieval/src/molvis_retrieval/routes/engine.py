"""What the routes share: a bundle and its libraries, opened once in each process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from molvis_core.errors import ConfigError, did_you_mean
from molvis_files.arguments import folder_of
from molvis_files.routes import Option, Setup

if TYPE_CHECKING:
    from molvis_retrieval.bundle import Bundle
    from molvis_retrieval.index import Index

__all__ = ["LIBRARY", "Engine", "open_engine"]

LIBRARY = Option(
    "library", "The library to search, by its name; all of the service's together where none is chosen.",
    among="libraries", most=1000,
)  # fmt: skip


@dataclass(frozen=True)
class Engine:
    """A bundle and libraries of candidates.

    Attributes:
        bundle: whose encoders and weights.
        index: of candidates, joined from all libraries.
        libraries: each of them by its name, the first with priority.
        device: where networks run.
    """

    bundle: Bundle
    index: Index
    libraries: Mapping[str, Index]
    device: str | None

    def chosen(self, name: str | None) -> tuple[Index, dict[str, str]]:
        """The candidates of one library, or of all; and what results follow from beside the bundle, by library.

        Raises:
            ConfigError: there is no such library.
        """
        if name is not None and name not in self.libraries:
            raise ConfigError(
                f"no library {name[:80]!r}.{did_you_mean(name[:80], self.libraries)} There are: "
                f"{', '.join(self.libraries)}."
            )
        some = self.libraries if name is None else {name: self.libraries[name]}
        index = self.index if name is None else self.libraries[name]
        # As far as their size and vectors tell them.
        return index, {one: f"{len(i.library)} structures, {i.bundle_digest[:12]}" for one, i in some.items()}

    def describe(self) -> dict[str, Any]:
        """Bundle and libraries with their sizes."""
        modalities = list(self.bundle.modalities)
        return {
            "bundle": {"name": self.bundle.name, "digest": self.bundle.digest, "modalities": modalities},
            "libraries": [{"name": name, "structures": len(one.library)} for name, one in self.libraries.items()],
        }


def open_engine(setup: Setup) -> Engine:
    """The bundle with its references, and the libraries, embedded whole: the first start keeps what it embedded.

    Raises:
        BundleError, IndexFileError, ReadError: one of them cannot be opened.
        ConfigError: no library is named, or one twice.
    """
    from molvis_retrieval import load_bundle
    from molvis_retrieval.candidates import open_candidates
    from molvis_retrieval.index import join_indexes

    if not setup.libraries:
        raise ConfigError("name a library of candidates")
    bundle = load_bundle(setup.bundle)
    for name in setup.references:
        make = "Make one with: molvis references build SPECTRA --out FOLDER"
        bundle = bundle.with_references(folder_of("references", name, make=make))
    indexes = [open_candidates(name, bundle, whole=True, device=setup.device) for name in setup.libraries]
    named = dict(zip(_names(setup.libraries, indexes), indexes, strict=True))
    engine = Engine(bundle, join_indexes(indexes), named, setup.device)
    _warm(engine)
    return engine


def _names(paths: Sequence[str], indexes: Sequence[Index]) -> list[str]:
    """What people call the libraries; those that are called the same, by what they were named with."""
    times = Counter(index.name for index in indexes)
    names = [index.name if times[index.name] == 1 else path for path, index in zip(paths, indexes, strict=True)]
    if len(set(names)) < len(names):
        raise ConfigError(f"a library is named twice: {', '.join(paths)}")
    return names


def _warm(engine: Engine) -> None:
    """Do once what the first request would wait for: networks are loaded, and loops compiled."""
    import numpy as np

    from molvis_core.chemistry.adducts import ion_mz
    from molvis_core.records import Measurement, PeakList
    from molvis_retrieval.identification import identify

    if "msms" not in engine.bundle.modalities or not len(engine.index.library):
        return
    (some,) = engine.index.library.structures(np.array([0]))
    ion = ion_mz(some.exact_mass, "[M+H]+")
    mz = np.array(sorted({0.4 * ion, 0.7 * ion, ion}))
    named = PeakList(mz, np.array([0.2, 0.5, 1.0]), precursor_mz=ion, adduct="[M+H]+")
    # An ion without an adduct is ranked under several, and its formulas are looked at.
    unnamed = PeakList(mz, np.array([0.2, 0.5, 1.0]), precursor_mz=ion, ionmode="positive")
    queries = [Measurement(one, None, "msms", name="warm") for one in (named, unnamed)]
    identify(engine.bundle, queries, engine.index, top=1)
