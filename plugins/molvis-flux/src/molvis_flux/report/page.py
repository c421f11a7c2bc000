"""A fit as one HTML page that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

import numpy as np

from molvis_core.html import render_page
from molvis_flux.fit.identifiability import BOUNDED, FIXED, IDENTIFIABLE, UNSEEN
from molvis_flux.fit.multistart import FluxResult
from molvis_flux.maps.frame import framed, script, style
from molvis_flux.report import figures

_STYLES = {IDENTIFIABLE: "identifiable", BOUNDED: "bounded", UNSEEN: "unseen", FIXED: "fixed"}
_NETWORK = (
    "Width: net flux, in the direction of the arrow. Broken arrows are not identifiable: their widths are the "
    "posterior's means, and their numbers the interval. Carriers, such as ATP and carbon dioxide, and pools that bring "
    "less than a quarter of a reaction's atoms are left out; the whole equation is told on hovering."
)
_CAPTIONS = {
    "intervals": ("Intervals", "Coloured: what the data leave. Grey: what the constraints allow without data."),
    "courses": (
        "Labelling in time",
        "Curves: the fit. Points: measured, with their standard deviations. Below: residuals over these; lines at 2.",
    ),
    "distributions": (
        "Measured and fitted distributions",
        "Bars: measured, with standard deviations. Worst fit first.",
    ),
    "posterior": ("Posterior", "Draws of the fluxes that are least sure. A line marks the least-squares estimate."),
}


def report(result: FluxResult, *, title: str = "", drawings: Mapping[str, str] | None = None) -> str:
    """Fluxes, their identifiability, intervals, residuals and figures of a fit, as HTML.

    Args:
        result: of `fit`.
        title: of the page; the network's name where none is given.
        drawings: of `figures.figures`, where they are made already.
    """
    good, network = result.goodness, result.least_squares.study.network
    template = resources.files("molvis_flux").joinpath("templates", "flux.html").read_text(encoding="utf-8")
    expected = f"{good.low:.4g} to {good.high:.4g}" if good.freedom else "cannot be tested"
    counts = {kind: sum(v.kind == kind for v in result.verdicts) for kind in (IDENTIFIABLE, BOUNDED, UNSEEN)}
    facts = [
        ("sum of squares", _number(good.ssr)),
        ("expected, 95%", expected),
        ("independent data", str(good.data)),
        ("parameters seen", str(good.seen)),
        ("starts that converged", f"{int(result.converged.sum())} of {len(result.starts)}"),
        *((kind, str(count)) for kind, count in counts.items()),
    ]
    drawings = dict(drawings or figures.figures(result))
    network_map = drawings.pop("network")
    organ_map = drawings.pop("organs", "")
    return render_page(
        template,
        title=title or f"Fluxes of {network.name or 'a network'}",
        subtitle=f"{len(network.reactions)} reactions, {len(network.metabolites)} metabolites; experiments: "
        f"{len(result.least_squares.study.experiments)}",
        problem=result.problem,
        good=good,
        facts=facts,
        network_map=framed(network_map, label="Network with its fluxes"),
        network_caption=_NETWORK,
        organ_map=framed(organ_map, colours=("verdict",), label="Organs"),
        has_organs=bool(organ_map),
        map_style=style(),
        map_script=script(),
        figures=[(*_CAPTIONS[name], _inline(svg, name)) for name, svg in drawings.items()],
        level=f"{result.level:.0%}",
        drawn=result.samples is not None,
        fluxes=[
            {
                "kind": v.name[0],
                "name": v.name[1],
                "estimate": _number(v.value),
                "sd": _number(None if v.kind == UNSEEN else float(sd)),
                "low": _number(v.low),
                "high": _number(v.high),
                "identifiability": v.kind,
                "style": _STYLES[v.kind],
                "ends": f"{v.low_from}, {v.high_from}",
                "mean": _number(v.mean),
            }
            for v, sd in zip(result.verdicts, result.sd, strict=True)
        ],
        combinations=[
            {"text": c.text, "value": _number(c.value), "low": _number(c.low), "high": _number(c.high)}
            for c in result.combinations
        ],
        data=[
            {
                "experiment": part.experiment,
                "target": part.target + ("" if part.time is None else f" at {part.time:g}"),
                "count": len(part.measured),
                "ssr": _number(part.ssr),
                "worst": _number(float(np.abs((part.fitted - part.measured) / part.sd).max())),
                "scale": "" if part.scale == 1 else _number(part.scale),
            }
            for part in sorted(result.residuals, key=lambda part: -part.ssr)
        ],
    )


def _inline(svg: str, name: str) -> str:
    """An SVG to stand in a page with others: without its prologue, its identifiers told apart."""
    body = svg[svg.index("<svg") :]
    return body.replace('id="', f'id="{name}-').replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
