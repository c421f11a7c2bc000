"""Learn the score of molvis-formula from lists of candidates, and write its weights.

    python tools/train_score.py TRAIN.npz... --validation VAL.npz --out src/molvis_formula/weights/massbank.npz

Two small networks: one over what a formula is like, one over each of its explained peaks, whose outputs are added up
over the peaks. The softmax over a list gives probabilities; the loss is the negative logarithm of the truth's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn


class Score(nn.Module):
    """What is learned."""

    def __init__(self, candidate: int, peak: int, width: int) -> None:
        super().__init__()
        self.prior = nn.Sequential(nn.Linear(candidate, width), nn.ReLU(), nn.Linear(width, 1))
        self.peak = nn.Sequential(nn.Linear(peak, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.top = nn.Sequential(nn.Linear(width + candidate, width), nn.ReLU(), nn.Linear(width, 1))
        self.direct = nn.Linear(width, 1)


def lists(paths: list[Path]) -> list[tuple[np.ndarray, np.ndarray]]:
    found = []
    for path in paths:
        data = np.load(path)
        candidate, peak = data["candidate"], data["peak"]
        i = j = 0
        for n, p, _ in data["number"]:
            found.append((candidate[i : i + n], peak[j : j + n * p].reshape(n, p, -1)))
            i, j = i + n, j + n * p
    return found


def batch(
    rows: list[tuple[np.ndarray, np.ndarray]], mean: list[np.ndarray], sd: list[np.ndarray]
) -> list[torch.Tensor]:
    n, p = max(len(c) for c, _ in rows), max(k.shape[1] for _, k in rows)
    candidate = np.zeros((len(rows), n, rows[0][0].shape[1]), np.float32)
    peak = np.zeros((len(rows), n, p, rows[0][1].shape[2]), np.float32)
    there = np.zeros((len(rows), n), bool)
    real = np.zeros((len(rows), 1, p, 1), np.float32)
    for i, (c, k) in enumerate(rows):
        candidate[i, : len(c)], there[i, : len(c)] = (c - mean[0]) / sd[0], True
        peak[i, : len(c), : k.shape[1]], real[i, :, : k.shape[1]] = (k - mean[1]) / sd[1], 1
    return [torch.from_numpy(a) for a in (candidate, peak, there, real)]


def run(model: Score, tensors: list[torch.Tensor], kept: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    candidate, peak, there, real = tensors
    if kept < 1:  # peaks are left out at random, so that no formula is learned by heart
        real = real * (torch.rand_like(real) < kept)
    prior = model.prior(candidate)[..., 0]
    summed = (model.peak(peak) * real).sum(dim=-2)
    joint = (model.top(torch.cat([summed / 10, candidate], dim=-1)) + model.direct(summed))[..., 0]
    return prior.masked_fill(~there, -1e9), (prior + joint).masked_fill(~there, -1e9)


def measure(model: Score, rows: list, mean: list, sd: list) -> tuple[float, float, float, np.ndarray]:
    logits = []
    with torch.no_grad():
        for i in range(0, len(rows), 32):
            part = rows[i : i + 32]
            _, full = run(model, batch(part, mean, sd))
            logits += [full[k, : len(part[k][0])].numpy() for k in range(len(part))]
    first = np.mean([(z[1:] < z[0]).all() for z in logits])
    three = np.mean([(z[1:] >= z[0]).sum() < 3 for z in logits])
    loss = np.mean([np.logaddexp.reduce(z) - z[0] for z in logits])
    return float(first), float(three), float(loss), logits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", nargs="+", type=Path)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--width", type=int, default=48)
    parser.add_argument("--decay", type=float, default=1e-2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    rows = lists(arguments.train)
    held = lists([arguments.validation])
    some = [rows[i] for i in rng.permutation(len(rows))[:1000]]
    stacked = [
        np.concatenate([c for c, _ in some]),
        np.concatenate([k.reshape(-1, k.shape[-1]) for _, k in some]).astype(np.float32),
    ]
    mean = [a.mean(axis=0) for a in stacked]
    sd = [np.maximum(a.std(axis=0), 0.05) for a in stacked]
    model = Score(len(mean[0]), len(mean[1]), arguments.width)
    steps = arguments.epochs * -(-len(rows) // 16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=arguments.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    best = (np.inf, None)
    for epoch in range(arguments.epochs):
        order = rng.permutation(len(rows))
        total = 0.0
        for i in range(0, len(rows), 16):
            chosen = order[i : i + 16]
            prior, full = run(model, batch([rows[k] for k in chosen], mean, sd), 1 - 0.4 * rng.random())
            loss = (torch.logsumexp(full, dim=1) - full[:, 0]).mean()
            # Where formulas are left out before their peaks are looked at, it is by this.
            loss = loss + 0.2 * (torch.logsumexp(prior, dim=1) - prior[:, 0]).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        first, three, held_loss, _ = measure(model, held, mean, sd)
        told = f"loss {total / len(rows):.3f}, validation {held_loss:.3f}, first {first:.3f}, in three {three:.3f}"
        print(f"epoch {epoch + 1}: {told}", flush=True)
        if held_loss < best[0]:
            best = (held_loss, {k: v.clone() for k, v in model.state_dict().items()})
    model.load_state_dict(best[1])
    *_, logits = measure(model, held, mean, sd)
    grid = np.linspace(0.4, 3.0, 261)
    losses = [np.mean([np.logaddexp.reduce(z / t) - z[0] / t for z in logits]) for t in grid]
    temperature = float(grid[int(np.argmin(losses))])
    print(f"temperature {temperature:.2f}, loss {min(losses):.3f}")
    weights = {k: v.numpy().astype(np.float32) for k, v in model.state_dict().items()}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        arguments.out, **weights, candidate_mean=mean[0].astype(np.float32), candidate_sd=sd[0].astype(np.float32),
        peak_mean=mean[1].astype(np.float32), peak_sd=sd[1].astype(np.float32), temperature=np.float32(temperature),
    )  # fmt: skip


if __name__ == "__main__":
    main()
