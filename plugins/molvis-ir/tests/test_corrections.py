"""Baselines, attenuated total reflection, bands, and reference spectra."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from ir_samples import trace_of
from typer.testing import CliRunner

from molvis_core.errors import ConfigError, RecordError
from molvis_core.records import Measurement, Trace
from molvis_core.registry import load
from molvis_ir.augmentation import FARTHEST, distort, move
from molvis_ir.baselines import baseline
from molvis_ir.corrections import corrected
from molvis_ir.peaks import GROUPS, pick_peaks
from molvis_ir.preparation import channels, grid, measured, prepare
from molvis_ir.readers.jcamp import read_jcamp
from molvis_ir.reflection import dispersion, reflectance, transmission_from_atr
from molvis_ir.search import mirror_plot, search
from molvis_ir.writers import write_jcamp

X = np.arange(500.0, 3900.0, 2.0)


def lines(*bands: tuple[float, float, float]) -> np.ndarray:
    return sum((h / (1 + ((X - c) / w) ** 2) for c, w, h in bands), np.zeros(len(X)))


ACETONE = lines((1740, 8, 1.0), (1365, 7, 0.6), (1215, 8, 0.6), (2970, 20, 0.15))
ETHANOL = lines((3670, 10, 0.4), (2980, 25, 1.0), (1066, 12, 0.9), (1395, 15, 0.3))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


BELOW = {
    "offset": np.full(len(X), 0.2),
    "slope": 0.3 * (X - X[0]) / np.ptp(X),
    "bulge": 0.3 * np.sin(np.pi * (X - X[0]) / np.ptp(X)),
}


@pytest.mark.parametrize("kind", BELOW)
def test_least_squares_take_every_baseline_away(kind: str) -> None:
    plain = ACETONE - baseline(ACETONE, 2.0)
    found = ACETONE + BELOW[kind] - baseline(ACETONE + BELOW[kind], 2.0)
    assert cosine(found, plain) > 0.999
    assert cosine(plain, ACETONE) > 0.98


def test_a_rubber_band_takes_a_slope_away_and_leaves_a_bulge() -> None:
    def left(kind: str) -> float:
        changed = ACETONE + BELOW[kind]
        return cosine(changed - baseline(changed, 2.0, "rubberband"), ACETONE)

    assert left("slope") > 0.98
    assert left("bulge") < 0.8


def test_a_method_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match="no baseline named 'spline'; there are none, rubberband, asls"):
        baseline(ACETONE, 2.0, "spline")  # type: ignore[arg-type]
    assert not baseline(ACETONE, 2.0, "none").any()


def absorbance_on_diamond() -> tuple[np.ndarray, np.ndarray]:
    """What attenuated total reflection gives of known absorption indices, and the absorbance of a layer of them."""
    k = lines((1740, 8, 0.3), (1215, 8, 0.15), (2970, 20, 0.08))
    seen = -np.log10(reflectance(1.5 + dispersion(X, k) + 1j * k, 2.4, np.pi / 4))
    return seen, 4 * np.pi * 1e-4 / np.log(10) * k * X


def test_refractive_indices_are_those_of_the_sum_over_the_spectrum() -> None:
    k = lines((1740, 8, 0.3))
    # Maclaurin's formula, K. Ohta and H. Ishida, Appl. Spectrosc. 42 (1988) 952, doi:10.1366/0003702884430380, eq. 5.
    for i in (300, 615, 620, 640, 1000):
        other = np.arange((i + 1) % 2, len(X), 2)
        summed = 4 * 2.0 / np.pi * np.sum(X[other] * k[other] / (X[other] ** 2 - X[i] ** 2))
        assert dispersion(X, k)[i] == pytest.approx(summed, abs=2e-3)


def test_a_reflected_spectrum_comes_back_as_what_transmission_would_give() -> None:
    seen, wanted = absorbance_on_diamond()
    depth = transmission_from_atr(X, seen, sample=1.5)
    fresnel = transmission_from_atr(X, seen, sample=1.5, correction="fresnel")
    assert cosine(seen, wanted) < cosine(depth, wanted) < 0.99
    np.testing.assert_allclose(fresnel, wanted, atol=0.01 * wanted.max())
    strong = (X > 1700) & (X < 1780)
    assert X[strong][depth[strong].argmax()] < 1738
    assert X[strong][fresnel[strong].argmax()] == 1740


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"crystal": "glass"}, "no ATR crystal named 'glass'"),
        ({"correction": "x"}, "no ATR correction named 'x'"),
        ({"angle": 30.0}, "needs an angle of more than 39 degrees, got 30"),
    ],
)
def test_a_reflection_that_cannot_be_is_told(options: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        transmission_from_atr(X, ACETONE, **options)


def test_corrections_are_done_in_their_order() -> None:
    seen, _ = absorbance_on_diamond()
    found = corrected(Trace(X - 7, seen + 0.1), shift=7, below="asls", atr="diamond")
    np.testing.assert_array_equal(found.x, X)
    assert cosine(found.y, seen * X) > 0.999


def test_gaps_and_ends_are_known_as_not_measured() -> None:
    x = np.concatenate([np.arange(700.0, 1800, 2), np.arange(2700.0, 3500, 2)])
    (known,) = measured([Trace(x, np.ones(len(x)))])
    wanted = ((grid() >= 700) & (grid() <= 1798)) | ((grid() >= 2700) & (grid() <= 3498))
    np.testing.assert_array_equal(known, wanted)
    values = prepare([Trace(x, 0.1 + np.interp(x, X, ACETONE))], below="asls")[0]
    assert values[grid() > 3600].sum() == 0


def test_distorted_spectra_say_by_how_much_they_were_moved() -> None:
    import torch

    torch.manual_seed(0)
    values = torch.from_numpy(np.repeat(prepare([Trace(X, ACETONE)]), 64, axis=0))
    known = torch.ones(values.shape, dtype=torch.bool)
    found, left, moved = distort(values, known)
    assert torch.isfinite(found).all()
    assert torch.allclose(found.norm(dim=1), torch.ones(64), atol=1e-5)
    assert moved.abs().max() <= FARTHEST + 1e-6
    assert not found[~left].any()
    assert 0 < (~left).any(dim=1).sum() < 64
    whole = left.all(dim=1)
    back, _ = move(found, known, -moved)
    similar = (torch.nn.functional.normalize(back, dim=1) * values).sum(1)[whole]
    assert similar.median() > (found * values).sum(1)[whole].median()
    same, all_known, none = distort(values, known, 0.0)
    assert same is values
    assert all_known is known
    assert not none.any()


def test_the_third_channel_is_what_was_measured() -> None:
    import torch

    known = torch.ones(1, 825, dtype=torch.bool)
    known[0, :200] = False
    values = torch.from_numpy(prepare([Trace(X, ACETONE)])) * known
    found = channels(torch.nn.functional.normalize(values, dim=1), known)
    assert found.shape == (1, 3, 825)
    assert not found[:, :, :200].any()
    assert torch.equal(found[:, 2], known.float())


def test_bands_are_found_between_points_with_what_absorbs_there() -> None:
    found = pick_peaks(Trace(X + 0.7, ACETONE + 0.2))
    assert [round(p.wavenumber) for p in found] == [2971, 1741, 1366, 1216]
    assert [p.height for p in found][1] == 1
    assert found[1].width == pytest.approx(16, abs=2)
    assert any("ester" in name or "aldehyde" in name for name in found[1].groups)
    assert any("alkyl" in name for name in found[0].groups)
    assert pick_peaks(Trace(X, np.zeros(len(X)))) == []
    with pytest.raises(ConfigError, match="prominence must be above 0"):
        pick_peaks(Trace(X, ACETONE), prominence=0)


def test_ranges_of_groups_are_ranges() -> None:
    assert all(400 < g.low < g.high < 4000 for g in GROUPS)
    assert len({g.vibration for g in GROUPS}) == len(GROUPS)


def test_the_reference_of_the_same_compound_is_first_whatever_was_measured_of_it() -> None:
    part = (X > 900) & (X < 3100)
    query = Trace(X[part], ACETONE[part] + 0.3 + 1e-4 * X[part])
    found = search(query, [Trace(X, ETHANOL), Trace(X, ACETONE)])
    assert [m.number for m in found] == [1, 0]
    assert found[0].similarity > 0.99 > 0.5 > found[1].similarity
    assert found[0].shared == pytest.approx(2200 / 3300, abs=0.01)
    narrow = (X > 2900) & (X < 3850)
    with pytest.raises(RecordError, match="no reference was measured over a quarter"):
        search(Trace(X[X < 2000], ACETONE[X < 2000]), [Trace(X[narrow], ETHANOL[narrow])])


def test_a_mirror_plot_leaves_out_what_was_not_measured() -> None:
    gap = (X < 1800) | (X > 2700)
    query = Measurement(Trace(X[gap], ACETONE[gap], identifier="<unknown>"), None, "ir")
    drawn = mirror_plot(query, Measurement(Trace(X, ETHANOL), None, "ir", name="ethanol"))
    above, below = re.findall(r'<path d="([^"]*)"', drawn)
    assert (above.count("M"), below.count("M")) == (2, 1)
    assert "&lt;unknown&gt;" in drawn


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    write_jcamp(tmp_path / "q.jdx", [Measurement(Trace(X, ACETONE + 0.2, identifier="q"), None, "ir")])
    known = [Measurement(Trace(X, y, identifier=n), None, "ir", name=n) for n, y in (("e", ETHANOL), ("a", ACETONE))]
    write_jcamp(tmp_path / "r.jdx", known)
    return tmp_path / "q.jdx", tmp_path / "r.jdx"


def run(name: str, *arguments: object) -> str:
    import typer

    app = typer.Typer()
    app.command()(load("command", name))
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_commands_print_and_write(files: tuple[Path, Path], tmp_path: Path) -> None:
    query, references = files
    assert re.search(r"1740 .*C=O stretch", run("ir-peaks", query))
    said = run("ir-search", query, references, "--picture", tmp_path / "m.svg")
    assert re.search(r"1 +(1\.000|0\.99\d) +100% +a", said)
    assert (tmp_path / "m.svg").read_text().startswith("<svg xmlns")
    run("ir-correct", query, "--out", tmp_path / "c.jdx", "--baseline", "asls", "--atr", "diamond", "--shift", "4")
    found = trace_of(read_jcamp, tmp_path / "c.jdx")
    assert found.x[found.y[X < 2500].argmax()] == 1744
    assert found.y[0] < 0.02


def test_the_commands_print_json(files: tuple[Path, Path], monkeypatch) -> None:
    from molvis_core import output

    monkeypatch.setattr(output.settings, "json", True)
    found = json.loads(run("ir-search", *files))
    assert [one["name"] for one in found] == ["a", "e"]
    assert len(json.loads(run("ir-peaks", files[0]))[0]["peaks"]) == 4
