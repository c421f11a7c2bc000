"""`molvis ir`: bands, functional groups, corrections and reference spectra."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import typer

from molvis_core import output
from molvis_files.arguments import existing, writable

Below = Literal["asls", "rubberband", "none"]
_BELOW = typer.Option(help="How the baseline is found that is taken away: asls follows curves, rubberband is the hull.")


def peaks(
    spectra: Annotated[list[Path], typer.Argument(help="Infrared spectra: JCAMP-DX, SPC, OPUS, columns of text, ...")],
    prominence: Annotated[float, typer.Option(help="How far a band stands out, in parts of the highest one.")] = 0.03,
    baseline: Annotated[Below, _BELOW] = "asls",
) -> None:
    """List the bands of spectra, and which groups absorb there.

    The groups are those whose range in correlation charts a band lies in: several share a range.
    """
    existing(*spectra, what="a file of spectra")
    from molvis_files.measurements import read_measurements
    from molvis_ir.peaks import pick_peaks

    found = [
        (
            item.name or item.record.identifier or path.name,
            pick_peaks(item.record, prominence=prominence, below=baseline),
        )
        for path in spectra
        for item in read_measurements(path, modality="ir")
    ]
    if output.as_json([{"spectrum": name, "peaks": list(bands)} for name, bands in found]):
        return
    for name, bands in found:
        rows = [[f"{p.wavenumber:.0f}", f"{p.height:.2f}", f"{p.width:.0f}", "; ".join(p.groups)] for p in bands]
        output.print_table(["wavenumber", "height", "width", "groups that absorb there"], rows, title=name)


def search(
    query: Annotated[Path, typer.Argument(help="An infrared spectrum.")],
    references: Annotated[list[Path], typer.Argument(help="Files of reference spectra, such as your own library.")],
    top: Annotated[int, typer.Option(min=1, help="References that are shown.")] = 10,
    baseline: Annotated[Below, _BELOW] = "asls",
    picture: Annotated[Path | None, typer.Option(help="Mirror plot with the best reference, as SVG.")] = None,
) -> None:
    """Search reference spectra for those that are like a spectrum.

    Spectra are compared without their baselines, over what both were measured.
    """
    existing(query, *references, what="a file of spectra")
    writable(picture)
    from molvis_core.errors import ReadError
    from molvis_files.measurements import read_measurements
    from molvis_files.writing import write_text
    from molvis_ir import search as library

    queries = read_measurements(query, modality="ir")
    if len(queries) != 1:
        raise ReadError(
            query, f"the query must be one spectrum, and the file holds {len(queries)}; leave the others out"
        )
    known = [item for path in references for item in read_measurements(path, modality="ir")]
    found = library.search(queries[0].record, [item.record for item in known], top=top, below=baseline)
    if picture:
        write_text(picture, library.mirror_plot(queries[0], known[found[0].number], found[0]))
        output.note(f"mirror plot: {picture}")
    named = [(known[m.number].name or known[m.number].record.identifier, known[m.number].structure) for m in found]
    if output.as_json(
        [
            {**dataclasses.asdict(m), "name": name, "smiles": s.smiles if s else None}
            for m, (name, s) in zip(found, named, strict=True)
        ]
    ):
        return
    rows = [
        [rank, f"{m.similarity:.3f}", f"{m.shared:.0%}", name, s.smiles if s else None]
        for rank, (m, (name, s)) in enumerate(zip(found, named, strict=True), start=1)
    ]
    output.print_table(["rank", "similarity", "shared range", "name", "structure"], rows)


def groups(
    spectra: Annotated[list[Path], typer.Argument(help="Infrared spectra.")],
    bundle: Annotated[
        Path | None, typer.Option(help="That was trained with the preset ir on your spectra: RUN/bundle.")
    ] = None,
    least: Annotated[float, typer.Option(min=0.0, max=1.0, help="Groups of a lower probability are not shown.")] = 0.1,
) -> None:
    """Say which functional groups a spectrum shows, with probabilities.

    A probability is right as often as it says, for compounds like those that were learned from.
    """
    existing(*spectra, what="a file of spectra")
    from molvis_core.errors import ConfigError
    from molvis_files.measurements import read_measurements
    from molvis_ir.groups import GROUPS
    from molvis_ir.predictor import HOW_TO_TRAIN, learned_encoder

    if bundle is None:
        raise ConfigError(f"--bundle: functional groups are told by a trained bundle. {HOW_TO_TRAIN}")
    model = learned_encoder(bundle, "ir")
    items = [(item, path) for path in spectra for item in read_measurements(path, modality="ir")]
    found = model.probabilities([item.record for item, _ in items])
    names = [item.name or item.record.identifier or path.name for item, path in items]
    told = [
        sorted(((g, round(float(p), 4)) for g, p in zip(GROUPS, row, strict=True)), key=lambda one: -one[1])
        for row in found
    ]
    if output.as_json([{"spectrum": name, "groups": dict(some)} for name, some in zip(names, told, strict=True)]):
        return
    for name, some in zip(names, told, strict=True):
        rows = [[group, f"{p:.2f}"] for group, p in some if p >= least]
        output.print_table(["functional group", "probability"], rows, title=name)


def correct(
    spectra: Annotated[Path, typer.Argument(help="Infrared spectra.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="JCAMP-DX file to write.")],
    atr: Annotated[str, typer.Option(help="Undo attenuated total reflection: diamond, znse, germanium, silicon.")] = "",
    fresnel: Annotated[bool, typer.Option(help="With --atr, put moved and skewed bands right too.")] = False,
    angle: Annotated[float, typer.Option(help="With --atr, angle of incidence in degrees.")] = 45.0,
    sample: Annotated[float, typer.Option(help="With --atr, refractive index of the sample.")] = 1.5,
    shift: Annotated[float, typer.Option(help="Add this to the wavenumbers, in cm^-1.")] = 0.0,
    baseline: Annotated[Below, _BELOW] = "none",
) -> None:
    """Correct spectra for how they were measured: wavenumber scale, baseline, attenuated total reflection.

    They are done in this order. Absorbance is written.
    """
    existing(spectra, what="a file of spectra")
    writable(out)
    from molvis_files.measurements import read_measurements
    from molvis_ir.corrections import corrected
    from molvis_ir.writers import write_jcamp

    kind: Literal["depth", "fresnel"] = "fresnel" if fresnel else "depth"
    found = [
        dataclasses.replace(
            item,
            record=corrected(
                item.record, shift=shift, below=baseline, atr=atr, correction=kind, angle=angle, sample=sample
            ),
        )
        for item in read_measurements(spectra, modality="ir")
    ]
    write_jcamp(out, found)
    output.note(f"{len(found)} spectr{'um' if len(found) == 1 else 'a'}: {out}")
