"""Heads learn who judges how, and give one distribution per item."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from dcpc_bench.methods.annotator_embeddings import AnnotatorEmbeddings
from dcpc_bench.methods.annotator_heads import AnnotatorHeads
from dcpc_bench.methods.crowd_layer import START, STRETCH, CrowdLayer

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


def test_a_fresh_crowd_layer_expects_one_error_in_five() -> None:
    model, features = CrowdLayer(H, C, A), torch.randn(5, H)
    annotators = torch.tensor([0, 1, 2, 3, 0])
    truth = model.consensus(features)
    expected = (1 - START) * truth + START / (C - 1) * (1 - truth)
    torch.testing.assert_close(model(features, annotators).softmax(-1), expected)
    published = CrowdLayer(H, C, A, second_softmax=True)
    torch.testing.assert_close(published(features, annotators), published.consensus(features))


def test_a_training_of_fifty_steps_is_enough_to_see_who_flips_labels() -> None:
    """As many steps, judgements and annotators as a cell of the small suites has, at a rate of their grid."""
    torch.manual_seed(0)
    features, annotators = torch.randn(500, 16), torch.randint(12, (500,))
    truth = (features[:, 0] > 0).long()
    said = torch.where(annotators < 4, 1 - truth, truth)
    model = CrowdLayer(16, 2, 12)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.015, weight_decay=0.3)
    for _ in range(3):
        for batch in torch.randperm(500).split(32):
            optimizer.zero_grad()
            cross_entropy(model(features[batch], annotators[batch]), said[batch]).backward()
            optimizer.step()
    predicted = model(features, annotators).argmax(-1)
    assert (predicted == said)[annotators < 4].float().mean() > 0.6  # 0 where they still count as right
    assert (model.consensus(features).argmax(-1) == truth).float().mean() > 0.8


def test_crowd_layer_on_a_worked_example() -> None:
    model = CrowdLayer(2, 2, 1)
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([0.8, 0.2]).log())
        columns = torch.tensor([[0.9, 0.4], [0.1, 0.6]])  # P(said | true)
        model.confusion[0] = (columns.log() - model.diagonal * torch.eye(2)) / STRETCH
    said = model(torch.zeros(1, 2), torch.tensor([0])).softmax(-1)
    torch.testing.assert_close(said, torch.tensor([[0.9 * 0.8 + 0.4 * 0.2, 0.1 * 0.8 + 0.6 * 0.2]]))
