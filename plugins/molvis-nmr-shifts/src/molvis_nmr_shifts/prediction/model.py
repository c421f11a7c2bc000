"""A trained network with what it takes to use one: graphs, batches, memory, and files."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from molvis_core.errors import BundleError
from molvis_nmr_shifts.prediction.combining import Combination
from molvis_nmr_shifts.prediction.graphs import Graph, collate, graph_of
from molvis_nmr_shifts.prediction.learning import spreads
from molvis_nmr_shifts.prediction.lessons import Lesson
from molvis_nmr_shifts.prediction.network import ShiftNetwork
from molvis_nmr_shifts.prediction.surroundings import SeenShifts

_FILE, _SETTINGS, _SEEN = "network.safetensors", "network.json", "seen.safetensors"
_BATCH = 256


class ShiftModel:
    """Predicts shifts of structures.

    Args:
        network: trained.
        spread: factor by nucleus that turns its scales into standard deviations, fitted so that 90% of measured shifts
            of other compounds lie within 1.645 of them.
        settings: width and layers of the network.
        seen: shifts by surroundings, where they are combined with the network's.
        combination: of the two.
    """

    def __init__(
        self,
        network: ShiftNetwork,
        spread: dict[str, float],
        settings: dict[str, int],
        seen: SeenShifts | None = None,
        combination: Combination | None = None,
    ) -> None:
        self.network, self.spread, self.settings = network.eval(), spread, settings
        self.seen, self.combination = seen, combination

    @classmethod
    def learned(
        cls,
        network: ShiftNetwork,
        settings: dict[str, int],
        lessons: Sequence[Lesson],
        held_out: Sequence[Lesson],
    ) -> ShiftModel:
        """A trained network with the shifts of the lessons that it learned from.

        How the two are combined, and how wide the errors are, is fitted to the lessons that were held out.
        """
        bare = cls(network, {}, settings)
        if not held_out:
            return cls(network, spreads([], []), settings)
        seen = SeenShifts.of(lessons)
        # Solvents are left out, as most queries do not state one.
        predicted = bare.predict([one.graph for one in held_out])
        combination = Combination.fit(held_out, predicted, seen.given([one.graph for one in held_out]))
        out = cls(network, {}, settings, seen, combination)
        out.spread = spreads(held_out, out.predict([one.graph for one in held_out]))
        return out

    def predict(self, graphs: Sequence[Graph], solvent: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each molecule the shifts "a 3" and scales "a 2" of its atoms, in ppm: see `ShiftNetwork.forward`."""
        out: list[tuple[np.ndarray, np.ndarray]] = []
        with torch.no_grad():
            for start in range(0, len(graphs), _BATCH):
                some = graphs[start : start + _BATCH]
                shifts, scales = self.network(collate(some, [solvent] * len(some)))
                ends = np.cumsum([len(g.atoms) for g in some])[:-1]
                found = list(zip(np.split(shifts.numpy(), ends), np.split(scales.numpy(), ends), strict=True))
                if self.seen is not None and self.combination is not None:
                    told = self.seen.given(some)
                    found = [self.combination(*one, known) for one, known in zip(found, told, strict=True)]
                out += found
        return out

    def save(self, folder: Path) -> None:
        """Write the network and its settings into a folder."""
        save_file({k: v.contiguous() for k, v in self.network.state_dict().items()}, folder / _FILE)
        content: dict[str, object] = {**self.settings, "spread": self.spread}
        if self.seen is not None and self.combination is not None:
            save_arrays({"keys": self.seen.keys, "sums": self.seen.sums}, folder / _SEEN)
            content["combination"] = self.combination.as_dict()
        text = json.dumps(content, indent=1)
        (folder / _SETTINGS).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> ShiftModel:
        """What `save` wrote.

        Raises:
            BundleError: a file is missing or damaged.
        """
        try:
            found = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
            settings = {name: int(found[name]) for name in ("width", "layers")}
            if not (2 <= settings["width"] <= 4096 and 1 <= settings["layers"] <= 100):
                raise ValueError(f"a network of {settings}")
            network = ShiftNetwork(settings["width"], settings["layers"], 0.0)
            network.load_state_dict(load_file(folder / _FILE))
            spread = {nucleus: float(found["spread"][nucleus]) for nucleus in ("13C", "1H")}
            seen, combination = None, None
            if "combination" in found:
                combination = Combination.of_dict(found["combination"])
                seen = SeenShifts.of_arrays(load_arrays(folder / _SEEN))
        except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
            why = str(error).strip().splitlines()[-1].strip() if str(error).strip() else type(error).__name__
            raise BundleError(f"{folder}: the network of shifts is missing or damaged: {why}") from error
        return cls(network, spread, settings, seen, combination)


class KnownGraphs:
    """Graphs of molecules that were made before."""

    def __init__(self, most: int = 20_000) -> None:
        self.most = most
        self._graphs: OrderedDict[str, Graph] = OrderedDict()

    def __call__(self, smiles: str) -> Graph:
        """The graph of a molecule.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses the SMILES.
        """
        if (found := self._graphs.get(smiles)) is None:
            found = self._graphs[smiles] = graph_of(smiles)
            if len(self._graphs) > self.most:
                self._graphs.popitem(last=False)
        return found
