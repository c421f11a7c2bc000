"""The contracts as pytest classes: inherit one, supply its fixtures, and every promise is a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from molvis_core.plugins import Component, Plugin, plugins
from molvis_core.records import RankedQuery, Structure
from molvis_core.testing import checks
from molvis_core.testing.synthetic import synthetic_rankings, synthetic_records, synthetic_structures


class Contract:
    """Base of the contracts. A promise may be broken, but not in silence.

    Raises:
        TypeError: a subclass overrides a contract's test without `@pytest.mark.xfail(reason=...)`.
    """

    _tests: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__module__ == __name__:
            cls._tests = frozenset(name for name in vars(cls) if name.startswith("test_"))
            return
        for name in cls._tests & vars(cls).keys():
            marks = getattr(vars(cls)[name], "pytestmark", [])
            if not any(mark.name == "xfail" and mark.kwargs.get("reason") for mark in marks):
                raise TypeError(
                    f"{cls.__name__}.{name} overrides a contract test; say why with @pytest.mark.xfail(reason=...)"
                )


class PluginContract(Contract):
    """A manifest is light, healthy and describes what it offers. Fixture: `name`, the plugin's entry point."""

    @pytest.fixture
    def name(self) -> str:
        """Name of the entry point, or of the distribution."""
        raise NotImplementedError("supply a fixture 'name': the plugin's entry point or distribution")

    @pytest.fixture
    def plugin(self, name: str) -> Plugin:
        """The installed plugin."""
        found = [p for p in plugins() if name in (p.name, p.distribution)]
        assert len(found) == 1, f"{len(found)} installed plugins are called {name!r}; is it installed?"
        return found[0]

    def test_it_loads_and_offers_something(self, plugin: Plugin) -> None:
        checks.plugin_is_healthy(plugin)

    def test_its_manifest_brings_in_nothing_heavy(self, plugin: Plugin) -> None:
        checks.manifest_is_light(plugin)

    def test_every_target_resolves(self, plugin: Plugin) -> None:
        for component in plugin.components:
            checks.component_resolves(component)

    def test_every_component_is_described(self, plugin: Plugin) -> None:
        for component in plugin.components:
            checks.component_is_described(component)

    def test_every_modality_is_a_value(self, plugin: Plugin) -> None:
        modalities: list[Component] = [c for c in plugin.components if c.kind == "modality"]
        for component in modalities:
            checks.modality_is_a_value(component)


class EncoderContract(Contract):
    """Fixtures: `encoder`; `records` of different sizes; `spec`, if it can be built by name."""

    @pytest.fixture
    def encoder(self) -> Any:
        """A small one, so that the tests are quick."""
        raise NotImplementedError("supply a fixture 'encoder'")

    @pytest.fixture
    def records(self, encoder: Any) -> Sequence[Any]:
        """At least two, of different sizes."""
        return synthetic_records(encoder.accepts)

    @pytest.fixture
    def spec(self) -> dict[str, Any] | None:
        """The configuration that builds this encoder, such as `{"use": "ir-resnet", "dim": 8}`."""
        return None

    def test_it_gives_unit_rows(self, encoder: Any, records: Sequence[Any]) -> None:
        checks.encoder_gives_unit_rows(encoder, records)

    def test_a_record_encodes_the_same_alone_and_among_longer_neighbours(
        self, encoder: Any, records: Sequence[Any]
    ) -> None:
        checks.encoder_ignores_neighbours(encoder, records)

    def test_rows_come_in_the_order_of_the_records(self, encoder: Any, records: Sequence[Any]) -> None:
        checks.encoder_keeps_order(encoder, records)

    def test_its_batch_pickles_and_moves(self, encoder: Any, records: Sequence[Any]) -> None:
        checks.encoder_batch_travels(encoder, records)

    def test_every_parameter_gets_a_gradient(self, encoder: Any, records: Sequence[Any]) -> None:
        checks.encoder_parameters_learn(encoder, records)

    def test_records_prepared_ahead_encode_the_same(self, encoder: Any, records: Sequence[Any]) -> None:
        checks.encoder_featurises(encoder, records)

    def test_its_parts_add_up(self, encoder: Any) -> None:
        checks.encoder_parts_add_up(encoder)

    def test_it_is_deterministic_in_evaluation(self, encoder: Any, records: Sequence[Any]) -> None:
        checks.encoder_is_deterministic(encoder, records)

    def test_it_survives_a_bundle_exactly(
        self, encoder: Any, records: Sequence[Any], spec: dict[str, Any] | None
    ) -> None:
        checks.encoder_survives_a_bundle(encoder, records, spec)


class PairLossContract(Contract):
    """Fixture: `loss`, taking vectors of length 8."""

    @pytest.fixture
    def loss(self) -> Any:
        """One that takes vectors of length 8."""
        raise NotImplementedError("supply a fixture 'loss'")

    def test_its_gradients_are_finite(self, loss: Any) -> None:
        checks.loss_has_finite_gradients(loss)

    def test_the_order_of_pairs_does_not_matter(self, loss: Any) -> None:
        checks.loss_ignores_the_order_of_pairs(loss)

    def test_a_pair_of_weight_zero_does_not_count(self, loss: Any) -> None:
        checks.loss_hides_pairs_of_weight_zero(loss)

    def test_nothing_known_costs_nothing(self, loss: Any) -> None:
        checks.loss_of_nothing_is_zero(loss)

    def test_what_it_declares_is_of_use(self, loss: Any) -> None:
        checks.loss_declares_what_training_asks(loss)

    def test_matches_on_top_of_each_other_cost_less(self, loss: Any) -> None:
        checks.loss_prefers_matches(loss)

    def test_every_parameter_gets_a_gradient(self, loss: Any) -> None:
        checks.loss_parameters_learn(loss)


class TargetContract(Contract):
    """Fixtures: `target`; `structures`, if the synthetic ones will not do."""

    @pytest.fixture
    def target(self) -> Any:
        """The target."""
        raise NotImplementedError("supply a fixture 'target'")

    @pytest.fixture
    def structures(self) -> Sequence[Structure]:
        """At least three different ones."""
        return synthetic_structures()

    def test_it_is_a_likeness_between_0_and_1(self, target: Any, structures: Sequence[Structure]) -> None:
        checks.target_is_a_likeness(target, structures)

    def test_its_batch_pickles_and_moves(self, target: Any, structures: Sequence[Structure]) -> None:
        checks.target_batch_travels(target, structures)


class PredictorContract(Contract):
    """Fixtures: `predictor`; `records`, if the synthetic ones will not do."""

    @pytest.fixture
    def predictor(self) -> Any:
        """A small one."""
        raise NotImplementedError("supply a fixture 'predictor'")

    @pytest.fixture
    def records(self, predictor: Any) -> Sequence[Any]:
        """At least two, of different sizes."""
        return synthetic_records(predictor.accepts)

    def test_it_gives_means_and_positive_deviations(self, predictor: Any, records: Sequence[Any]) -> None:
        checks.predictor_gives_mean_and_sd(predictor, records)

    def test_a_record_is_predicted_the_same_alone_and_among_longer_neighbours(
        self, predictor: Any, records: Sequence[Any]
    ) -> None:
        checks.predictor_ignores_neighbours(predictor, records)

    def test_its_batch_pickles_and_moves(self, predictor: Any, records: Sequence[Any]) -> None:
        checks.predictor_batch_travels(predictor, records)

    def test_every_parameter_gets_a_gradient(self, predictor: Any, records: Sequence[Any]) -> None:
        checks.predictor_parameters_learn(predictor, records)


class RecordPredictorContract(Contract):
    """Fixtures: `predictor`; `structures`, if the synthetic ones will not do."""

    @pytest.fixture
    def predictor(self) -> Any:
        """A small one."""
        raise NotImplementedError("supply a fixture 'predictor'")

    @pytest.fixture
    def structures(self, predictor: Any) -> Sequence[Any]:
        """At least two, of different sizes."""
        return synthetic_records(predictor.accepts)

    def test_it_gives_records_of_its_modality(self, predictor: Any, structures: Sequence[Any]) -> None:
        checks.predictor_gives_records(predictor, structures)


class ScorerContract(Contract):
    """Fixtures: `scorer`; `query`, `candidates` and, where it learns, `examples`, if the synthetic ones will not do."""

    @pytest.fixture
    def scorer(self) -> Any:
        """The scorer."""
        raise NotImplementedError("supply a fixture 'scorer'")

    @pytest.fixture
    def query(self, scorer: Any) -> Any:
        """A record that it accepts."""
        return synthetic_records(scorer.accepts)[-1]

    @pytest.fixture
    def examples(self, scorer: Any) -> Sequence[RankedQuery]:
        """Queries with their true structures, for a scorer that learns."""
        return synthetic_rankings(scorer.accepts)

    @pytest.fixture
    def candidates(self) -> Sequence[Structure]:
        """At least two."""
        return synthetic_structures()

    def test_each_candidate_gets_finite_features(
        self, scorer: Any, query: Any, candidates: Sequence[Structure]
    ) -> None:
        checks.scorer_gives_features(scorer, query, candidates)

    def test_it_explains_peaks_that_there_are(self, scorer: Any, query: Any, candidates: Sequence[Structure]) -> None:
        checks.scorer_explains_peaks(scorer, query, candidates)

    def test_the_order_of_candidates_does_not_matter(
        self, scorer: Any, query: Any, candidates: Sequence[Structure]
    ) -> None:
        checks.scorer_ignores_the_order_of_candidates(scorer, query, candidates)

    def test_it_adapts_to_a_run(self, scorer: Any, query: Any, candidates: Sequence[Structure]) -> None:
        checks.scorer_adapts_to_a_run(scorer, query, candidates)

    def test_it_leaves_compounds_out(self, scorer: Any, query: Any, candidates: Sequence[Structure]) -> None:
        checks.scorer_leaves_out(scorer, query, candidates)

    def test_it_tells_records_apart(self, scorer: Any, query: Any) -> None:
        checks.scorer_tells_records_apart(scorer, query)

    def test_it_uses_references_that_can_be_left_out(
        self, scorer: Any, query: Any, candidates: Sequence[Structure]
    ) -> None:
        checks.scorer_uses_references(scorer, query, candidates)

    def test_it_names_what_resembles_a_query(self, scorer: Any, query: Any, candidates: Sequence[Structure]) -> None:
        checks.scorer_names_analogues(scorer, query, candidates)

    def test_it_keeps_what_it_learned(self, scorer: Any, examples: Sequence[RankedQuery]) -> None:
        checks.scorer_keeps_what_it_learned(scorer, examples)


class ClassifierContract(Contract):
    """Fixtures: `classifier`; `structures`, if the synthetic ones will not do."""

    @pytest.fixture
    def classifier(self) -> Any:
        """The classifier under test."""
        raise NotImplementedError("provide a fixture `classifier`")

    @pytest.fixture
    def structures(self) -> Sequence[Structure]:
        """At least two."""
        return synthetic_structures()

    def test_it_gives_classes(self, classifier: Any, structures: Sequence[Structure]) -> None:
        checks.classifier_gives_classes(classifier, structures)


class RouteContract(Contract):
    """Fixtures: `route`; `asked`, a request that it answers."""

    @pytest.fixture
    def route(self) -> Any:
        """The route under test."""
        raise NotImplementedError("provide a fixture `route`")

    @pytest.fixture
    def asked(self) -> Any:
        """A request."""
        raise NotImplementedError("provide a fixture `asked`: a request that the route answers")

    def test_it_is_described(self, route: Any) -> None:
        checks.route_is_described(route)

    def test_it_answers(self, route: Any, asked: Any) -> None:
        checks.route_answers(route, asked)


class ReaderContract(Contract):
    """Fixtures: `read`, `modality`, `good` and `bad` files; `write` and `written` where there is a writer."""

    @pytest.fixture
    def read(self) -> Any:
        """The reader."""
        raise NotImplementedError("supply a fixture 'read': the reader")

    @pytest.fixture
    def modality(self) -> str:
        """Name of what it reads."""
        raise NotImplementedError("supply a fixture 'modality': the name of what is read")

    @pytest.fixture
    def good(self) -> Path:
        """A file without faults."""
        raise NotImplementedError("supply a fixture 'good': the path of a file without faults")

    @pytest.fixture
    def bad(self) -> Path:
        """A file of the right kind with a bad record."""
        raise NotImplementedError("supply a fixture 'bad': the path of a file with a bad record")

    @pytest.fixture
    def write(self) -> Any:
        """The writer of the same format, if there is one."""
        return None

    def test_it_gives_measurements(self, read: Any, good: Path, modality: str) -> None:
        checks.reader_gives_measurements(read, good, modality)

    def test_it_reads_gzip(self, read: Any, good: Path) -> None:
        checks.reader_reads_gzip(read, good)

    def test_a_bad_file_names_its_line(self, read: Any, bad: Path) -> None:
        checks.reader_names_the_place(read, bad)

    def test_any_bytes_give_a_read_error_at_worst(self, read: Any, good: Path) -> None:
        checks.reader_survives_any_bytes(read, "".join(good.suffixes))

    def test_what_is_written_is_read_back(self, read: Any, write: Any, good: Path) -> None:
        if write is None:
            pytest.skip("this format has no writer")
        checks.writer_round_trip(write, read, list(read(good)), "".join(good.suffixes))


class FitterContract(Contract):
    """Fixtures: `fitter`; `records`, whose axes count; `add_noise`; `unseen` and `impossible` where there are such."""

    seeds: ClassVar[int] = 60
    level: ClassVar[float] = 0.8

    @pytest.fixture
    def fitter(self) -> Any:
        """The fitter."""
        raise NotImplementedError("supply a fixture 'fitter'")

    @pytest.fixture
    def records(self) -> Sequence[Any]:
        """A sample's measurements, as many as the fitter needs."""
        raise NotImplementedError("supply a fixture 'records'")

    @pytest.fixture
    def add_noise(self) -> Callable[[Sequence[Any], np.random.Generator], Sequence[Any]]:
        """From simulated records to such as an instrument would give."""
        raise NotImplementedError("supply a fixture 'add_noise': (records, rng) -> records")

    @pytest.fixture
    def unseen(self) -> str | None:
        """Name of a parameter that these records cannot see."""
        return None

    @pytest.fixture
    def impossible(self) -> Sequence[Any] | None:
        """Records that cannot be fitted."""
        return None

    def test_intervals_cover_the_truth_as_often_as_they_claim(
        self, fitter: Any, records: Sequence[Any], add_noise: Any
    ) -> None:
        checks.fitter_covers_the_truth(fitter, records, add_noise, seeds=self.seeds, level=self.level)

    def test_an_unseen_parameter_keeps_its_prior(self, fitter: Any, records: Sequence[Any], unseen: str | None) -> None:
        if unseen is None:
            pytest.skip("these records see every parameter")
        checks.fitter_keeps_the_prior_of_the_unseen(fitter, records, unseen)

    def test_the_same_seed_gives_the_same_fit(self, fitter: Any, records: Sequence[Any]) -> None:
        checks.fitter_repeats_itself(fitter, records)

    def test_simulated_data_share_the_measurements_axes(self, fitter: Any, records: Sequence[Any]) -> None:
        checks.fitter_simulates_on_the_axes(fitter, records)

    def test_its_own_report_is_of_the_same_fit(self, fitter: Any, records: Sequence[Any]) -> None:
        checks.fitter_reports(fitter, records)

    def test_failure_comes_back_in_problem(
        self, fitter: Any, records: Sequence[Any], impossible: Sequence[Any] | None
    ) -> None:
        if impossible is None:
            pytest.skip("no impossible records are given")
        checks.fitter_reports_failure(fitter, records, impossible)
