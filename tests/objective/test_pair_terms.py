"""The weighted pair terms of a batch: equal to a loop over pairs, switchable, and zero without conflict."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cosine_similarity, kl_div

from dcpc.errors import UsageError
from dcpc.objective import (
    PRESETS,
    BatchState,
    ObjectiveConfig,
    Pairs,
    alignment_loss,
    batch_pairs,
    conflict_weight,
    layer_similarity,
    pair_terms,
    view_pairs,
)
from dcpc.objective.alignment import alignment_of_pairs
from dcpc.objective.similarity import similarity_of_pairs

CPU = torch.device("cpu")
ALL_TERMS = {"ambiguity_weight": 0.3, "alignment_weight": 0.2, "preference_weight": 0.1}


def random_state(n_inputs: int = 5, n_layers: int = 3, seed: int = 0) -> BatchState:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return BatchState(
        states=draw(n_layers, n_inputs, 4) + 0.7,
        log_probabilities=(2 * draw(n_inputs, 3)).log_softmax(-1),
        styles=draw(n_layers, n_inputs, 2).softmax(-1),
        prefixes=[draw(n_inputs, 2, 3) for _ in range(n_layers)],
    )


def naive_terms(state: BatchState, pairs: Pairs, config: ObjectiveConfig) -> dict[str, float]:
    """Equations 3 to 13 for one pair after the other, as one reads them."""
    n_layers = len(state.states)
    depth = [2.718281828459045 ** (config.depth_gamma * layer) for layer in range(1, n_layers + 1)]
    sums, weights = {"ambiguity": 0.0, "alignment": 0.0, "preference": 0.0}, 0.0
    for a, b, weight in zip(pairs.a.tolist(), pairs.b.tolist(), pairs.weight.tolist(), strict=True):
        log_a, log_b = state.log_probabilities[a], state.log_probabilities[b]
        a_to_b = kl_div(log_b, log_a, log_target=True, reduction="sum")
        b_to_a = kl_div(log_a, log_b, log_target=True, reduction="sum")
        score = 0.0
        for layer in range(n_layers):
            s = cosine_similarity(state.states[layer, a], state.states[layer, b], dim=0).item()
            if s >= config.similarity_threshold:
                score += depth[layer] / sum(depth) * s * (a_to_b + b_to_a).item() / 2
        if score <= config.ambiguity_threshold or weight == 0:
            continue
        weights += weight
        sums["ambiguity"] += weight * score
        for layer in range(n_layers - 1):
            c_a = torch.cat([state.prefixes[layer][a].flatten(), state.states[layer + 1, b]])
            c_b = torch.cat([state.prefixes[layer][b].flatten(), state.states[layer + 1, a]])
            squared = (c_a - c_b).square()
            squared = squared.mean() if config.normalise_alignment else squared.sum()
            sums["alignment"] += weight * squared.item() / (n_layers - 1)
        for layer in range(n_layers):
            p, q = state.styles[layer, a], state.styles[layer, b]
            sums["preference"] += weight * (p * (p / q).log()).sum().item() / n_layers
    factors = {name: getattr(config, f"{name}_weight") for name in sums}
    return {name: factors[name] * value / weights if weights else 0.0 for name, value in sums.items()}


@settings(max_examples=25)
@given(
    st.integers(2, 7),
    st.integers(1, 4),
    st.integers(0, 10_000),
    st.sampled_from([-1.0, 0.2, 0.6]),
    st.sampled_from([0.0, 0.4]),
    st.booleans(),
)
def test_vectorised_terms_equal_a_loop_over_pairs(n_inputs, n_layers, seed, tau_cos, tau_amb, normalise):
    config = ObjectiveConfig(
        **ALL_TERMS,
        similarity_threshold=tau_cos,
        ambiguity_threshold=tau_amb,
        normalise_alignment=normalise,
    )
    state = random_state(n_inputs, n_layers, seed)
    pairs = batch_pairs(n_inputs, CPU)
    weight = torch.rand(len(pairs), generator=torch.Generator().manual_seed(seed)).double().round(decimals=1)
    pairs = Pairs(pairs.a, pairs.b, weight)
    terms = pair_terms(state, pairs, config)
    for name, expected in naive_terms(state, pairs, config).items():
        assert terms[name].item() == pytest.approx(expected, rel=1e-6, abs=1e-9), name


@pytest.mark.parametrize("mean", [True, False])
def test_many_pairs_at_once_are_what_they_are_one_by_one_in_single_precision(mean):
    """Inputs that differ by a thousandth of what they share: products of what is shared would hide it."""
    generator = torch.Generator().manual_seed(0)
    shared = [torch.randn(1, 16, 24, generator=generator) for _ in range(3)]
    prefixes = [
        (each + 1e-3 * torch.randn(12, 16, 24, generator=generator)).requires_grad_() for each in shared
    ]
    states = torch.randn(3, 12, 8, generator=generator).mul_(1e-3).add_(1).requires_grad_()
    pairs = batch_pairs(12, CPU)
    assert pairs.dense(12)
    weight = torch.rand(len(pairs), generator=generator)
    sides = [[prefix[side] for prefix in prefixes] for side in (pairs.a, pairs.b)]
    alone = alignment_loss(*sides, states[:, pairs.a], states[:, pairs.b], mean=mean)
    together = alignment_of_pairs(prefixes, states, pairs, mean=mean)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=0)
    leaves = [*prefixes[:2], states]
    found, wanted = (torch.autograd.grad((weight * each).sum(), leaves) for each in (together, alone))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))
    cosines = similarity_of_pairs(states, pairs)
    torch.testing.assert_close(cosines, layer_similarity(states[:, pairs.a], states[:, pairs.b]))


def test_many_pairs_of_a_half_precision_model_are_measured_in_single_precision():
    generator = torch.Generator().manual_seed(0)
    prefixes = [torch.randn(12, 4, 6, generator=generator).bfloat16() for _ in range(3)]
    states = (1 + 0.05 * torch.randn(3, 12, 8, generator=generator)).bfloat16()
    pairs = batch_pairs(12, CPU)
    together = alignment_of_pairs(prefixes, states, pairs, mean=True)
    exact = alignment_of_pairs([prefix.double() for prefix in prefixes], states.double(), pairs, mean=True)
    torch.testing.assert_close(together.double(), exact, rtol=1e-5, atol=0)
    cosines = similarity_of_pairs(states, pairs)
    torch.testing.assert_close(
        cosines.double(), similarity_of_pairs(states.double(), pairs), rtol=0, atol=1e-6
    )


def test_without_conflicting_pairs_all_terms_are_zero():
    state = random_state()
    config = ObjectiveConfig(**ALL_TERMS, ambiguity_threshold=1e6)
    no_pairs = Pairs.of(torch.empty(0, dtype=torch.long), torch.empty(0, dtype=torch.long))
    unsuspicious = Pairs.of(torch.tensor([0]), torch.tensor([1]), torch.zeros(1))
    same_prediction = BatchState(
        state.states, torch.zeros(5, 3).log_softmax(-1), state.styles, state.prefixes
    )
    low_threshold = ObjectiveConfig(**ALL_TERMS)
    cases = [
        (state, batch_pairs(5, CPU), config),
        (state, batch_pairs(1, CPU), low_threshold),
        (state, no_pairs, low_threshold),
        (state, unsuspicious, low_threshold),
        (same_prediction, batch_pairs(5, CPU), low_threshold),
    ]
    for case in cases:
        assert {name: term.item() for name, term in pair_terms(*case).items()} == {
            "ambiguity": 0.0,
            "alignment": 0.0,
            "preference": 0.0,
        }


@pytest.mark.parametrize("term", ["ambiguity", "alignment", "preference"])
def test_each_term_can_be_switched_off_alone_and_scales_with_its_weight(term):
    state, pairs = random_state(), batch_pairs(5, CPU)
    config = ObjectiveConfig(**ALL_TERMS, similarity_threshold=-1.0)
    full = pair_terms(state, pairs, config)
    assert full[term] > 0
    off = pair_terms(state, pairs, ObjectiveConfig(**{**vars(config), f"{term}_weight": 0.0}))
    assert off[term] == 0
    twice = pair_terms(
        state, pairs, ObjectiveConfig(**{**vars(config), f"{term}_weight": 2 * ALL_TERMS[f"{term}_weight"]})
    )
    torch.testing.assert_close(twice[term], 2 * full[term])
    for other in full.keys() - {term}:
        torch.testing.assert_close(off[other], full[other])


def test_adapters_without_a_correction_module_get_the_ambiguity_alone():
    state = random_state()
    bare = BatchState(state.states, state.log_probabilities)
    terms = pair_terms(bare, batch_pairs(5, CPU), ObjectiveConfig(**ALL_TERMS, similarity_threshold=-1.0))
    assert terms["ambiguity"] > 0
    assert terms["alignment"] == terms["preference"] == 0


def test_candidate_pairs():
    pairs = batch_pairs(4, CPU)
    assert list(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True)) == list(
        itertools.combinations(range(4), 2)
    )
    views = view_pairs(3, CPU)
    assert list(zip(views.a.tolist(), views.b.tolist(), strict=True)) == [(0, 3), (1, 4), (2, 5)]
    assert len(pairs.joined(views)) == 9
    assert pairs.where(pairs.a == 0).b.tolist() == [1, 2, 3]


class TestConflictWeight:
    """Items 0, 1, 2, ... in a batch; judgements are (item, annotator, label)."""

    @staticmethod
    def weights(*judgements: tuple[int, int, int], n_items: int = 2) -> list[float]:
        item, annotator, label = (torch.tensor(column) for column in zip(*judgements, strict=True))
        return conflict_weight(batch_pairs(n_items, CPU), label, annotator, item, n_items, 3).tolist()

    def test_a_difference_between_annotators_is_suspect(self):
        assert self.weights((0, 7, 0), (1, 8, 1)) == [1.0]

    def test_a_difference_within_one_annotator_is_signal(self):
        assert self.weights((0, 7, 0), (1, 7, 1)) == [0.0]

    def test_equal_labels_are_no_conflict(self):
        assert self.weights((0, 7, 2), (1, 8, 2)) == [0.0]

    def test_unknown_annotators_count_as_different(self):
        assert self.weights((0, -1, 0), (1, -1, 1)) == [1.0]
        assert self.weights((0, -1, 0), (1, 4, 1)) == [1.0]

    def test_share_of_cross_judgements(self):
        # (7: 0, 8: 1) against (7: 1, 9: 1): of four cross pairs only 7's 0 against 9's 1 counts.
        assert self.weights((0, 7, 0), (0, 8, 1), (1, 7, 1), (1, 9, 1)) == [0.25]

    def test_items_without_judgements_have_no_conflict(self):
        assert self.weights((0, 7, 0), (1, 8, 1), n_items=3) == [1.0, 0.0, 0.0]


class TestConfig:
    def test_preset_paper_is_the_equations_as_written(self):
        config = ObjectiveConfig.preset("paper")
        assert min(config.ambiguity_weight, config.alignment_weight, config.preference_weight) > 0
        assert not config.detach_similarity
        assert not config.normalise_alignment
        assert not config.only_conflicting
        assert config.similarity_quantile is None
        assert config.target_correction == config.ema_decay == 0

    def test_preset_default_has_the_task_loss_alone_until_a_term_has_a_weight(self):
        config = ObjectiveConfig.preset("default")
        assert not config.uses_pairs
        assert config.target_correction == config.ema_decay == 0
        weighed = ObjectiveConfig.preset("default", ambiguity_weight=0.1)
        assert weighed.uses_pairs
        assert weighed.batch_pairs
        assert weighed.detach_similarity
        assert weighed.only_conflicting

    def test_mined_pairs_bring_weights_where_the_preset_has_none(self):
        mined = ObjectiveConfig.preset("default", mined_pairs=True, alignment_weight=0.0)
        assert (mined.ambiguity_weight, mined.alignment_weight, mined.preference_weight) == (0.1, 0.0, 0.01)
        paper = ObjectiveConfig.preset("paper", mined_pairs=True)
        assert paper.ambiguity_weight == ObjectiveConfig.preset("paper").ambiguity_weight

    def test_preset_none_is_the_task_loss_alone(self):
        config = ObjectiveConfig.preset("none")
        assert not config.uses_pairs
        assert config.annotator_weight == config.target_correction == config.ema_decay == 0

    @pytest.mark.parametrize("name", PRESETS)
    def test_fields_of_a_preset_can_be_changed(self, name):
        assert ObjectiveConfig.preset(name, depth_gamma=3.0).depth_gamma == 3.0

    @pytest.mark.parametrize(
        ("name", "changes", "message"),
        [
            ("papier", {}, "no preset `papier`"),
            ("paper", {"lambda1": 1.0}, "no field `lambda1`"),
            ("paper", {"ambiguity_weight": -1.0}, "`ambiguity_weight` must not be negative"),
            ("default", {"ema_decay": 1.5}, r"`ema_decay` must lie in \[0, 1\]"),
        ],
    )
    def test_mistakes_are_named(self, name, changes, message):
        with pytest.raises(UsageError, match=message):
            ObjectiveConfig.preset(name, **changes)
