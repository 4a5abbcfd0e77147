"""Heads learn who judges how, and give one distribution per item."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from dcpc.baselines.heads import AnnotatorEmbeddings, AnnotatorHeads, CrowdLayer

HEADS = [AnnotatorEmbeddings, AnnotatorHeads, CrowdLayer]
H, C, A = 8, 3, 4


@pytest.mark.parametrize("head", HEADS)
def test_shapes_and_distributions(head: type) -> None:
    model = head(H, C, A)
    assert model(torch.randn(7, H), torch.randint(A, (7,))).shape == (7, C)
    p = model.consensus(torch.randn(5, H))
    assert p.shape == (5, C)
    torch.testing.assert_close(p.sum(-1), torch.ones(5))


@pytest.mark.parametrize("head", [AnnotatorEmbeddings, AnnotatorHeads])
def test_the_consensus_is_the_mean_over_annotators(head: type) -> None:
    model, features = head(H, C, A), torch.randn(5, H)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    each = [model(features, torch.full((5,), a)).softmax(-1) for a in range(A)]
    torch.testing.assert_close(model.consensus(features), torch.stack(each).mean(0))


@pytest.mark.parametrize("head", HEADS)
def test_an_annotator_who_always_says_the_opposite_is_learned(head: type) -> None:
    torch.manual_seed(0)
    features, annotators = torch.randn(400, 2), torch.randint(3, (400,))
    truth = (features[:, 0] > 0).long()
    said = torch.where(annotators == 2, 1 - truth, truth)
    model = head(2, 2, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        cross_entropy(model(features, annotators), said).backward()
        optimizer.step()
    predicted = model(features, annotators).argmax(-1)
    assert (predicted == said).float().mean() > 0.9
    assert (model.consensus(features).argmax(-1) == truth).float().mean() > 0.9


def test_crowd_layer_starts_without_distortion() -> None:
    model, features = CrowdLayer(H, C, A), torch.randn(5, H)
    torch.testing.assert_close(model(features, torch.tensor([0, 1, 2, 3, 0])), model.consensus(features))
