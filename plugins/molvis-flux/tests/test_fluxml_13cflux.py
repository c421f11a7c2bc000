"""FluxML means what 13CFLUX makes of it: variants, purity, natural abundance.

The numbers are those of 13CFLUX 3.1.2 (`x3cflux`), run on the same files in an environment of its own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from molvis_core.errors import ReadError
from molvis_flux.formats import read_study
from molvis_flux.labelling.prediction import complete_fluxes, predict
from molvis_flux.model.network import Study

DATA = Path(os.environ.get("MOLVIS_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "flux"

VARIANTS = """<fluxml xmlns="http://www.13cflux.net/fluxml">
  <reactionnetwork>
    <metabolitepools>
      <pool id="A_ext" atoms="4"/><pool id="A" atoms="4"/><pool id="Fum" atoms="4"/><pool id="Mal" atoms="4"/>
      <pool id="D" atoms="2"/><pool id="E" atoms="2"/>
    </metabolitepools>
    <reaction id="up" bidirectional="false"><reduct id="A_ext" cfg="abcd"/><rproduct id="A" cfg="abcd"/></reaction>
    <reaction id="s1 s2, s3,s4">
      <reduct id="A"><variant cfg="abcd" ratio="0.25"/><variant cfg="dcba" ratio="0.75"/></reduct>
      <rproduct id="Fum"><variant cfg="abcd"/><variant cfg="dcba"/></rproduct>
    </reaction>
    <reaction id="fum">
      <reduct id="Fum"><variant cfg="abcd" ratio="0.2"/><variant cfg="dcba" ratio="0.8"/></reduct>
      <rproduct id="Mal" cfg="abcd"/>
    </reaction>
    <reaction id="split" bidirectional="false">
      <reduct id="Mal" cfg="abcd"/><rproduct id="D" cfg="ab"/><rproduct id="E" cfg="cd"/>
    </reaction>
    <reaction id="od" bidirectional="false"><reduct id="D" cfg="ab"/></reaction>
    <reaction id="oe" bidirectional="false"><reduct id="E" cfg="ab"/></reaction>
  </reactionnetwork>
  <constraints><net><textual>up=1; fum___1+fum___2&lt;=100; fum&gt;=0.5</textual></net></constraints>
  <configuration name="default">
    <input pool="A_ext"><label cfg="1101" purity="0.97">1</label></input>
    <measurement>
      <model>
        <labelingmeasurement><group id="g"><textual>Mal[1-2]#M0,1,2</textual></group></labelingmeasurement>
        <fluxmeasurement><netflux id="f"><textual>fum</textual></netflux></fluxmeasurement>
      </model>
      <data>
        <datum id="g" stddev="0.01" weight="0">0.5</datum><datum id="g" stddev="0.01" weight="1">0.5</datum>
        <datum id="f" stddev="0.1">1</datum>
      </data>
    </measurement>
    <simulation><variables>
      <fluxvalue flux="s1" type="xch">0.3</fluxvalue><fluxvalue flux="fum" type="xch">0.2</fluxvalue>
    </variables></simulation>
  </configuration>
</fluxml>
"""


def opened(folder: Path, text: str, **options: Any) -> Study:
    path = folder / "m.fml"
    path.write_text(text, encoding="utf-8")
    return read_study(path, **options)


def test_each_combination_of_variants_is_a_reaction_and_the_first_participant_turns_fastest(tmp_path: Path) -> None:
    network = opened(tmp_path, VARIANTS).network
    maps = {
        name: ("".join(r.substrates[0].atoms), "".join(r.products[0].atoms))
        for name, r in network.reactions.items()
        if name.startswith("s") and r.reversible
    }
    assert maps == {"s1": ("abcd", "abcd"), "s2": ("dcba", "abcd"), "s3": ("abcd", "dcba"), "s4": ("dcba", "dcba")}
    net, _ = complete_fluxes(network, {("exchange", "s1"): 0.3, ("exchange", "fum___1"): 0.04})
    fluxes = dict(zip(network.reactions, net[0], strict=True))
    assert [fluxes[name] for name in ("s1", "s2", "s3", "s4")] == pytest.approx([0.125, 0.375, 0.125, 0.375])
    assert [fluxes["fum___1"], fluxes["fum___2"]] == pytest.approx([0.2, 0.8])


def test_a_name_stands_for_all_its_variants_in_conditions_values_and_measured_fluxes(tmp_path: Path) -> None:
    study = opened(tmp_path, VARIANTS)
    assert study.network.reactions["fum___1"].net[0] == pytest.approx(0.2 * 0.5)
    assert study.fluxes["exchange", "fum___1"] == pytest.approx(0.04)
    assert study.fluxes["exchange", "fum___2"] == pytest.approx(0.16)
    (flux,) = [datum for datum in study.experiments[0].data if datum.kind == "net"]
    assert (flux.target, flux.values[0], flux.sd[0]) == ("fum___1", pytest.approx(0.2), pytest.approx(0.02))
    assert any(len(c.terms) == 2 and c.high == 100 for c in study.network.constraints)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("s1 s2, s3,s4", "s1 s2 s3", "has 3 names and 4 combinations"),
        ('cfg="dcba" ratio="0.8"', 'cfg="dcba"', "some have a ratio and some none"),
        ('ratio="0.2"', 'ratio="-0.2"', "they are shares"),
        ('purity="0.97"', 'purity="1.97"', "lies between 0 and 1"),
        ('purity="0.97"', 'purity="0.9 0.9"', "has 1 elements, and 2 purities"),
    ],
)
def test_variants_and_purities_that_cannot_be_are_refused_with_their_line(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    assert old in VARIANTS
    with pytest.raises(ReadError, match=reason) as caught:
        opened(tmp_path, VARIANTS.replace(old, new))
    assert caught.value.line


def test_ratios_that_do_not_sum_to_one_are_divided_by_their_sum_and_noted(tmp_path: Path) -> None:
    study = opened(tmp_path, VARIANTS.replace('ratio="0.2"', 'ratio="1"').replace('ratio="0.8"', 'ratio="4"'))
    assert any("sum to 5" in note for note in study.notes)
    assert study.fluxes["exchange", "fum___2"] == pytest.approx(0.16)


def heavy_atoms(study: Study) -> float:
    """The mean number of heavy atoms in both atoms of Mal that are measured."""
    found = predict(study, *complete_fluxes(study.network, study.fluxes))
    (mid,) = [p.fractions[0] for p in found if p.fragment == "g"]
    return float(np.arange(3) @ mid)


def test_unlabelled_positions_are_natural_where_the_label_states_its_purity(tmp_path: Path) -> None:
    # Half of what reaches Mal is turned round, so that two of its atoms hold half of the heavy atoms of the source.
    stated = opened(tmp_path, VARIANTS)
    assert heavy_atoms(stated) == pytest.approx((3 * 0.97 + 0.0107) / 2)
    theirs = opened(tmp_path, VARIANTS, convention="13cflux")
    assert heavy_atoms(theirs) == pytest.approx((3 * 0.97 + 0.01055) / 2)
    ideal = opened(tmp_path, VARIANTS.replace(' purity="0.97"', ""))
    assert heavy_atoms(ideal) == pytest.approx(3 / 2)


def test_labels_of_several_purities_keep_their_unlabelled_positions_natural(tmp_path: Path) -> None:
    label = '<label cfg="1101" purity="0.97">1</label>'
    assert label in VARIANTS
    text = VARIANTS.replace(
        label, '<label cfg="1101" purity="0.97">0.5</label><label cfg="1111" purity="0.9">0.5</label>'
    )
    study = opened(tmp_path, text)
    assert study.experiments[0].tracers["A_ext"].natural
    assert heavy_atoms(study) == pytest.approx((0.5 * (3 * 0.97 + 0.0107) + 0.5 * 4 * 0.9) / 2)


def test_an_input_without_labels_is_natural(tmp_path: Path) -> None:
    text = VARIANTS.replace('<label cfg="1101" purity="0.97">1</label>', "")
    assert heavy_atoms(opened(tmp_path, text)) == pytest.approx(2 * 0.0107)


def test_a_convention_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one of fluxml, 13cflux"):
        opened(tmp_path, VARIANTS, convention="12cflux")


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no flux data in {DATA}: set MOLVIS_DATA")
def test_under_its_convention_e_coli_is_labelled_as_in_13cflux_to_the_last_digit() -> None:
    path = DATA / "fluxml_examples" / "ecoli_model_level_1.fml"
    theirs = {
        "ms_group_1": [0.5070712215483463, 0.08876798898078982, 0.3968503503394328, 0.007310439131432605],
        "ms_group_11": [
            0.3682894507838144, 0.19851131078659948, 0.3175416876809657, 0.10531726211399459, 0.010340288634630582,
        ],
        "ms_group_5": [
            0.1654998666817157, 0.17173846866578302, 0.2805325858044696, 0.20971418464167751, 0.11273059588310917,
            0.05978429832324695,
        ],
    }  # fmt: skip
    differences = {}
    for convention in ("fluxml", "13cflux"):
        study = read_study(path, strict=False, convention=convention)
        found = predict(study, *complete_fluxes(study.network, study.fluxes), fragments=tuple(theirs))
        mids = {p.fragment: np.array(p.fractions[0]) for p in found}
        differences[convention] = max(np.abs(mids[name] - np.array(mid)).max() for name, mid in theirs.items())
    assert differences["13cflux"] < 1e-12
    # What is left under the format's own: CO2 that is exchanged with air is balanced, and 13C is .0107 of carbon.
    assert 0.004 < differences["fluxml"] < 0.007
