"""Annotator pools: identity at strength 0, deterministic, and the noise that was asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dcpc.errors import UsageError
from dcpc_bench.shifts.pool import check_strength
from dcpc_bench.shifts.pools import POOLS, CleanItems, ConfusionPool, GroupBiasPool, simulate

WORDS = ["you", "plain", "river", "stone", "green", "music", "paper", "woman", "cloud", "seven"]


def make_items(n: int = 600, classes: int = 3, seed: int = 0) -> CleanItems:
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, 5)) for _ in range(n)]
    items = CleanItems.from_labels(
        texts, rng.integers(classes, size=n), [f"l{c}" for c in range(classes)], scale="ordinal"
    )
    return replace(items, table=items.table.assign(leaning=rng.integers(-1, classes, size=n)))


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("name", POOLS)
def test_strength_zero_is_the_identity(name: str, classes: int) -> None:
    annotations, report = simulate(make_items(classes=classes), POOLS[name](strength=0.0))
    assert (annotations.table["label"] == annotations.table["clean_label"]).all()
    assert report.realised_noise == 0
    assert report.asked_noise == pytest.approx(0)
    assert report.agreement == 1


@pytest.mark.parametrize("name", POOLS)
def test_same_seed_same_table_and_other_seed_other_table(name: str) -> None:
    items, pool = make_items(), POOLS[name](strength=1.0)
    first, again, other = (simulate(items, pool, seed=s)[0].table for s in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


@pytest.mark.parametrize("name", POOLS)
def test_realised_noise_is_what_was_asked_for(name: str) -> None:
    for strength in (0.5, 1.0):
        pool = POOLS[name](strength=strength)
        _, report = simulate(make_items(3000), pool, n_annotators=100, labels_per_item=4)
        assert report.realised_noise == pytest.approx(report.asked_noise, abs=0.03)
        assert report.realised_noise > 0.02


@pytest.mark.parametrize("name", POOLS)
def test_turning_the_dial_up_adds_noise_and_removes_agreement(name: str) -> None:
    reports = [simulate(make_items(2000), POOLS[name](strength=s))[1] for s in (0.0, 0.3, 0.6, 1.0)]
    assert np.all(np.diff([r.realised_noise for r in reports]) > 0)
    assert np.all(np.diff([r.agreement for r in reports]) < 0)


@pytest.mark.parametrize("name", POOLS)
def test_probabilities_are_distributions(name: str) -> None:
    from dcpc_bench.shifts.assignment import assign_annotators

    items, rng = make_items(200, 4), np.random.default_rng(0)
    asked = assign_annotators(len(items), 5, 2, rng)
    probabilities = POOLS[name](strength=0.8).label_model(items, asked, rng).probabilities
    assert probabilities.shape == (400, 4)
    assert (probabilities >= -1e-12).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_every_item_gets_b_different_annotators() -> None:
    annotations, report = simulate(make_items(), ConfusionPool(), n_annotators=7, labels_per_item=4)
    per_item = annotations.table.groupby("item_id")["annotator_id"]
    assert (per_item.nunique() == 4).all()
    assert (per_item.size() == 4).all()
    assert len(report.annotator_noise) == 7
    assert report.rows == 4 * report.items


def test_one_label_per_item_has_no_agreement() -> None:
    assert simulate(make_items(), ConfusionPool(), labels_per_item=1)[1].agreement is None


def test_group_bias_touches_only_marked_items_and_biased_annotators() -> None:
    annotations, _ = simulate(make_items(), GroupBiasPool(feature=r"\bwoman\b", target="l0"))
    table = annotations.table
    moved = table[table["label"] != table["clean_label"]]
    assert len(moved)
    assert moved["text"].str.contains("woman").all()
    assert (moved["annotator_group"] == "biased").all()
    assert (moved["label"] == "l0").all()


def test_given_scores_decide_who_is_near_the_threshold() -> None:
    items = make_items(1000, 2)
    scores = np.random.default_rng(3).random(1000)
    annotations, _ = simulate(
        replace(items, scores=scores), POOLS["thresholds"](strength=0.5), n_annotators=40
    )
    table = annotations.table
    score = scores[annotations.item_codes]
    flipped_down = (table["clean_label"] == "l1") & (table["label"] == "l0")
    assert score[flipped_down].mean() < score[table["clean_label"] == "l1"].mean() - 0.1


@pytest.mark.parametrize("strength", [-0.1, 1.5])
def test_a_dial_outside_its_range_is_refused(strength: float) -> None:
    with pytest.raises(UsageError, match="outside 0 to 1"):
        check_strength(strength)


def test_more_labels_than_annotators_is_refused() -> None:
    with pytest.raises(UsageError, match="different annotators"):
        simulate(make_items(), ConfusionPool(), n_annotators=2, labels_per_item=3)


def test_clean_labels_come_from_the_majority() -> None:
    annotations, _ = simulate(make_items(300), ConfusionPool(strength=0.3), labels_per_item=9)
    items = CleanItems.from_annotations(annotations)
    truth = annotations.table.drop_duplicates("item_id")["clean_label"].to_numpy()
    assert (np.array(items.labels)[items.codes] == truth).mean() > 0.97
