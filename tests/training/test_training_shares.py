"""Shares of labels weigh as as many judgements would."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from dcpc.data import Annotations
from dcpc.evaluation.decision import fit_temperature
from dcpc.regression.logistic import Judged, fit_logistic
from dcpc.training.step import task_loss


def test_the_loss_is_that_of_as_many_judgements():
    logits = torch.randn(2, 3)
    item, shares = torch.tensor([0, 0, 1]), torch.tensor([0.25, 0.75, 1.0])
    targets = torch.eye(3)[[0, 2, 1]]
    repeated = torch.tensor([0, 0, 0, 0, 1])
    expected = task_loss(logits[repeated], torch.eye(3)[[0, 2, 2, 2, 1]], repeated, 2)
    torch.testing.assert_close(task_loss(logits[item], targets, item, 2, shares), expected)


def test_the_regression_is_that_of_as_many_judgements():
    features = np.random.default_rng(0).normal(size=(2, 2))
    repeated = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    labels = np.array([0, 1, 1, 1, 0, 0, 0, 0])
    many = Judged(features, repeated, labels, np.full(8, -1), 0, 2)
    few = Judged(features, np.array([0, 0, 1]), np.array([0, 1, 0]), np.full(3, -1), 0, 2)
    few = replace(few, weights=np.array([1.0, 3.0, 4.0]))
    np.testing.assert_allclose(fit_logistic(few, 1.0).weights, fit_logistic(many, 1.0).weights, atol=1e-5)


def test_the_temperature_of_shares_is_that_of_their_labels_where_they_are_sure():
    p = np.array([[0.7, 0.3], [0.4, 0.6], [0.9, 0.1]])
    assert np.isclose(fit_temperature(p, np.eye(2)[[0, 1, 0]]), fit_temperature(p, np.array([0, 1, 0])))


def test_counts_are_shares():
    table = pd.DataFrame({"item_id": ["1", "1", "2"], "text": "t", "label": ["a", "b", "b"]})
    table["label_share"] = [0.25, 0.75, 1.0]
    assert Annotations(table, ("a", "b")).counts.tolist() == [[0.25, 0.75], [0, 1]]
