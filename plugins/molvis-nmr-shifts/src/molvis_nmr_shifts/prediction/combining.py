"""A network's shifts and those that were seen in an atom's surroundings, as one prediction.

Tables of surroundings are exact where a compound's relatives were measured, and silent elsewhere; a network is neither.
How much each weighs follows from how many shifts were seen, how far they spread, how wide the surroundings are that
agree, how sure the network is, and how far the two are apart; it is fitted to compounds that neither learned from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from molvis_nmr_shifts.prediction.lessons import Lesson
from molvis_nmr_shifts.prediction.network import LEAST
from molvis_nmr_shifts.prediction.surroundings import NUCLEI, REACHES, USUAL

_UNIT = {"13C": 2.0, "1H": 0.2}
"""In ppm: errors of this size are usual."""
_STEPS, _RATE, _PENALTY = 400, 0.05, 1e-3
_FEWEST = 30
"""Signals that a fit needs."""
_GATES = len(REACHES) + 5
_SCALES = 4


@dataclass(frozen=True, eq=False, slots=True)
class Combination:
    """How a network's shifts and seen ones are weighed, by nucleus; a nucleus that has no entry is left as it is.

    Attributes:
        gates: for each reach an offset; then what the spread, the number of shifts, the network's scale, the distance
            of the two and each wider reach that was seen add to the logarithm of a weight.
        scales: offset, and what the network's scale, the weight of what was seen and its spread add to the logarithm of
            the scale.
    """

    gates: Mapping[str, Float[np.ndarray, " g"]]
    scales: Mapping[str, Float[np.ndarray, " s"]]

    def __call__(
        self, shifts: Float[np.ndarray, "a 3"], scales: Float[np.ndarray, "a 2"], told: Float32[np.ndarray, "a k"]
    ) -> tuple[Float[np.ndarray, "a 3"], Float[np.ndarray, "a 2"]]:
        """Shifts and scales of atoms, as a network gives them, with what was seen in their surroundings."""
        shifts, scales = shifts.copy(), scales.copy()
        for column, nucleus in enumerate(NUCLEI):
            if nucleus not in self.gates or not len(shifts):
                continue
            middle = shifts[:, 0] if column == 0 else shifts[:, 1:].mean(axis=1)
            given = _Given.of(nucleus, middle, scales[:, column], told)
            with torch.no_grad():
                gates, wide = (torch.from_numpy(one[nucleus].astype(np.float32)) for one in (self.gates, self.scales))
                found, weights = given.shifts(gates)
                scales[:, column] = given.scales(wide, weights).numpy()
            shifts[:, [0] if column == 0 else [1, 2]] += (found.numpy() - middle)[:, None]
        return shifts, scales

    def as_dict(self) -> dict[str, dict[str, list[float]]]:
        """Plain data, which `of_dict` reads."""
        return {n: {"gates": self.gates[n].tolist(), "scales": self.scales[n].tolist()} for n in self.gates}

    @classmethod
    def of_dict(cls, content: Mapping[str, Mapping[str, Sequence[float]]]) -> Combination:
        """From what `as_dict` gave.

        Raises:
            ValueError: other numbers than it takes, or of another nucleus.
            KeyError: some are missing.
        """
        gates = {n: np.array(one["gates"], dtype=np.float64) for n, one in content.items()}
        scales = {n: np.array(one["scales"], dtype=np.float64) for n, one in content.items()}
        sizes = {(g.shape, s.shape) for g, s in zip(gates.values(), scales.values(), strict=True)}
        if not sizes <= {((_GATES,), (_SCALES,))} or not set(gates) <= set(NUCLEI):
            raise ValueError("the weights of network and seen shifts are of another form")
        return cls(gates, scales)

    @classmethod
    def fit(
        cls,
        lessons: Sequence[Lesson],
        predicted: Sequence[tuple[np.ndarray, np.ndarray]],
        told: Sequence[Float32[np.ndarray, "a k"]],
    ) -> Combination:
        """To signals whose atoms are known, of compounds that neither the network nor the table learned from.

        Args:
            lessons: with them.
            predicted: of each, what the network gives.
            told: of each, what was seen in the surroundings of its atoms.
        """
        gates, scales = {}, {}
        for column, nucleus in enumerate(NUCLEI):
            rows = [
                (one.shift, atom, place)
                for place, lesson in enumerate(lessons)
                for one in lesson.signals
                for atom in one.atoms[:1]
                if one.nucleus == nucleus
            ]
            if len(rows) < _FEWEST:
                continue
            columns = [0] if column == 0 else [1, 2]
            middle = np.array([predicted[p][0][a, columns].mean() for _, a, p in rows], np.float32)
            wide = np.array([predicted[p][1][a, column] for _, a, p in rows], np.float32)
            given = _Given.of(nucleus, middle, wide, np.stack([told[p][a] for _, a, p in rows]))
            gates[nucleus], scales[nucleus] = given.fitted(torch.tensor([s for s, _, _ in rows], dtype=torch.float32))
        return cls(gates, scales)


@dataclass(frozen=True, eq=False, slots=True)
class _Given:
    """Of one nucleus what a prediction is combined from.

    Attributes:
        unit: usual size of an error in ppm.
        least: smallest scale of an error in ppm.
        own: the network's shifts.
        wide: their scales.
        values: shifts seen in each reach, the network's own where none was.
        hints: "a r 5", what the weights of each reach depend on.
        there: where something was seen.
        spread: of what was seen, as a logarithm.
    """

    unit: float
    least: float
    own: Float[Tensor, " a"]
    wide: Float[Tensor, " a"]
    values: Float[Tensor, "a r"]
    hints: Float[Tensor, "a r 5"]
    there: Tensor
    spread: Float[Tensor, "a r"]

    @classmethod
    def of(cls, nucleus: str, own: np.ndarray, wide: np.ndarray, told: np.ndarray) -> _Given:
        mean, spread = USUAL[nucleus]
        unit = _UNIT[nucleus]
        seen = told.reshape(len(told), len(NUCLEI), len(REACHES), 3)[:, NUCLEI.index(nucleus)].astype(np.float32)
        there = seen[..., 2] > 0
        values = np.where(there, mean + spread * seen[..., 0], own[:, None])
        spreads = np.log(spread * seen[..., 1] / unit + 0.05)
        wider = np.cumsum(there[:, ::-1], axis=1)[:, ::-1] - there
        sure = np.broadcast_to(np.log(wide / unit)[:, None], there.shape)
        off = np.log1p(np.abs(values - own[:, None]) / wide[:, None])
        count = np.log(np.maximum(seen[..., 2], 1e-3))
        hints = np.stack([spreads, count, sure, off, wider], axis=-1)
        arrays = [torch.from_numpy(np.ascontiguousarray(x, np.float32)) for x in (own, wide, values, hints, spreads)]
        return cls(unit, LEAST[nucleus], *arrays[:4], torch.from_numpy(there), arrays[4])

    def shifts(self, gates: Float[Tensor, " g"]) -> tuple[Float[Tensor, " a"], Float[Tensor, "a r"]]:
        """Weighted means, and the weights of what was seen."""
        logits = (gates[: len(REACHES)] + self.hints @ gates[len(REACHES) :]).masked_fill(~self.there, -1e9)
        weights = torch.softmax(torch.cat([torch.zeros(len(logits), 1), logits], dim=1), dim=1)[:, 1:]
        return self.own + (weights * (self.values - self.own[:, None])).sum(dim=1), weights

    def scales(self, wide: Float[Tensor, " s"], weights: Float[Tensor, "a r"]) -> Float[Tensor, " a"]:
        """Scales of the errors of these means, in ppm."""
        total = weights.sum(dim=1)
        hints = [torch.ones_like(total), torch.log(self.wide / self.unit), total, (weights * self.spread).sum(dim=1)]
        return (self.unit * torch.exp((torch.stack(hints, dim=1) @ wide).clamp(-5, 5))).clamp(min=self.least)

    def fitted(self, wanted: Float[Tensor, " a"]) -> tuple[np.ndarray, np.ndarray]:
        """Gates of the least mean absolute error, and scales under which what is left is likeliest."""
        gates = torch.zeros(_GATES)
        gates[: len(REACHES)] = -1.0
        gates.requires_grad_()
        optimizer = torch.optim.Adam([gates], _RATE)
        for _ in range(_STEPS):
            off = (self.shifts(gates)[0] - wanted).abs().mean() / self.unit
            optimizer.zero_grad()
            (off + _PENALTY * (gates**2).sum()).backward()
            optimizer.step()
        found, weights = (one.detach() for one in self.shifts(gates))
        off = (found - wanted).abs()
        wide = torch.tensor([0.0, 1.0, 0.0, 0.0], requires_grad=True)
        optimizer = torch.optim.Adam([wide], _RATE)
        for _ in range(_STEPS):
            scale = self.scales(wide, weights)
            optimizer.zero_grad()
            ((torch.log(scale) + off / scale).mean() + _PENALTY * (wide[1:] ** 2).sum()).backward()
            optimizer.step()
        return gates.detach().numpy().astype(np.float64), wide.detach().numpy().astype(np.float64)
