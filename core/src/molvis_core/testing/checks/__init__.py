"""The contracts as functions: each returns when its object keeps it, and raises `ContractError` when not."""

from __future__ import annotations

import re

from molvis_core.testing.checks._contract import DOCUMENTATION, ContractError
from molvis_core.testing.checks.classifiers import classifier_gives_classes
from molvis_core.testing.checks.encoders import (
    encoder_batch_travels,
    encoder_featurises,
    encoder_gives_unit_rows,
    encoder_ignores_neighbours,
    encoder_is_deterministic,
    encoder_keeps_order,
    encoder_parameters_learn,
    encoder_parts_add_up,
    encoder_survives_a_bundle,
)
from molvis_core.testing.checks.files import (
    is_callable,
    reader_gives_measurements,
    reader_names_the_place,
    reader_reads_gzip,
    reader_survives_any_bytes,
    writer_round_trip,
)
from molvis_core.testing.checks.fitters import (
    binomial_range,
    draw,
    fitter_covers_the_truth,
    fitter_keeps_the_prior_of_the_unseen,
    fitter_repeats_itself,
    fitter_reports,
    fitter_reports_failure,
    fitter_simulates_on_the_axes,
    is_fitter,
)
from molvis_core.testing.checks.losses import (
    loss_declares_what_training_asks,
    loss_has_finite_gradients,
    loss_hides_pairs_of_weight_zero,
    loss_ignores_the_order_of_pairs,
    loss_of_nothing_is_zero,
    loss_parameters_learn,
    loss_prefers_matches,
)
from molvis_core.testing.checks.plugins import (
    HEAVY,
    component_is_described,
    component_resolves,
    manifest_is_light,
    modality_is_a_value,
    plugin_is_healthy,
)
from molvis_core.testing.checks.predictors import (
    predictor_batch_travels,
    predictor_gives_mean_and_sd,
    predictor_gives_records,
    predictor_ignores_neighbours,
    predictor_parameters_learn,
)
from molvis_core.testing.checks.routes import route_answers, route_is_described
from molvis_core.testing.checks.scorers import (
    scorer_adapts_to_a_run,
    scorer_explains_peaks,
    scorer_gives_features,
    scorer_ignores_the_order_of_candidates,
    scorer_keeps_what_it_learned,
    scorer_leaves_out,
    scorer_names_analogues,
    scorer_tells_records_apart,
    scorer_uses_references,
)
from molvis_core.testing.checks.targets import target_batch_travels, target_is_a_likeness

__all__ = [
    "DOCUMENTATION",
    "HEAVY",
    "ContractError",
    "anchors",
    "binomial_range",
    "classifier_gives_classes",
    "component_is_described",
    "component_resolves",
    "draw",
    "encoder_batch_travels",
    "encoder_featurises",
    "encoder_gives_unit_rows",
    "encoder_ignores_neighbours",
    "encoder_is_deterministic",
    "encoder_keeps_order",
    "encoder_parameters_learn",
    "encoder_parts_add_up",
    "encoder_survives_a_bundle",
    "fitter_covers_the_truth",
    "fitter_keeps_the_prior_of_the_unseen",
    "fitter_repeats_itself",
    "fitter_reports",
    "fitter_reports_failure",
    "fitter_simulates_on_the_axes",
    "is_callable",
    "is_fitter",
    "loss_declares_what_training_asks",
    "loss_has_finite_gradients",
    "loss_hides_pairs_of_weight_zero",
    "loss_ignores_the_order_of_pairs",
    "loss_of_nothing_is_zero",
    "loss_parameters_learn",
    "loss_prefers_matches",
    "manifest_is_light",
    "modality_is_a_value",
    "plugin_is_healthy",
    "predictor_batch_travels",
    "predictor_gives_mean_and_sd",
    "predictor_gives_records",
    "predictor_ignores_neighbours",
    "predictor_parameters_learn",
    "reader_gives_measurements",
    "reader_names_the_place",
    "reader_reads_gzip",
    "reader_survives_any_bytes",
    "route_answers",
    "route_is_described",
    "scorer_adapts_to_a_run",
    "scorer_explains_peaks",
    "scorer_gives_features",
    "scorer_ignores_the_order_of_candidates",
    "scorer_keeps_what_it_learned",
    "scorer_leaves_out",
    "scorer_names_analogues",
    "scorer_tells_records_apart",
    "scorer_uses_references",
    "target_batch_travels",
    "target_is_a_likeness",
    "writer_round_trip",
]


def anchors() -> list[str]:
    """Every anchor that a failing check may point to."""
    found = [getattr(value, "anchor", "") for value in globals().values()]
    return sorted({a for a in found if isinstance(a, str) and re.fullmatch(r"[a-z-]+", a)})
