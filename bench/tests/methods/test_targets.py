"""Targets equal the libraries and worked examples, and improve on the vote where they should."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cleanlab.multiannotator import get_label_quality_multiannotator

from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc_bench.methods.crowdlab import crowdlab
from dcpc_bench.methods.dawid_skene import dawid_skene
from dcpc_bench.methods.label_smoothing import smoothed
from dcpc_bench.methods.majority_vote import majority_vote


def table(rows: list[tuple[str, str, str]], labels: tuple[str, ...]) -> Annotations:
    frame = pd.DataFrame(rows, columns=["item_id", "annotator_id", "label"])
    return Annotations(frame.assign(text="t " + frame["item_id"]), labels=labels)


@pytest.fixture
def small() -> Annotations:
    rows = [("i", "x", "b"), ("i", "y", "b"), ("i", "z", "a"), ("j", "x", "a"), ("j", "y", "b")]
    return table(rows, ("a", "b", "c"))


@pytest.fixture
def crowd() -> tuple[Annotations, np.ndarray]:
    """Three labels per item: two careful annotators of four, and two who answer at random."""
    rng = np.random.default_rng(0)
    truth, rows = rng.integers(0, 2, 200), []
    for i, label in enumerate(truth):
        for a in rng.choice(5, 3, replace=False):
            right = rng.random() < (0.95 if a < 2 else 0.55)
            rows.append((f"i{i}", f"a{a}", str(label if right else 1 - label)))
    return table(rows, ("0", "1")), truth


def test_the_majority_vote_on_a_worked_example(small: Annotations) -> None:
    np.testing.assert_allclose(majority_vote(small), [[0, 1, 0], [0.5, 0.5, 0]])


def test_dawid_skene_trusts_the_careful_annotators(crowd: tuple[Annotations, np.ndarray]) -> None:
    annotations, truth = crowd
    posterior = dawid_skene(annotations)
    np.testing.assert_allclose(posterior.sum(axis=1), 1)
    voted = (majority_vote(annotations).argmax(1) == truth).mean()
    assert (posterior.argmax(1) == truth).mean() > voted + 0.02


def test_dawid_skene_gives_a_label_that_nobody_used_no_mass(small: Annotations) -> None:
    posterior = dawid_skene(small)
    assert posterior.shape == (2, 3)
    np.testing.assert_array_equal(posterior[:, 2], 0)


def test_crowdlab_equals_cleanlab_and_beats_the_vote(crowd: tuple[Annotations, np.ndarray]) -> None:
    annotations, truth = crowd
    rng = np.random.default_rng(1)
    right = np.where(rng.random(200) < 0.85, truth, 1 - truth)
    p = np.where(np.arange(2) == right[:, None], 0.85, 0.15)
    consensus = crowdlab(annotations, p)
    wide = annotations.table.pivot(index="item_id", columns="annotator_id", values="label").astype(float)
    expected = get_label_quality_multiannotator(wide.loc[annotations.item_ids].to_numpy(), p, verbose=False)
    np.testing.assert_allclose(consensus.weights, expected["label_quality"]["consensus_quality_score"])
    np.testing.assert_array_equal(consensus.classes, expected["label_quality"]["consensus_label"])
    voted = (majority_vote(annotations).argmax(1) == truth).mean()
    assert (consensus.classes == truth).mean() > voted


def test_methods_that_do_not_fit_the_data_say_so(crowd: tuple[Annotations, np.ndarray]) -> None:
    annotations, _ = crowd
    nameless = Annotations(annotations.table.drop(columns="annotator_id"), labels=annotations.labels)
    single = annotations.where(~annotations.table["item_id"].duplicated())
    p = np.full((200, 2), 0.5)
    with pytest.raises(UsageError, match="do not name annotators"):
        dawid_skene(nameless)
    with pytest.raises(UsageError, match="annotator ids"):
        crowdlab(nameless, p)
    with pytest.raises(UsageError, match="two judgements"):
        crowdlab(single, p)


def test_smoothing_keeps_distributions_and_the_order_of_labels() -> None:
    shares = np.array([[1.0, 0.0, 0.0], [0.5, 0.3, 0.2]])
    found = smoothed(shares, 0.3)
    np.testing.assert_allclose(found, [[0.8, 0.1, 0.1], [0.45, 0.31, 0.24]])
    np.testing.assert_allclose(smoothed(shares, 0.0), shares)
