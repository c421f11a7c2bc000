"""Several networks whose logits are averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from molvis_msms.peak_fragments.batches import collate
from molvis_msms.peak_fragments.cases import Cases
from molvis_msms.peak_fragments.network import PeakFragmentNetwork

Weights = Mapping[str, Tensor]


class Ensemble:
    """Mean logits of networks, in double precision, so that the order of candidates does not matter.

    Args:
        networks: weights of each.
        width: of their layers.
    """

    def __init__(self, networks: Sequence[Weights], width: int) -> None:
        self.networks: list[PeakFragmentNetwork] = []
        for weights in networks:
            network = PeakFragmentNetwork(width)
            network.load_state_dict(dict(weights))
            self.networks.append(network.double().eval().requires_grad_(False))

    def __call__(self, cases: Cases, query: int) -> Float[np.ndarray, " c"]:
        """Logits of the candidates of a query."""
        batch = collate(cases, [query]).double()
        with torch.inference_mode():
            logits = [network(batch)[0].numpy() for network in self.networks]
        return np.mean(logits, axis=0)
