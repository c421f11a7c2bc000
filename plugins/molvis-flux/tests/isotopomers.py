"""Isotopomer balances written out, without elementary metabolite units, and small networks to try them on."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
from scipy.integrate import solve_ivp

from molvis_flux.labelling.emu import orbit
from molvis_flux.model.examples import antoniewicz, network, reaction
from molvis_flux.model.network import Experiment, Fragment, Metabolite, Network, Tracer


class Isotopomers:
    """All isotopomers of all metabolites, a number each, and what flows between them."""

    def __init__(self, model: Network, experiment: Experiment) -> None:
        self.model = model
        self.given = {}
        for name, m in model.metabolites.items():
            if m.role == "source":
                tracer = experiment.tracers.get(name, Tracer((("0" * len(m.elements), 1.0),)))
                self.given[name] = np.zeros((2,) * len(m.elements))
                for pattern, fraction in tracer.isotopomers:
                    for atoms in itertools.product((0, 1), repeat=len(m.elements)):
                        chance = [tracer.purity if written == "1" else 0.0 for written in pattern]
                        weight = np.prod([c if a else 1 - c for a, c in zip(atoms, chance, strict=True)])
                        self.given[name][atoms] += fraction * weight
        self.inner = [n for n, m in model.metabolites.items() if m.role != "source" and m.elements]

    def start(self) -> dict[str, np.ndarray]:
        found = {}
        for name in self.inner:
            found[name] = np.zeros((2,) * len(self.model.metabolites[name].elements))
            found[name].flat[0] = 1.0
        return found

    def inflow(self, pools: dict[str, np.ndarray], net, exchange) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        pools = pools | self.given
        flows = {name: np.zeros_like(pools[name]) for name in self.inner}
        total = dict.fromkeys(self.inner, 0.0)
        for i, r in enumerate(self.model.reactions.values()):
            ways = [(net[i], r.substrates, r.products)]
            if r.reversible:
                ways = [(max(net[i], 0) + exchange[i], r.substrates, r.products)]
                ways += [(max(-net[i], 0) + exchange[i], r.products, r.substrates)]
            for flux, used, made in ways:
                for product in made:
                    if not product.atoms:
                        continue
                    total[product.metabolite] += flux
                    labels = [label for s in used for label in s.atoms]
                    for atoms in itertools.product((0, 1), repeat=len(labels)):
                        of = dict(zip(labels, atoms, strict=True))
                        chance = flux
                        for s in used:
                            chance = chance * pools[s.metabolite][tuple(of[label] for label in s.atoms)]
                        flows[product.metabolite][tuple(of[label] for label in product.atoms)] += chance
        for name in self.inner:
            turns = orbit(self.model.metabolites[name])
            flows[name] = sum(np.transpose(flows[name], turn) for turn in turns) / len(turns)
        return flows, total

    def stationary(self, net, exchange, rounds: int = 3000) -> dict[str, np.ndarray]:
        pools = self.start()
        for _ in range(rounds):
            flows, _ = self.inflow(pools, net, exchange)
            # Sums are kept at 1: where two molecules join, a deviation from it would double.
            new = {name: flows[name] / flows[name].sum() for name in self.inner}
            change = max(np.abs(new[name] - pools[name]).max() for name in self.inner)
            pools = new
            if change < 1e-15:
                break
        return pools | self.given

    def in_time(self, net, exchange, sizes: dict[str, float], times) -> list[dict[str, np.ndarray]]:
        shapes = {name: pool.shape for name, pool in self.start().items()}
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])

        def unpack(y):
            parts = np.split(y, ends[:-1])
            return {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}

        def slope(_, y):
            pools = unpack(y)
            flows, total = self.inflow(pools, net, exchange)
            return np.concatenate([((flows[n] - total[n] * pools[n]) / sizes[n]).ravel() for n in self.inner])

        y = np.concatenate([pool.ravel() for pool in self.start().values()])
        found = solve_ivp(slope, (0, max(times)), y, "LSODA", times, rtol=1e-9, atol=1e-11)
        return [unpack(column) for column in found.y.T]

    def masses(self, pools: dict[str, np.ndarray], name: str, atoms) -> np.ndarray:
        elements = self.model.metabolites[name].elements
        shift = {"C": 1, "H": 1, "N": 1, "O": 2}
        found = np.zeros(1 + sum(shift[elements[a]] for a in atoms))
        for pattern, chance in np.ndenumerate(pools[name]):
            found[sum(shift[elements[a]] * pattern[a] for a in atoms)] += chance
        return found


def whole(model: Network) -> Network:
    """The network with all atoms, and the first atom, of each metabolite as fragments."""
    fragments = {}
    for name, m in model.metabolites.items():
        if m.elements:
            fragments[name] = Fragment(name, ((1.0, name, tuple(range(len(m.elements)))),))
            fragments[f"{name}.1"] = Fragment(f"{name}.1", ((1.0, name, (0,)),))
    return replace(model, fragments=fragments)


def fed(**patterns: str) -> Experiment:
    return Experiment("fed", {name: Tracer(((pattern, 1.0),)) for name, pattern in patterns.items()})


def symmetric() -> tuple[Network, Experiment]:
    """A short citric acid cycle with succinate, which looks the same from both ends, and a glyoxylate shunt."""
    model = network(
        "cycle",
        {"Ac": 2, "Oaa": 4, "Cit": 6, "Akg": 5, "Suc": 4, "CO2": 1, "Asp": 4, "Gox": 2},
        {
            "cs": "Oaa abcd + Ac ef -> Cit dcbfea",
            "idh": "Cit abcdef -> Akg abcde + CO2 f",
            "akgdh": "Akg abcde -> Suc bcde + CO2 a",
            "sdh": "Suc abcd <-> Oaa abcd",
            "icl": "Cit abcdef -> Suc fcde + Gox ab",
            "ms": "Gox ab + Ac cd -> Oaa abdc",
            "fill": "Asp abcd -> Oaa abcd",
            "drain": "Oaa abcd ->",
            "loss": "CO2 a ->",
        },
        sources="Ac Asp",
    )
    suc = replace(model.metabolites["Suc"], symmetries=((3, 2, 1, 0),))
    model = replace(model, metabolites=model.metabolites | {"Suc": suc})
    tracers = {"Ac": Tracer((("01", 0.6), ("11", 0.3), ("00", 0.1)), purity=0.98)}
    return model, Experiment("acetate", tracers)


def duplicates() -> tuple[Network, Experiment]:
    """Two equal substrates, two equal products, and a reaction that runs backwards."""
    model = network(
        "duplicates",
        {"S": 4, "U": 2, "G": 2, "D": 4, "T": 3, "O": 1},
        {
            "split": "S abcd -> G ab + G cd",
            "dilute": "U ab -> G ba",
            "join": "G ab + G cd -> D acbd",
            "swap": "D abcd + O e <-> T abe + G cd",
            "more": "U ab -> O a + O b",
            "out": "T abc ->",
        },
        sources="S U",
    )
    return model, fed(S="1101")


def elements() -> tuple[Network, Experiment]:
    """Glutamine, water and a keto acid: 13C, 15N, 2H and 18O at once."""
    metabolites = (
        Metabolite("Gln", ("C", "C", "N"), "source"),
        Metabolite("Water", ("H", "O"), "source"),
        Metabolite("Feed", ("C",), "source"),
        Metabolite("K", ("C", "C")),
        Metabolite("A", ("C", "N", "H", "O")),
        Metabolite("B", ("C", "N", "H", "O", "C")),
        Metabolite("One", ("C",)),
    )
    reactions = (
        reaction("feed", "Gln abn + Water ho + Feed x -> A bnho + K ax"),
        reaction("turn", "K ab -> K ba"),
        reaction("make", "A anho + K bc -> B anhoc + One b", reversible=True),
        reaction("drain", "B anhoc ->"),
    )
    model = Network("elements", {m.name: m for m in metabolites}, {r.name: r for r in reactions})
    tracers = {
        "Gln": Tracer((("111", 0.5), ("001", 0.25), ("000", 0.25))),
        "Water": Tracer((("11", 0.7), ("01", 0.3)), purity=0.9),
    }
    return model, Experiment("elements", tracers)


def toy() -> tuple[Network, Experiment]:
    study = antoniewicz()
    return study.network, replace(study.experiments[0], data=())


MODELS = {"toy": toy, "symmetric": symmetric, "duplicates": duplicates, "elements": elements}


def fluxes(model: Network, seed: int, n: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    reversible = np.array([r.reversible for r in model.reactions.values()])
    net = rng.uniform(0.2, 2.0, (n, len(reversible)))
    net[:, reversible] *= rng.choice([-0.4, 1.0], (n, reversible.sum()))
    return net, rng.uniform(0.1, 1.0, net.shape) * reversible
