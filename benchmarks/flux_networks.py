"""Random metabolic networks with atom maps, to try fits on what nobody tuned them to."""

from __future__ import annotations

import numpy as np

from molvis_flux.model.network import Experiment, Fragment, Metabolite, Network, Participant, Reaction, Study, Tracer

FED = 100.0


def random_study(seed: int, metabolites: int = 14, measured: float = 0.5) -> Study:
    """A network of some 25 to 30 reactions, with two tracers of its six-carbon substrate and some measured pools.

    Metabolites are made one after another from those that there are: by rearrangement of the atoms, by cleavage, by
    losing the last carbon, or by condensation of two. Further reactions join two metabolites by another atom map, as
    bypasses do, and what nothing consumes leaves.

    Args:
        seed: of everything.
        metabolites: that are made, beside the substrate and carbon dioxide.
        measured: share of the pools with more than one carbon that are.
    """
    rng = np.random.default_rng([seed, 13])
    sizes: dict[str, int] = {"S": 6, "M0": 6, "CO2": 1}
    reactions: dict[str, Reaction] = {}

    def add(left: list[tuple[str, str]], right: list[tuple[str, str]], *, reversible: bool = False) -> None:
        name, most = f"v{len(reactions) + 1}", 3 * FED
        sides = tuple(tuple(Participant(m, atoms=tuple(atoms)) for m, atoms in side) for side in (left, right))
        bounds = (-most, most) if reversible else (0.0, most)
        reactions[name] = Reaction(
            name, *sides, reversible=reversible, net=bounds, exchange=(0.0, most) if reversible else (0.0, 0.0)
        )

    def letters(n: int, start: int = 0) -> str:
        return "".join(chr(ord("a") + start + i) for i in range(n))

    def shuffled(text: str) -> str:
        return "".join(rng.permutation(list(text)).tolist())

    reactions["v1"] = Reaction(
        "v1", (Participant("S", atoms=tuple("abcdef")),), (Participant("M0", atoms=tuple("abcdef")),), net=(FED, FED)
    )
    while len(sizes) < metabolites + 3:
        pools = [name for name in sizes if name not in ("S", "CO2")]
        at, new, how = str(rng.choice(pools)), f"M{len(sizes) - 2}", rng.random()
        atoms = letters(sizes[at])
        if how < 0.3 or len(atoms) == 2:
            sizes[new] = len(atoms)
            add([(at, atoms)], [(new, shuffled(atoms) if rng.random() < 0.5 else atoms)], reversible=rng.random() < 0.5)
        elif how < 0.55 and len(atoms) >= 4:
            cut, other = len(atoms) // 2, f"M{len(sizes) - 1}"
            sizes[new], sizes[other] = cut, len(atoms) - cut
            add([(at, atoms)], [(new, atoms[:cut][::-1]), (other, atoms[cut:])], reversible=rng.random() < 0.4)
        elif how < 0.75:
            sizes[new] = len(atoms) - 1
            add([(at, atoms)], [(new, atoms[:-1]), ("CO2", atoms[-1])])
        else:
            with_ = str(rng.choice(pools))
            more = letters(sizes[with_], len(atoms))
            if len(atoms) + len(more) > 6:
                continue
            sizes[new] = len(atoms) + len(more)
            add([(at, atoms), (with_, more)], [(new, atoms + more)])
    for _ in range(metabolites // 2):
        pools = [name for name in sizes if name not in ("S", "CO2")]
        a, b = rng.choice(pools, 2, replace=False).tolist()
        if sizes[a] == sizes[b]:
            add([(a, letters(sizes[a]))], [(b, shuffled(letters(sizes[a])))], reversible=rng.random() < 0.3)
    _leave(sizes, reactions, rng)
    role = {"S": "source"} | {name: "sink" for name in sizes if name.startswith("out_")}
    pools = {name: Metabolite(name, ("C",) * count, role.get(name, "balanced")) for name, count in sizes.items()}
    inner = [name for name, m in pools.items() if m.role == "balanced" and len(m.elements) > 1]
    chosen = sorted(rng.choice(inner, max(4, int(len(inner) * measured)), replace=False).tolist())
    fragments = {name: Fragment(name, ((1.0, name, tuple(range(sizes[name]))),)) for name in chosen}
    network = Network(f"random {seed}", pools, reactions, fragments)
    patterns = ("100000", "110000")
    return Study(network, tuple(Experiment(p, {"S": Tracer(((p, 1.0),))}) for p in patterns))


def _leave(sizes: dict[str, int], reactions: dict[str, Reaction], rng: np.random.Generator) -> None:
    """Every pool that nothing consumes leaves, and a third of the others do as well."""
    used = {part.metabolite for reaction in reactions.values() for part in reaction.substrates}
    for name in list(sizes):
        if name != "S" and (name not in used or rng.random() < 0.33):
            out, atoms = f"out_{name}", tuple(chr(ord("a") + i) for i in range(sizes[name]))
            sizes[out] = sizes[name]
            key = f"v{len(reactions) + 1}"
            reactions[key] = Reaction(key, (Participant(name, atoms=atoms),), (Participant(out, atoms=atoms),),
                                      net=(0.0, 6 * FED))  # fmt: skip
