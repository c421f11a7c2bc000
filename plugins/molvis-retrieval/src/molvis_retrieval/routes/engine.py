"""What the routes share: a bundle and its libraries, opened once in each process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from molvis_files.arguments import folder_of
from molvis_files.routes import Setup

if TYPE_CHECKING:
    from molvis_retrieval.bundle import Bundle
    from molvis_retrieval.index import Index

__all__ = ["Engine", "open_engine"]


@dataclass(frozen=True)
class Engine:
    """A bundle and an index of candidates.

    Attributes:
        bundle: whose encoders and weights.
        index: of candidates, joined from all libraries.
        libraries: how many structures each has, by name.
        device: where networks run.
    """

    bundle: Bundle
    index: Index
    libraries: Mapping[str, int]
    device: str | None

    @property
    def digests(self) -> dict[str, str]:
        """What results follow from beside the bundle: the libraries, as far as their size and vectors tell them."""
        return {name: f"{count} structures, {self.index.bundle_digest[:12]}" for name, count in self.libraries.items()}

    def describe(self) -> dict[str, Any]:
        """Bundle and libraries with their sizes."""
        modalities = list(self.bundle.modalities)
        return {
            "bundle": {"name": self.bundle.name, "digest": self.bundle.digest, "modalities": modalities},
            "libraries": [{"name": name, "structures": count} for name, count in self.libraries.items()],
        }


def open_engine(setup: Setup) -> Engine:
    """The bundle with its references, and the libraries, embedded whole: the first start keeps what it embedded.

    Raises:
        BundleError, IndexFileError, ReadError: one of them cannot be opened.
        ConfigError: no library is named.
    """
    from molvis_core.errors import ConfigError
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
    sizes = {index.name: len(index.library) for index in indexes}
    engine = Engine(bundle, join_indexes(indexes), sizes, setup.device)
    _warm(engine)
    return engine


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
