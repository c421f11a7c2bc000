"""Writing networks in SBML level 3 with flux balance constraints, and their atom maps as a table beside it.

Reference: Keating et al., Molecular Systems Biology 16 (2020) e9110, doi:10.15252/msb.20199110; Olivier and Bergmann,
Journal of Integrative Bioinformatics 15 (2018) 20170082, doi:10.1515/jib-2017-0082 (FBC)
"""

from __future__ import annotations

import csv
import io
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from molvis_core.errors import WriteError
from molvis_core.records import Measurement
from molvis_files.writing import write_text
from molvis_flux.formats.opening import stem
from molvis_flux.formats.orientations import orientations
from molvis_flux.formats.quoting import labelled, labels, quoted
from molvis_flux.formats.sbml import OUTSIDE, TABLE
from molvis_flux.formats.writers import only_study
from molvis_flux.model.network import Metabolite, Network, Participant, Reaction, Study

_SBML = "http://www.sbml.org/sbml/level3/version1"
_KINDS = {
    "ms": "fragment{s}", "msms": "fragment{s} of tandem MS", "ms-resolved": "fragment{s} of resolved MS",
    "1h-nmr": "enrichment{s} by 1H-NMR", "13c-nmr": "multiplet{s} by 13C-NMR",
}  # fmt: skip
logger = logging.getLogger("molvis")
_FORMULA = re.compile(r"(?:[A-Z][a-z]?\d*)+")


def write_sbml(path: str | Path, study: Study) -> tuple[str, ...]:
    """Write a network as SBML, and where atoms are followed a table `NAME.atoms.csv` beside it.

    `read_sbml` reads both.

    Returns:
        What SBML does not have and was left out, one sentence each.

    Raises:
        WriteError: atoms other than carbon are followed, which the table cannot say; or a file cannot be written.
    """
    path = Path(path)
    network = study.network
    if odd := sorted({e for m in network.metabolites.values() for e in m.elements} - {"C"}):
        raise WriteError(f"{path}: atoms of {', '.join(odd)} are followed; the table of atoms has carbons only")
    table = _table(network)
    notes = tuple(_left_out(study))
    write_text(path, _sbml(network, path))
    if table:
        write_text(path.with_name(f"{stem(path)}.{TABLE}.csv"), table)
    return notes


def write_studies(path: Path, measurements: Iterable[Measurement]) -> None:
    """The writer component; it warns of what SBML does not have.

    Raises:
        WriteError: there is no study or there are several; or see `write_sbml`.
    """
    for note in write_sbml(path, only_study(path, measurements)):
        logger.warning("%s: %s", path, note)


def _left_out(study: Study) -> Iterator[str]:
    """What of a study SBML does not have."""
    parts = {
        "experiment{s}": len(study.experiments), **_fragments(study.network),
        "condition{s} on several fluxes": len(study.network.constraints), "stated flux{es}": len(study.fluxes),
        "pool size{s}": len(study.pools),
    }  # fmt: skip
    if left := [_counted(count, what) for what, count in parts.items() if count]:
        yield f"Not written, as SBML has none: {', '.join(left)}."


def _fragments(network: Network) -> dict[str, int]:
    """How many fragments there are of each kind of measurement."""
    kinds = Counter(fragment.kind for fragment in network.fragments.values())
    return {_KINDS.get(kind, f"fragment{{s}} of kind {kind}"): count for kind, count in kinds.items()}


def _counted(count: int, what: str) -> str:
    """A number with its noun, whose plural ending stands in braces."""
    return f"{count} " + re.sub(r"\{(\w+)\}", "" if count == 1 else r"\1", what)


def _sid(prefix: str, name: str) -> str:
    """An identifier, in which odd characters are written as cobrapy does: `[` is `__91__`."""
    return prefix + re.sub(r"[^A-Za-z0-9_]", lambda m: f"__{ord(m[0])}__", name)


def _sbml(network: Network, path: Path) -> str:
    fed = _fed(network)
    values = sorted({bound for r in network.reactions.values() for bound in r.net})
    names = {value: f"bound_{i}" for i, value in enumerate(values)}
    model = f"id={quoteattr(_sid('m_', stem(path)))} name={quoteattr(network.name or stem(path))}"
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<sbml xmlns="{_SBML}/core" xmlns:fbc="{_SBML}/fbc/version2" level="3" version="1" fbc:required="false">',
        f'  <model {model} fbc:strict="true">',
        "    <listOfCompartments>",
        '      <compartment id="all" constant="true"/>',
        "    </listOfCompartments>",
        "    <listOfSpecies>",
        *(_species(m) for m in network.metabolites.values() if m.name not in fed),
        "    </listOfSpecies>",
        "    <listOfParameters>",
        *(f'      <parameter id="{names[v]}" value="{_number(v)}" constant="true"/>' for v in values),
        "    </listOfParameters>",
        "    <listOfReactions>",
    ]
    for reaction in network.reactions.values():
        low, high = (names[bound] for bound in reaction.net)
        both = reaction.net[0] < 0
        called = f"id={quoteattr(_sid('R_', reaction.name))} name={quoteattr(reaction.name)}"
        way = f'reversible="{str(both).lower()}" fast="false"'
        lines += [
            f'      <reaction {called} {way} fbc:lowerFluxBound="{low}" fbc:upperFluxBound="{high}">',
            *_side("listOfReactants", reaction.substrates, fed),
            *_side("listOfProducts", reaction.products, fed),
            "      </reaction>",
        ]
    return "\n".join((*lines, "    </listOfReactions>", "  </model>", "</sbml>", ""))


def _number(value: float) -> str:
    return {float("inf"): "INF", float("-inf"): "-INF"}.get(value, repr(value))


def _species(metabolite: Metabolite) -> str:
    boundary = str(metabolite.role != "balanced").lower()
    formula = metabolite.formula if _FORMULA.fullmatch(metabolite.formula) else ""
    stated = f" fbc:chemicalFormula={quoteattr(formula)}" if formula else ""
    called = f"id={quoteattr(_sid('M_', metabolite.name))} name={quoteattr(metabolite.name)}"
    return (
        f'      <species {called} compartment="all" '
        f'hasOnlySubstanceUnits="false" boundaryCondition="{boundary}" constant="false"{stated}/>'
    )


def _fed(network: Network) -> set[str]:
    """Sources that the reader made for what is taken up from nothing; it makes them again."""
    return {name for name, m in network.metabolites.items() if m.role == "source" and name.endswith(OUTSIDE)}


def _side(tag: str, side: Sequence[Participant], fed: set[str]) -> Iterator[str]:
    total: dict[str, float] = {}
    for p in side:
        if p.metabolite not in fed and p.coefficient:
            total[p.metabolite] = total.get(p.metabolite, 0.0) + p.coefficient
    if total:
        yield f"        <{tag}>"
        for name, times in total.items():
            sid = quoteattr(_sid("M_", name))
            yield f'          <speciesReference species={sid} stoichiometry="{times!r}" constant="true"/>'
        yield f"        </{tag}>"


def _table(network: Network) -> str:
    """The table of atoms; empty where none is followed."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("reaction", "atoms", "exchange_low", "exchange_high"))
    rows = 0
    fed = _fed(network)
    for reaction in network.reactions.values():
        if reaction.reversible or any(p.atoms for p in (*reaction.substrates, *reaction.products)):
            ends = [repr(bound) for bound in reaction.exchange] if reaction.reversible else ["", ""]
            table.writerow((quoted(reaction.name), _map(network, reaction, fed), *ends))
            rows += 1
    return text.getvalue() if rows else ""


def _map(network: Network, reaction: Reaction, fed: set[str]) -> str:
    """The participants with atoms; a symmetric molecule as parts in each of its orientations."""
    sides = []
    for side in labelled(reaction):
        parts: list[str] = []
        for p in side:
            if p.atoms and p.metabolite not in fed:
                turns = orientations(network.metabolites[p.metabolite])
                times = f"{p.coefficient / len(turns)!r} " if turns else "" if p.coefficient else "0 "
                parts += [
                    f"{times}{quoted(p.metabolite)}({labels([p.atoms[i] for i in turn])})"
                    for turn in turns or (range(len(p.atoms)),)
                ]
        sides.append(" + ".join(parts))
    return (" <-> " if reaction.reversible else " -> ").join(sides).strip() if any(sides) else ""
