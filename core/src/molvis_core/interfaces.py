"""The verbs: protocols that an object joins by having the right attributes.

Axis letters mean one thing everywhere: n queries, m references, p peaks, t trace points, a atoms, b bonds,
k fit parameters, s samples.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeGuard, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.progress import Progress, StageProgress
from molvis_core.records import RankedQuery, Record, Structure

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from molvis_core.fitting import Fit, Prior, Section

    class EncoderModule(torch.nn.Module):
        """An encoder as `registry.build` returns it, to a type checker: an `Encoder` whose weights can be trained."""

        accepts: type[Any]
        dim: int

        def collate(self, records: Sequence[Any]) -> Batch: ...  # noqa: D102
        def __call__(self, batch: Any) -> Tensor: ...  # noqa: D102


T = TypeVar("T")


def declares(thing: object, protocol: type[T]) -> TypeGuard[T]:
    """Whether an object has the attributes of a protocol, among them submodules and parameters of a PyTorch module.

    Those are found by `__getattr__`, which `isinstance` does not ask since Python 3.12.
    """
    return all(hasattr(thing, name) for name in protocol.__annotations__)


@runtime_checkable
class Batch(Protocol):
    """Collated records: tensors with an explicit mask. Pickles, so that workers can send it."""

    def __len__(self) -> int:
        """How many records it holds."""

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device: a new object, this one is left as it is."""


@runtime_checkable
class Encoder(Protocol):
    """Records of one type to unit vectors in the shared space. A `torch.nn.Module` in all but name.

    Attributes:
        accepts: the record type that `collate` takes.
        dim: length of the vectors.
    """

    accepts: type[Any]
    dim: int

    def collate(self, records: Sequence[Any]) -> Batch:
        """Prepare records. CPU only, picklable, and independent of the parameters: workers call it."""

    def __call__(self, batch: Any) -> Float[Tensor, "n dim"]:
        """Rows of Euclidean norm 1."""


@runtime_checkable
class PairLoss(Protocol):
    """How badly scores of queries against references agree with a target. May hold parameters of its own."""

    def __call__(
        self,
        query: Float[Tensor, "n dim"],
        reference: Float[Tensor, "m dim"],
        target: Float[Tensor, "n m"],
        weight: Float[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """A scalar. A pair of weight 0 does not count; where nothing counts the loss is 0."""


@runtime_checkable
class Target(Protocol):
    """What the pairs of a batch should score, from their structures.

    It is a collate step and a call, like an encoder, so that fingerprints are made in workers and compared on the
    device as one matrix product.
    """

    def collate(self, structures: Sequence[Structure]) -> Batch:
        """Prepare structures. CPU only and picklable."""

    def __call__(self, query: Any, reference: Any) -> tuple[Float[Tensor, "n m"], Float[Tensor, "n m"]]:
        """Target in [0, 1] and weight in [0, 1] of every pair."""


@runtime_checkable
class Predictor(Protocol):
    """Structures forward to a measurement, such as a collision cross section.

    Attributes:
        accepts: the record type that `collate` takes.
        predicts: name of the modality whose values come out.
    """

    accepts: type[Any]
    predicts: str

    def collate(self, records: Sequence[Any]) -> Batch:
        """Prepare records. CPU only and picklable."""

    def __call__(self, batch: Any) -> tuple[Float[Tensor, "n q"], Float[Tensor, "n q"]]:
        """Mean and standard deviation."""


@runtime_checkable
class PredictsRecords(Protocol):
    """A predictor of whole records, such as spectra, where another gives numbers with their standard deviations.

    Attributes:
        accepts: type of what it predicts for.
        predicts: name of the modality whose records come out.
    """

    accepts: type[Any]
    predicts: str

    def records(self, structures: Sequence[Any]) -> Sequence[Sequence[Record]]:
        """The records of each structure: one for each of the settings that the predictor was made with."""


@runtime_checkable
class Fitter(Protocol):
    """Measurements back to the parameters of a simulation.

    What is fixed (network, spin topology) goes to the constructor, what is estimated to the prior, data to `fit`. A
    sequence of records is one sample measured several times: at two fields, or with three tracers.
    """

    def prior(self, records: Sequence[Record]) -> Prior:
        """A starting prior, by parameter path such as `shift/H3`, to edit and hand to `fit`."""

    def simulate(self, values: Float[np.ndarray, " k"], like: Sequence[Record]) -> tuple[Record, ...]:
        """What would be measured, on the axes of `like`."""

    def fit(self, records: Sequence[Record], prior: Prior, *, seed: int = 0) -> Fit:
        """Estimate. The same seed gives the same fit; failure comes back in `Fit.problem`, not as an exception."""


@runtime_checkable
class Scorer(Protocol):
    """Evidence for candidates that is not a dot product of embeddings, such as peaks explained by fragments.

    Attributes:
        accepts: the record type of the queries.
        features: what its columns are called; each gets a weight when a bundle is calibrated.
    """

    accepts: type[Any]
    features: tuple[str, ...]

    def __call__(self, query: Any, candidates: Sequence[Structure]) -> Float[np.ndarray, "m f"]:
        """One row of features for each candidate; larger means better explained. Finite."""


@runtime_checkable
class Classifier(Protocol):
    """Classes that structures belong to, such as functional groups or families of natural products.

    The candidates of an unknown often agree on a class where none of them is certain.

    Attributes:
        names: of the classes.
        groups: of each class the group that it is shown in, such as `functional group`.
    """

    names: Sequence[str]
    groups: Sequence[str]

    def __call__(self, structures: Sequence[Structure]) -> Bool[np.ndarray, "m k"]:
        """One row for each structure: whether it is in each class. It may be in several, or in none."""


@runtime_checkable
class Reader(Protocol):
    """A file to measurements, one at a time."""

    def __call__(self, path: Path) -> Iterator[Any]:
        """Yield a `molvis_core.records.Measurement`, or the `ReadError` of a record that cannot be read.

        A record that is bad by itself is yielded as an error, so that the caller decides whether to skip it or to
        stop; a file that cannot be read at all raises.
        """


@runtime_checkable
class Writer(Protocol):
    """Measurements to a file."""

    def __call__(self, path: Path, measurements: Iterable[Any]) -> None:
        """Write to a temporary file, then rename, so that a failure leaves the old file as it was."""


@runtime_checkable
class Route(Protocol):
    """An operation of a service, such as `molvis_files.routes.Route`: `run` gets a request with files and options.

    Attributes:
        files, options: that it takes, described in plain data.
    """

    files: Sequence[Any]
    options: Sequence[Any]

    @property
    def run(self) -> Any: ...  # noqa: D102


# Optional: whoever uses one of these asks with `isinstance`, and the contract kit checks it where an object has it.


@runtime_checkable
class Featurises(Protocol):
    """An encoder whose records can be prepared ahead of training, such as structures on all processors at once."""

    def featurise(self, records: Sequence[Any], *, progress: Progress | None = None) -> None:
        """Prepare records and keep what was made of them, so that `collate` is quick. The vectors stay the same.

        Args:
            records: of the type that the encoder accepts.
            progress: called with the number that is done and the number in all.
        """


@runtime_checkable
class Concatenation(Protocol):
    """An encoder whose vectors are those of other encoders of the same records, end to end, each times a factor.

    Attributes:
        parts: these encoders. Training looks at each of them by itself.
    """

    parts: Iterable[Any]


@runtime_checkable
class SeesEveryPositive(Protocol):
    """A loss with `every_positive`: whether an epoch holds all pairs of a compound's measurements, or drawn ones."""

    every_positive: bool


@runtime_checkable
class HasTemperature(Protocol):
    """A loss with a `temperature`, a positive number or what returns it, which training writes into its metrics."""

    temperature: Any


@runtime_checkable
class PeakExplanation(Protocol):
    """How a substructure explains a peak.

    Attributes:
        peak: number of the peak in the record, from 0.
        formula: of the ion.
        smiles: of the substructure.
        ppm: error of the measured m/z, in parts per million of the calculated one.
    """

    @property
    def peak(self) -> int: ...  # noqa: D102
    @property
    def formula(self) -> str: ...  # noqa: D102
    @property
    def smiles(self) -> str: ...  # noqa: D102
    @property
    def ppm(self) -> float: ...  # noqa: D102


@runtime_checkable
class Explains(Protocol):
    """A scorer that names the peaks which a candidate explains, for reports."""

    def explain(self, query: Any, candidate: Structure, /) -> Sequence[PeakExplanation]:
        """The peaks that the candidate explains; none where it explains none."""


@runtime_checkable
class Learns(Protocol):
    """A scorer with parameters of its own, which it learns from queries whose structure is known.

    `molvis train` calls `learn` for such a scorer of its configuration, and the bundle keeps what `save` writes, with
    digests. Before it has learned anything, a scorer gives all candidates of a query the same features.
    """

    def learn(
        self,
        examples: Sequence[RankedQuery],
        validation: Sequence[RankedQuery],
        *,
        seed: int = 0,
        progress: StageProgress | None = None,
        checkpoint: Path | None = None,
    ) -> Mapping[str, float]:
        """Learn the parameters; whatever was learned before is forgotten.

        Args:
            examples: queries of the training fold. Those of one compound follow each other.
            validation: queries of other compounds, to decide when to stop; only a `LeavesOut` is fitted to them.
            seed: of everything drawn. The same examples and seed give the same parameters on one machine.
            progress: called with what is done, what there is in all, and what is being done: one text for each phase.
            checkpoint: a folder of this call alone. The same call after an interruption goes on, to the same end.

        Returns:
            Figures of how well it ranks, by name.

        Raises:
            TrainingError: there is nothing to learn from.
        """

    def save(self, folder: Path) -> None:
        """Write what was learned into an empty folder: files ending in .safetensors, .arrow, .parquet, .toml, .json."""

    def load(self, folder: Path) -> None:
        """Take over what `save` wrote. It may come from a stranger: nothing in it is executed.

        Raises:
            BundleError: a file is missing or damaged, or it is of a scorer with other settings.
        """


@runtime_checkable
class LeavesOut(Protocol):
    """A scorer that can forget compounds, by first blocks of InChIKeys: weights are fitted to each without it."""

    def without(self, compounds: Collection[str]) -> Self: ...  # noqa: D102


@runtime_checkable
class HoldsAtAnyMass(Protocol):
    """A scorer with `any_mass`: whether its evidence counts in a search of the whole library, among all masses, too."""

    any_mass: bool


@runtime_checkable
class HasCost(Protocol):
    """A scorer with `cost`: where an unknown may be one of several ions, those that cost least are asked first."""

    cost: int


@runtime_checkable
class TellsApart(Protocol):
    """A scorer with a `kind` of each record: records of one kind repeat each other, those of two add up."""

    def kind(self, record: Any, /) -> str: ...  # noqa: D102


@runtime_checkable
class UsesReferences(LeavesOut, Protocol):
    """A scorer whose evidence is from measurements of known compounds.

    Attributes:
        usual_weights: of its features that inform about measured compounds alone. Calibration leaves the references of
            a query's own compound out, so that weights are those of unknown compounds, and does not fit these.
    """

    @property
    def usual_weights(self) -> Mapping[str, float]: ...  # noqa: D102

    def with_references(self, path: Path) -> Self:
        """The same scorer with the references of a further folder; this one stays as it is.

        Raises:
            molvis_core.errors.MolvisError: there is no such folder, or it is damaged.
        """

    def reference(self, candidate: Structure, like: Any, /) -> Any | None:
        """The reference of a candidate that supports it most, for reports; None where none does."""


@runtime_checkable
class NamesAnalogues(Protocol):
    """A scorer that knows what resembles a measurement: what an unknown is like, where no candidate is the truth."""

    def analogues(self, record: Any, /) -> Sequence[tuple[float, Structure]]:
        """Compounds of the most alike measurements with their similarities: above 0, at most 1, the largest first."""


@runtime_checkable
class AdaptsToRun(Protocol):
    """A scorer that depends on how a run was measured, which all its queries together show: the offset of a mass axis.

    Whoever ranks adapts it once for all queries, and scores with what comes back.
    """

    def adapted(self, queries: Sequence[Any], masses: Sequence[Float[np.ndarray, " _"]], ppm: float) -> Scorer:
        """The scorer for a run: a new one with the same features; this one stays as it is.

        Args:
            queries: all of the run whose neutral mass is known.
            masses: exact masses in Da of the candidates of each.
            ppm: half width of the window that these come from, in parts per million.
        """

    def note(self, query: Any) -> str:
        """Why it has no evidence for a query of the run; empty where it has some."""


@runtime_checkable
class HoldsMeasurements(Protocol):
    """A fitter that is constructed with measurements and what is fixed together, such as a network with its data."""

    def measured(self) -> Sequence[Record]:
        """What to fit where no other records are given."""


@runtime_checkable
class Reports(Protocol):
    """A fitter that reports its fits in the manner of its field, with what `Fit` has no place for."""

    def fit_with_report(
        self, records: Sequence[Record], prior: Prior, *, seed: int = 0
    ) -> tuple[Fit, Sequence[Section]]:
        """What `fit` returns, and sections of a page in place of the plain pictures of measured and simulated records.

        No section of a fit that failed leaves the plain pictures in their place.
        """


@runtime_checkable
class HoldsRecords(Protocol):
    """A record of a plugin's own type that consists of records of the core, such as a network with distributions."""

    def as_records(self) -> Sequence[Record]:
        """What was measured, or simulated in its place: as many, in the same order, with the same identifiers."""


@runtime_checkable
class NamesColumns(Protocol):
    """A predictor of several values.

    Attributes:
        columns: what each of them is of, such as the adduct.
    """

    columns: Sequence[str]


Spec = Mapping[str, Any]
"""A component named in a configuration: `{"use": name}` and arguments of its constructor."""
