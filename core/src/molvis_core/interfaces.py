"""The verbs: protocols that an object joins by having the right attributes.

Axis letters mean one thing everywhere: n queries, m references, p peaks, t trace points, a atoms, b bonds,
k fit parameters, s samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import numpy as np
from jaxtyping import Float

from molvis_core.records import Record, Structure

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from molvis_core.fitting import Fit, Prior


@runtime_checkable
class Batch(Protocol):
    """Collated records: tensors with an explicit mask. Pickles, so that workers can send it."""

    def __len__(self) -> int:
        """How many records it holds."""
        ...

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device: a new object, this one is left as it is."""
        ...


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
        ...

    def __call__(self, batch: Any) -> Float[Tensor, "n dim"]:
        """Rows of Euclidean norm 1."""
        ...


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
        ...


@runtime_checkable
class Target(Protocol):
    """What the pairs of a batch should score, from their structures.

    It is a collate step and a call, like an encoder, so that fingerprints are made in workers and compared on the
    device as one matrix product.
    """

    def collate(self, structures: Sequence[Structure]) -> Batch:
        """Prepare structures. CPU only and picklable."""
        ...

    def __call__(self, query: Any, reference: Any) -> tuple[Float[Tensor, "n m"], Float[Tensor, "n m"]]:
        """Target in [0, 1] and weight in [0, 1] of every pair."""
        ...


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
        ...

    def __call__(self, batch: Any) -> tuple[Float[Tensor, "n q"], Float[Tensor, "n q"]]:
        """Mean and standard deviation."""
        ...


@runtime_checkable
class Fitter(Protocol):
    """Measurements back to the parameters of a simulation.

    What is fixed (network, spin topology) goes to the constructor, what is estimated to the prior, data to `fit`. A
    sequence of records is one sample measured several times: at two fields, or with three tracers.
    """

    def prior(self, records: Sequence[Record]) -> Prior:
        """A starting prior, by parameter path such as `shift/H3`, to edit and hand to `fit`."""
        ...

    def simulate(self, values: Float[np.ndarray, " k"], like: Sequence[Record]) -> tuple[Record, ...]:
        """What would be measured, on the axes of `like`."""
        ...

    def fit(self, records: Sequence[Record], prior: Prior, *, seed: int = 0) -> Fit:
        """Estimate. The same seed gives the same fit; failure comes back in `Fit.problem`, not as an exception."""
        ...


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
        ...


@runtime_checkable
class Reader(Protocol):
    """A file to measurements, one at a time."""

    def __call__(self, path: Path) -> Iterator[Any]:
        """Yield a `molvis_core.records.Measurement`, or the `ReadError` of a record that cannot be read.

        A record that is bad by itself is yielded as an error, so that the caller decides whether to skip it or to
        stop; a file that cannot be read at all raises.
        """
        ...


@runtime_checkable
class Writer(Protocol):
    """Measurements to a file."""

    def __call__(self, path: Path, measurements: Iterable[Any]) -> None:
        """Write to a temporary file, then rename, so that a failure leaves the old file as it was."""
        ...


Spec = Mapping[str, Any]
"""A component named in a configuration: `{"use": name}` and arguments of its constructor."""
