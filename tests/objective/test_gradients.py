"""Gradients of every term of the objective against finite differences, in float64."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from dcpc.objective import (
    BatchState,
    ObjectiveConfig,
    alignment_loss,
    ambiguity,
    batch_pairs,
    corrected_targets,
    layer_similarity,
    layer_weights,
    pair_terms,
    pool_layers,
    prediction_divergence,
    preference_divergence,
)
from dcpc.training.step import task_loss


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()


def test_similarity():
    assert gradcheck(layer_similarity, (random(2, 3, 4), random(2, 3, 4, seed=1)))


def test_prediction_divergence():
    def function(a, b):
        return prediction_divergence(a.log_softmax(-1), b.log_softmax(-1))

    assert gradcheck(function, (random(3, 4), random(3, 4, seed=1)))


def test_ambiguity_through_similarity_and_divergence():
    gate = torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
    weights = layer_weights(2, 0.5).double()
    assert gradcheck(lambda s, d: ambiguity(s, d, gate, weights), (random(2, 3), random(3, seed=1)))


@pytest.mark.parametrize("mean", [True, False])
def test_alignment(mean):
    def function(prefix_a, prefix_b, tokens_a, tokens_b):
        return alignment_loss(list(prefix_a), list(prefix_b), tokens_a, tokens_b, mean=mean)

    shapes = [(3, 2, 2, 3), (3, 2, 2, 3), (3, 2, 4), (3, 2, 4)]
    assert gradcheck(function, tuple(random(*shape, seed=i) for i, shape in enumerate(shapes)))


def test_preference_divergence():
    def function(a, b):
        return preference_divergence(a.softmax(-1), b.softmax(-1))

    assert gradcheck(function, (random(2, 3, 4), random(2, 3, 4, seed=1)))


def test_pooling():
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    assert gradcheck(lambda *states: pool_layers(states, mask), (random(2, 3, 4), random(2, 3, 4, seed=1)))


def test_task_loss_with_corrected_targets():
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    consensus = torch.tensor([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9]], dtype=torch.float64)
    targets = corrected_targets(labels, consensus, 0.5)
    assert gradcheck(lambda logits: task_loss(logits, targets, torch.tensor([0, 0, 1]), 2), (random(3, 2),))


@pytest.mark.parametrize("term", ["ambiguity", "alignment", "preference"])
@pytest.mark.parametrize("quantile", [None, 0.5])
def test_weighted_terms_of_a_whole_batch(term, quantile):
    """The gate is a step function, so the check stays away from its edge: all cosines lie above τ_cos = −1."""
    config = ObjectiveConfig(
        **{f"{term}_weight": 0.7},
        similarity_threshold=-1.0,
        similarity_quantile=quantile,
        ambiguity_threshold=-100.0,
        detach_similarity=False,
    )
    pairs = batch_pairs(4, torch.device("cpu"))

    def function(states, logits, styles, *prefixes):
        state = BatchState(states, logits.log_softmax(-1), styles.softmax(-1), prefixes)
        return pair_terms(state, pairs, config)[term]

    inputs = (
        random(2, 4, 3),
        random(4, 3, seed=1),
        random(2, 4, 2, seed=2),
        random(4, 1, 2),
        random(4, 1, 2),
    )
    assert gradcheck(function, inputs, eps=1e-7, atol=1e-5)


def test_detached_similarity_leaves_the_hidden_states_without_a_gradient():
    states, logits = random(2, 3, 4), random(3, 2, seed=1)
    for detach in (True, False):
        config = ObjectiveConfig(ambiguity_weight=1.0, similarity_threshold=-1.0, detach_similarity=detach)
        config = ObjectiveConfig(**{**vars(config), "ambiguity_threshold": -100.0})
        state = BatchState(states, logits.log_softmax(-1))
        loss = pair_terms(state, batch_pairs(3, torch.device("cpu")), config)["ambiguity"]
        gradient = torch.autograd.grad(loss, (states, logits), allow_unused=True)
        assert (gradient[0] is None) == detach
        assert gradient[1] is not None
