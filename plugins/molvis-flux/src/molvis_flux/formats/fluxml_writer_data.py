"""The configurations of FluxML: what was fed, and what was measured.

Reference: Beyß et al., Frontiers in Microbiology 10 (2019) 1022, doi:10.3389/fmicb.2019.01022
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

from molvis_core.errors import WriteError
from molvis_flux.formats.notation import impure
from molvis_flux.model.abundance import heavy_share
from molvis_flux.model.network import Datum, Experiment, Fragment, Metabolite, Study, Tracer

Variants = Mapping[str, tuple[str, ...]]
"""Of reactions that are written as several, the names of these, which share the flux evenly."""

Groups = dict[tuple[str, bool, int], list[Datum]]

_MOST = 12
"""Atoms of a source whose isotopomers are written out."""


def configuration(
    experiment: Experiment | None, study: Study, variants: Variants, notes: list[str], *, first: bool
) -> Iterator[str]:
    """The lines of an experiment, or of none: then only the sources and the fluxes.

    Args:
        experiment: to be written.
        study: with its network, fluxes and pools.
        variants: of its reactions.
        notes: gets what FluxML cannot hold.
        first: of several; fragments that no experiment measures stand in this one.

    Raises:
        WriteError: a tracer that it cannot hold.
    """
    data = experiment.data if experiment else ()
    times = sorted({d.time for d in data if d.time is not None})
    head = f"  <configuration name={quoteattr(experiment.name if experiment else 'default')}"
    yield f'{head} stationary="false" time="{times[-1]!r}">' if times else f'{head} stationary="true">'
    for metabolite in study.network.metabolites.values():
        if metabolite.role == "source":
            yield from _input(metabolite, experiment.tracers.get(metabolite.name) if experiment else None)
    yield from _measurement(study, data, variants, notes, first=first)
    values = [
        f'<fluxvalue flux={quoteattr(n)} type="{_type(kind)}">{v!r}</fluxvalue>'
        for (kind, n), v in _fluxes(study, variants)
    ]
    values += [f"<poolsizevalue pool={quoteattr(name)}>{v!r}</poolsizevalue>" for name, v in study.pools.items()]
    if values:
        yield '    <simulation type="auto" method="auto">'
        yield "      <variables>"
        yield from (f"        {value}" for value in values)
        yield "      </variables>"
        yield "    </simulation>"
    yield "  </configuration>"


def _type(kind: str) -> str:
    return "net" if kind == "net" else "xch"


def _fluxes(study: Study, variants: Variants) -> Iterator[tuple[tuple[str, str], float]]:
    """Stated fluxes; the exchange of an irreversible reaction is none."""
    for (kind, name), value in study.fluxes.items():
        if kind == "net" or study.network.reactions[name].reversible:
            names = variants.get(name, (name,))
            yield from (((kind, one), value / len(names)) for one in names)


def _input(metabolite: Metabolite, tracer: Tracer | None) -> Iterator[str]:
    name = f'    <input pool={quoteattr(metabolite.name)} type="isotopomer"'
    if not metabolite.elements:
        yield f"{name}/>"
        return
    count = len(metabolite.elements)
    labels = _labels(metabolite, tracer) if tracer else [("0" * count, 1.0, None)]
    yield f"{name}>"
    for pattern, share, purity in labels:
        kinds = len(dict.fromkeys(metabolite.elements))
        stated = "" if purity is None else f' purity="{" ".join([repr(purity)] * kinds)}"'
        yield f'      <label cfg="{pattern}"{stated}>{share!r}</label>'
    yield "    </input>"


def _labels(metabolite: Metabolite, tracer: Tracer) -> list[tuple[str, float, float | None]]:
    """Patterns, shares and purities. Where a purity is stated, FluxML's light atoms are natural; else ideal.

    Of labelled atoms whose purity is stated as 1.0, 13CFLUX 3.1.2 makes isotopomers that sum to 3: such a tracer is
    written out instead, as far as that is done.
    """
    labelled = any("1" in pattern for pattern, _ in tracer.isotopomers)
    exact = labelled and tracer.purity == 1 and len(metabolite.elements) <= _MOST
    if tracer.natural and not tracer.abundance and not exact:
        return [(pattern, share, tracer.purity) for pattern, share in tracer.isotopomers]
    if tracer.purity == 1 and not tracer.natural:
        return [(pattern, share, None) for pattern, share in tracer.isotopomers]
    if len(metabolite.elements) > _MOST:
        raise WriteError(
            f"the tracer of {metabolite.name} has {len(metabolite.elements)} atoms, and a purity or natural abundance "
            f"that FluxML has only written out; that is done for up to {_MOST} atoms. Write the study as TOML"
        )
    mixture: dict[str, float] = {}
    for pattern, share in tracer.isotopomers:
        for isotopomer, chance in _written_out(metabolite, tracer, pattern).items():
            mixture[isotopomer] = mixture.get(isotopomer, 0.0) + share * chance
    return [(pattern, share, None) for pattern, share in mixture.items()]


def _written_out(metabolite: Metabolite, tracer: Tracer, pattern: str) -> dict[str, float]:
    """The isotopomers of a pattern, with its purity and natural abundance."""
    if not tracer.natural:
        return impure(pattern, [tracer.purity] * len(pattern))
    shares = dict(tracer.abundance)
    pairs = zip(pattern, metabolite.elements, strict=True)
    heavy = [tracer.purity if mark == "1" else shares.get(element, heavy_share(element)) for mark, element in pairs]
    found: dict[str, float] = {}
    for marks in itertools.product("01", repeat=len(heavy)):
        chance = math.prod(h if mark == "1" else 1 - h for h, mark in zip(heavy, marks, strict=True))
        if chance > 0:
            found["".join(marks)] = chance
    return found


def _measurement(
    study: Study, data: Sequence[Datum], variants: Variants, notes: list[str], *, first: bool
) -> Iterator[str]:
    fragments = study.network.fragments
    groups = _groups(fragments, data, notes, first=first)
    scalars = [datum for datum in data if datum.kind != "mid"]
    if not groups and not scalars:
        return
    names = _group_names(groups, notes)
    yield "    <measurement>"
    yield "      <model>"
    yield "        <labelingmeasurement>"
    yield from (f"          {_group(names[key], fragments[key[0]], key[1], found)}" for key, found in groups.items())
    yield "        </labelingmeasurement>"
    written = [
        f"          {line}"
        for key, found in groups.items()
        for datum in found
        for line in _numbers(names[key], fragments[key[0]], datum)
    ]
    for parent, kinds in (("fluxmeasurement", ("net", "exchange")), ("poolsizemeasurement", ("pool",))):
        if some := [datum for datum in scalars if datum.kind in kinds]:
            yield f"        <{parent}>"
            for i, datum in enumerate(some, 1):
                name = _free(f"{datum.kind}_{i}", set(names.values()))
                tag = {"net": "netflux", "exchange": "xchflux", "pool": "poolsize"}[datum.kind]
                text = escape(_whole(datum, variants))
                yield f"          <{tag} id={quoteattr(name)}><textual>{text}</textual></{tag}>"
                written.append(
                    f'          <datum id={quoteattr(name)} stddev="{datum.sd[0]!r}">{datum.values[0]!r}</datum>'
                )
            yield f"        </{parent}>"
    yield "      </model>"
    yield "      <data>"
    yield from written
    yield "      </data>"
    yield "    </measurement>"


def _whole(datum: Datum, variants: Variants) -> str:
    """What a flux or pool is called: of a reaction with variants so many times its first."""
    names = variants.get(datum.target, ()) if datum.kind != "pool" else ()
    return f"{len(names)}*{names[0]}" if names else datum.target


def _groups(fragments: Mapping[str, Fragment], data: Sequence[Datum], notes: list[str], *, first: bool) -> Groups:
    """Data by fragment, whether they have a scale, and how often each was measured at a time."""
    groups: Groups = {}
    seen: dict[tuple[str, bool, float | None], int] = {}
    for datum in data:
        if datum.kind == "mid" and _writable(fragments[datum.target], datum, notes):
            # The reader has one datum for each group and time, so that replicates are groups of their own.
            key = (datum.target, datum.scaled, datum.time)
            seen[key] = seen.get(key, 0) + 1
            groups.setdefault((datum.target, datum.scaled, seen[key]), []).append(datum)
    if first:
        unmeasured = sorted(set(fragments) - {d.target for d in data})
        if unmeasured:
            notes.append(f"Not written, as 13CFLUX takes no group without data: fragments {', '.join(unmeasured)}.")
    return groups


def _writable(fragment: Fragment, datum: Datum, notes: list[str]) -> bool:
    """Whether FluxML can hold a fragment and a datum of it; a note where it cannot."""
    why = ""
    if len(fragment.parts) > 1 or fragment.convolved or fragment.mix:
        why = "it is of several molecules, which a group of FluxML is not"
    elif not datum.corrected:
        why = "natural isotopes of its derivative are still in the data, and FluxML has no formula; correct them first"
    note = f"Not written: fragment {fragment.name}: {why}."
    if why and note not in notes:
        notes.append(note)
    return not why


def _group_names(groups: Groups, notes: list[str]) -> dict[tuple[str, bool, int], str]:
    names: dict[tuple[str, bool, int], str] = {}
    for key in groups:
        names[key] = _free(key[0], set(names.values()))
        if names[key] != key[0]:
            note = f"Several data of fragment {key[0]}: some are the group {names[key]}."
            notes += [note] if note not in notes else []
    return names


def _free(name: str, taken: set[str]) -> str:
    return next(n for n in itertools.chain((name,), (f"{name}__{i}" for i in itertools.count(2))) if n not in taken)


def _group(name: str, fragment: Fragment, scaled: bool, found: Sequence[Datum]) -> str:
    times = sorted({d.time for d in found if d.time is not None})
    at = f' times="{",".join(map(repr, times))}"' if times else ""
    text = escape(_specification(fragment, sorted({i for datum in found for i, _ in _known(datum)})))
    return f'<group id={quoteattr(name)} scale="{"auto" if scaled else "one"}"{at}><textual>{text}</textual></group>'


def _specification(fragment: Fragment, measured: Sequence[int]) -> str:
    """What a group measures: `Pool[1,2]#M0,1`, `Pool[1,2:2]#M(1,0),(1,1)`, `Pool#S1,DL2` (peaks name their atoms)."""
    _, pool, atoms = fragment.parts[0]
    where = ",".join(str(atom + 1) for atom in atoms)
    if fragment.kind == "ms":
        return f"{pool}[{where}]#M{','.join(map(str, measured))}"
    channels = [fragment.channels[i] for i in measured]
    if fragment.kind.endswith("nmr"):
        return f"{pool}#{','.join(channels)}"
    if fragment.kind == "msms":
        where += ":" + ",".join(str(atoms[place] + 1) for place in fragment.daughter)
    return f"{pool}[{where}]#M{','.join(f'({channel})' for channel in channels)}"


def _numbers(name: str, fragment: Fragment, datum: Datum) -> Iterator[str]:
    """The numbers of a datum, each with what it is of: a weight, of tandem MS two, or a peak and its atom."""
    time = "" if datum.time is None else f' time="{datum.time!r}"'
    for i, (value, sd) in _known(datum):
        of = f'weight="{i if fragment.kind == "ms" else fragment.channels[i]}"'
        if fragment.kind.endswith("nmr"):
            peak = fragment.channels[i].rstrip("0123456789")
            of = f'pos="{fragment.channels[i][len(peak) :]}"'
            # Of 1H-NMR there is one kind, which 13CFLUX will not have named.
            of = of if peak == "P" else f'type="{peak}" {of}'
        yield f'<datum id={quoteattr(name)} stddev="{sd!r}" {of}{time}>{value!r}</datum>'


def _known(datum: Datum) -> Iterator[tuple[int, tuple[float, float]]]:
    """The masses or channels that were measured, with value and standard deviation."""
    for i, pair in enumerate(zip(datum.values, datum.sd, strict=True)):
        if all(map(math.isfinite, pair)):
            yield i, pair
