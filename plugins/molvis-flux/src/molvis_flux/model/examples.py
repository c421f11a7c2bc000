"""Networks small enough to type in, for tests, demonstrations and tutorials."""

from __future__ import annotations

from molvis_flux.model.network import (
    Datum,
    Experiment,
    Fragment,
    Metabolite,
    Network,
    Participant,
    Reaction,
    Study,
    Tracer,
)


def reaction(name: str, equation: str, *, reversible: bool = False) -> Reaction:
    """A reaction from one line, such as `"B abc + C de -> D bcd + E a + E e"`: one letter for each traced atom."""

    def side(text: str) -> tuple[Participant, ...]:
        terms = [term.split() for term in text.split("+") if term.strip()]
        return tuple(Participant(term[0], atoms=tuple(term[1]) if len(term) > 1 else ()) for term in terms)

    left, right = equation.split("->")
    return Reaction(name, side(left), side(right), reversible=reversible)


def network(name: str, atoms: dict[str, int], equations: dict[str, str], sources: str, sinks: str = "") -> Network:
    """A carbon network from lines.

    Args:
        name: for people.
        atoms: carbons of each metabolite.
        equations: by reaction, as `reaction` reads them; `<->` for a reversible one.
        sources: names with blanks between.
        sinks: the same; every other metabolite is balanced.
    """
    role = dict.fromkeys(sources.split(), "source") | dict.fromkeys(sinks.split(), "sink")
    return Network(
        name,
        {m: Metabolite(m, ("C",) * count, role.get(m, "balanced")) for m, count in atoms.items()},
        {r: reaction(r, line.replace("<->", "->"), reversible="<->" in line) for r, line in equations.items()},
    )


def antoniewicz() -> Study:
    """The network that the EMU paper explains its method on, with its fluxes and its tracer.

    v2 and v3 there are the two directions of one reaction here.

    Reference: Antoniewicz, Kelleher and Stephanopoulos, Metab. Eng. 9 (2007) 68, doi:10.1016/j.ymben.2006.09.001
    """
    model = network(
        "Antoniewicz 2007",
        {"A": 3, "B": 3, "C": 2, "D": 3, "E": 1, "F": 3},
        {
            "v1": "A abc -> B abc",
            "v2": "B abc <-> D abc",
            "v4": "B abc -> C bc + E a",
            "v5": "B abc + C de -> D bcd + E a + E e",
            "v6": "D abc -> F abc",
        },
        sources="A",
        sinks="E F",
    )
    fragment = Fragment("F", ((1.0, "F", (0, 1, 2)),), ("C", "C", "C"))
    model = Network(model.name, model.metabolites, model.reactions, {"F": fragment})
    mid = Datum("F", "mid", (0.0001, 0.8008, 0.1983, 0.0009), (0.003,) * 4)
    fed = Datum("v1", "net", (100.0,), (1.0,))
    out = Datum("v6", "net", (80.0,), (1.0,))
    fluxes = {("net", "v1"): 100.0, ("net", "v2"): 60.0, ("exchange", "v2"): 50.0}
    fluxes |= {("net", "v4"): 20.0, ("net", "v5"): 20.0, ("net", "v6"): 80.0}
    return Study(model, (Experiment("2-13C", {"A": Tracer((("010", 1.0),))}, (mid, fed, out)),), fluxes)
