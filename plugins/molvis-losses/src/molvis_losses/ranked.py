"""Losses over a whole batch: each query is judged against every reference at once."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from molvis_core.errors import ConfigError, did_you_mean
from molvis_losses.parts import (
    Temperature,
    check_positive_weight,
    check_shapes,
    hidden,
    matching,
    scores,
    weighted_mean,
)


def pick_the_match(
    logits: Float[Tensor, "n m"], match: Bool[Tensor, "n m"], weight: Float[Tensor, "n m"]
) -> Float[Tensor, ""]:
    """Minus the log-probability that each row picks its match among what does not match; mean over rows with a match.

    A row with several matches is the mean over them, each against the non-matching alone: a second spectrum of the same
    compound in the batch is then no false negative.
    """
    others = torch.logsumexp(hidden(logits, weight * ~match), dim=1, keepdim=True) if logits.shape[1] else logits
    positive = weight * match
    return _over_rows(functional.softplus(others - logits), positive)


def pick_a_distribution(
    logits: Float[Tensor, "n m"], wanted: Float[Tensor, "n m"], weight: Float[Tensor, "n m"], row: Float[Tensor, " n"]
) -> Float[Tensor, ""]:
    """Cross entropy of the softmax of each row against a distribution; mean over rows with their weights."""
    seen = hidden(logits, weight)
    # Hidden pairs are wanted with probability 0, and 0 times their logit of -1e30 is 0, but only if it is not infinite.
    log_probability = seen - torch.logsumexp(seen, dim=1, keepdim=True) if logits.shape[1] else seen
    return weighted_mean(-(wanted * log_probability).sum(dim=1), row)


def _over_rows(cost: Float[Tensor, "n m"], positive: Float[Tensor, "n m"]) -> Float[Tensor, ""]:
    if positive.shape[1] == 0:
        return cost.sum()
    total = positive.sum(dim=1)
    counted = torch.where(positive > 0, cost, torch.zeros_like(cost))
    mean = (counted * positive).sum(dim=1) / torch.where(total > 0, total, torch.ones_like(total))
    return weighted_mean(mean, positive.amax(dim=1))


def _normalised(values: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    total = values.sum(dim=1, keepdim=True)
    return values / torch.where(total > 0, total, torch.ones_like(total))


def _best(values: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
    return values.amax(dim=1) if values.shape[1] else values.sum(dim=1)


class _Directions(nn.Module):
    """Temperature and direction, which all the losses that rank share."""

    def __init__(self, temperature: float, learned: bool, directions: str) -> None:
        super().__init__()
        known = ("both", "query", "reference")
        if directions not in known:
            raise ConfigError(
                f"directions = {directions!r}.{did_you_mean(directions, known)} It is one of {', '.join(known)}."
            )
        self.temperature = Temperature(temperature, learned=learned)
        self.directions = directions

    def mean(self, over_queries: Tensor | None, over_references: Tensor | None) -> Tensor:
        found = [value for value in (over_queries, over_references) if value is not None]
        return torch.stack(found).mean()

    @property
    def forth(self) -> bool:
        return self.directions != "reference"

    @property
    def back(self) -> bool:
        return self.directions != "query"


class InfoNCE(_Directions):
    """Each query picks its match among the references of the batch, and each reference among the queries.

    References without a match, such as hard candidates, are negatives for the queries and pick nothing themselves. With
    cosines c, temperature T and positive weight w, a choice costs (w (1 - c_match) + T logsumexp(c / T) - 1) / T: the
    pull of the match, w times, against the push of all, after Wang and Isola, ICML 2020, doi:10.48550/arXiv.2005.10242

    Args:
        temperature: divides the cosines.
        learned: whether the temperature is trained, between 0.01 and 10.
        directions: `both`, `query` (queries pick references) or `reference`.
        positive_weight: how strongly a match is drawn near, against what pushes the others away.

    Reference: van den Oord, Li and Vinyals 2018, doi:10.48550/arXiv.1807.03748
    """

    def __init__(
        self,
        temperature: float = 0.07,
        learned: bool = False,
        directions: Literal["both", "query", "reference"] = "both",
        positive_weight: float = 1.0,
    ) -> None:
        super().__init__(temperature, learned, directions)
        self.positive_weight = check_positive_weight("infonce", positive_weight)

    def forward(
        self,
        query: Float[Tensor, "n dim"],
        reference: Float[Tensor, "m dim"],
        target: Float[Tensor, "n m"],
        weight: Float[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Nats for each choice."""
        check_shapes(query, reference, target, weight)
        return self.contrast(scores(query, reference), target, weight)

    def contrast(
        self, cosine: Float[Tensor, "n m"], target: Float[Tensor, "n m"], weight: Float[Tensor, "n m"]
    ) -> Float[Tensor, ""]:
        """The loss from scores."""
        temperature = self.temperature()
        logits, match, weight = cosine / temperature, matching(target), weight.float()
        value = self.mean(
            pick_the_match(logits, match, weight) if self.forth else None,
            pick_the_match(logits.T, match.T, weight.T) if self.back else None,
        )
        if self.positive_weight == 1:
            return value
        pull = self.mean(
            _over_rows((1 - cosine) / temperature, weight * match) if self.forth else None,
            _over_rows((1 - cosine.T) / temperature, (weight * match).T) if self.back else None,
        )
        return value + (self.positive_weight - 1) * pull


class TanimotoInfoNCE(_Directions):
    """InfoNCE that knows how alike the structures are. The target is their Tanimoto similarity S.

    `printed` is equation 3 of the report exactly: sum_i -log(exp(q_i.r_i) / sum_j exp(abs(q_i.r_j - S_ij))), j over the
    pairs that do not match. It has no temperature, so that with unit vectors no logit exceeds 2 and the softmax is
    nearly flat; and its absolute value pushes an unlike pair's score up to S as hard as down to it.

    `corrected` keeps the idea: cross entropy of softmax(q.r / temperature) against a distribution that gives the match
    1 - `soft` and shares `soft` among all by S to the power `sharpness`, both ways.

    Args:
        form: `corrected` or `printed`; the latter ignores all other arguments.
        temperature: divides the cosines.
        learned: whether the temperature is trained.
        soft: share of the target that likeness gets.
        sharpness: power of S. Path fingerprints of unrelated molecules share a third of their bits; 4 makes that 1 %.
        directions: `both`, `query` or `reference`.

    Reference: Chang, Colby, Cooper, Svinth and Yaros, Molecular Vision, Pacific Northwest National Laboratory 2024
    """

    def __init__(
        self,
        form: Literal["corrected", "printed"] = "corrected",
        temperature: float = 0.07,
        learned: bool = False,
        soft: float = 0.2,
        sharpness: float = 4.0,
        directions: Literal["both", "query", "reference"] = "both",
    ) -> None:
        super().__init__(temperature, learned and form == "corrected", directions)
        known = ("corrected", "printed")
        if form not in known:
            raise ConfigError(
                f"tanimoto-infonce: form = {form!r}.{did_you_mean(form, known)} It is corrected or printed."
            )
        if not 0 <= soft <= 1:
            raise ConfigError(f"tanimoto-infonce: soft = {soft}; a share between 0 and 1 is wanted")
        if not sharpness > 0:
            raise ConfigError(f"tanimoto-infonce: sharpness = {sharpness}; a positive number is wanted")
        self.form, self.soft, self.sharpness = form, soft, sharpness

    def forward(
        self,
        query: Float[Tensor, "n dim"],
        reference: Float[Tensor, "m dim"],
        target: Float[Tensor, "n m"],
        weight: Float[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Nats: a sum over queries as printed, a mean over choices as corrected."""
        check_shapes(query, reference, target, weight)
        dot = scores(query, reference)
        match, weight, alike = matching(target), weight.float(), target.float().clamp(0, 1)
        if self.form == "printed":
            return self._printed(dot, match, weight, target.float())
        logits = dot / self.temperature()
        return self.mean(
            self._corrected(logits, match, weight, alike) if self.forth else None,
            self._corrected(logits.T, match.T, weight.T, alike.T) if self.back else None,
        )

    def _printed(self, dot: Tensor, match: Tensor, weight: Tensor, alike: Tensor) -> Tensor:
        if dot.shape[1] == 0:
            return dot.sum()
        other = weight * ~match
        denominator = torch.logsumexp(hidden((dot - alike).abs(), other), dim=1, keepdim=True)
        # A query without anything unlike has an empty sum, whose logarithm is minus infinity: nothing to learn.
        positive = weight * match * (other > 0).any(dim=1, keepdim=True)
        cost = torch.where(positive > 0, denominator - dot, torch.zeros_like(dot))
        return (_normalised(positive) * cost).sum(dim=1) @ _best(positive)

    def _corrected(self, logits: Tensor, match: Tensor, weight: Tensor, alike: Tensor) -> Tensor:
        positive = weight * match
        wanted = (1 - self.soft) * _normalised(positive) + self.soft * _normalised(weight * alike**self.sharpness)
        return pick_a_distribution(logits, wanted, weight, _best(positive))


class Clerms(InfoNCE):
    """InfoNCE plus the mean squared error of the cosine against the Tanimoto similarity of every pair.

    Args:
        temperature: divides the cosines in InfoNCE; the paper takes 0.05 to 0.2.
        learned: whether the temperature is trained.
        mse: weight of the squared error.
        directions: `both`, `query` or `reference`.
        positive_weight: as in `infonce`.

    Reference: Guo, Xue and Guo, Anal. Chem. 95 (2023) 7888, doi:10.1021/acs.analchem.3c00260
    """

    def __init__(
        self,
        temperature: float = 0.1,
        learned: bool = False,
        mse: float = 1.0,
        directions: Literal["both", "query", "reference"] = "both",
        positive_weight: float = 1.0,
    ) -> None:
        super().__init__(temperature, learned, directions, check_positive_weight("clerms", positive_weight))
        if not mse >= 0:
            raise ConfigError(f"clerms: mse = {mse}; a weight of 0 or more is wanted")
        self.mse = mse

    def forward(
        self,
        query: Float[Tensor, "n dim"],
        reference: Float[Tensor, "m dim"],
        target: Float[Tensor, "n m"],
        weight: Float[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """InfoNCE in nats plus the weighted squared error."""
        check_shapes(query, reference, target, weight)
        cosine = scores(query, reference)
        return self.contrast(cosine, target, weight) + self.mse * weighted_mean(
            (cosine - target.float()).square(), weight.float()
        )


class SigLIP(nn.Module):
    """Every pair judged alone: minus log sigmoid(+-(cosine / temperature + bias)), summed over a query's pairs.

    Args:
        temperature: divides the cosines; learned. The paper starts at a tenth.
        bias: added to the logits; learned. The paper starts at -10, so that the many negatives cost nothing at first.
        positive_weight: how many times the say of another pair a match has.

    Reference: Zhai, Mustafa, Kolesnikov and Beyer, ICCV 2023, doi:10.1109/ICCV51070.2023.01100
    """

    def __init__(self, temperature: float = 0.1, bias: float = -10.0, positive_weight: float = 1.0) -> None:
        super().__init__()
        self.positive_weight = check_positive_weight("siglip", positive_weight)
        self.temperature = Temperature(temperature, learned=True)
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    def forward(
        self,
        query: Float[Tensor, "n dim"],
        reference: Float[Tensor, "m dim"],
        target: Float[Tensor, "n m"],
        weight: Float[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Nats for each query: a sum over references, a mean over queries."""
        check_shapes(query, reference, target, weight)
        logits = scores(query, reference) / self.temperature() + self.bias
        match, weight = matching(target), weight.float()
        cost = functional.softplus(torch.where(match, -logits, logits))
        if self.positive_weight != 1:
            cost = torch.where(match, self.positive_weight * cost, cost)
        queries = (weight > 0).any(dim=1).sum().clamp_min(1)
        return (torch.where(weight > 0, cost, torch.zeros_like(cost)) * weight).sum() / queries


class SoftTarget(_Directions):
    """Cross entropy of softmax(cosine / temperature) against softmax(Tanimoto / sharpness), over the batch.

    Args:
        temperature: divides the cosines.
        learned: whether the temperature is trained.
        sharpness: divides the Tanimoto similarities; the smaller, the more of the target the match itself gets.
        directions: `both`, `query` or `reference`.
    """

    def __init__(
        self,
        temperature: float = 0.07,
        learned: bool = False,
        sharpness: float = 0.1,
        directions: Literal["both", "query", "reference"] = "both",
    ) -> None:
        super().__init__(temperature, learned, directions)
        if not sharpness > 0:
            raise ConfigError(f"soft-target: sharpness = {sharpness}; a positive number is wanted")
        self.sharpness = sharpness

    def forward(
        self,
        query: Float[Tensor, "n dim"],
        reference: Float[Tensor, "m dim"],
        target: Float[Tensor, "n m"],
        weight: Float[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Nats for each choice. Rows and columns without a match are left out: their distribution would be made up."""
        check_shapes(query, reference, target, weight)
        logits = scores(query, reference) / self.temperature()
        match, weight, sharp = matching(target), weight.float(), target.float() / self.sharpness
        return self.mean(
            self._one_way(logits, match, weight, sharp) if self.forth else None,
            self._one_way(logits.T, match.T, weight.T, sharp.T) if self.back else None,
        )

    def _one_way(self, logits: Tensor, match: Tensor, weight: Tensor, sharp: Tensor) -> Tensor:
        wanted = torch.where(weight > 0, hidden(sharp, weight).softmax(dim=1), torch.zeros_like(sharp))
        return pick_a_distribution(logits, wanted, weight, _best(weight * match))
