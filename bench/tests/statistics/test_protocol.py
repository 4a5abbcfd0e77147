"""Decisions, selection and splits never look at what they must not and say when data do not suffice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from dcpc.data.annotations import Annotations
from dcpc.errors import DataError, UsageError
from dcpc.evaluation import decide, fit_offsets
from dcpc.evaluation.decision import best_offsets, fit_temperature
from dcpc_bench.statistics import draw_budget, folds_by_item, split_by_item


@pytest.fixture
def annotations() -> Annotations:
    rng = np.random.default_rng(0)
    rows = [
        {"item_id": f"i{i}", "text": f"text {i}", "annotator_id": f"a{a}", "label": str(rng.integers(2))}
        for i in range(40)
        for a in rng.choice(6, size=3, replace=False)
    ]
    return Annotations(pd.DataFrame(rows), labels=("0", "1"))


def unbalanced(seed: int, n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """A shrunk model on a set with 15 % positives: p is informative but seldom above one half."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.15).astype(int)
    score = np.clip(0.2 + 0.12 * labels + rng.normal(0, 0.07, n), 0.01, 0.6)
    return np.stack([1 - score, score], axis=1), labels


def test_offsets_raise_macro_f1_on_unseen_items() -> None:
    p, labels = unbalanced(1)
    offsets = fit_offsets(p, labels)
    q, unseen = unbalanced(2)
    plain = f1_score(unseen, q.argmax(1), average="macro", zero_division=0)
    assert f1_score(unseen, decide(q, offsets), average="macro") > plain + 0.1


def test_two_known_labels_reach_the_best_threshold() -> None:
    p, labels = unbalanced(3, n=80)
    thresholds = np.concatenate([[-1], np.sort(p[:, 1])])
    best = max(f1_score(labels, p[:, 1] > t, average="macro", zero_division=0) for t in thresholds)
    found = f1_score(labels, decide(p, best_offsets(np.log(p), np.eye(2)[labels])), average="macro")
    assert found == pytest.approx(best)


def test_the_expected_macro_f1_is_that_of_labels_drawn_from_the_probabilities() -> None:
    rng = np.random.default_rng(5)
    q = rng.dirichlet([4.0, 1.0, 0.5], 300)
    drawn = [[rng.choice(3, p=row) for row in q] for _ in range(20)]

    def reached(offsets: np.ndarray) -> float:
        return float(np.mean([f1_score(y, decide(q, offsets), average="macro") for y in drawn]))

    best = best_offsets(np.log(q), q)
    others = [best + step for step in rng.normal(0, 0.7, (30, 3))] + [np.zeros(3)]
    assert reached(best) > max(reached(offsets) for offsets in others) - 0.005
    assert reached(best) > reached(np.zeros(3)) + 0.03


def test_the_temperature_is_the_one_that_made_the_labels() -> None:
    rng = np.random.default_rng(6)
    q = rng.dirichlet(np.ones(3), 20_000)
    labels = (q.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    for temperature in (0.5, 1.8):
        p = q ** (1 / temperature)
        found = fit_temperature(p / p.sum(axis=1, keepdims=True), labels)
        assert found == pytest.approx(temperature, rel=0.05)


def test_a_few_labels_hardly_move_the_temperature() -> None:
    p, labels = np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([1, 0])
    assert 0.8 < fit_temperature(p, labels) < 1
    assert fit_temperature(np.tile(p, (200, 1)), np.tile(labels, 200)) < 0.2


def test_overconfident_probabilities_are_decided_like_sober_ones() -> None:
    p, labels = unbalanced(7)
    sharp = p**3 / (p**3).sum(axis=1, keepdims=True)
    sober, corrected = decide(p, fit_offsets(p, labels)), decide(sharp, fit_offsets(sharp, labels))
    assert (sober == corrected).mean() > 0.97
    assert (sober == decide(sharp, best_offsets(np.log(sharp), sharp))).mean() < 0.95


def test_offsets_stay_at_zero_where_nothing_is_gained() -> None:
    p = np.array([[0.8, 0.1, 0.1], [0.1, 0.7, 0.2], [0.2, 0.2, 0.6]])
    np.testing.assert_array_equal(best_offsets(np.log(p), np.eye(3)), 0)
    even = np.array([[0.8, 0.2], [0.2, 0.8]] * 50)
    np.testing.assert_allclose(fit_offsets(even, [0, 1] * 50), 0, atol=1e-6)


def test_labels_that_are_certain_not_to_occur_are_not_decided_for() -> None:
    p = np.array([[0.6, 0.4, 1e-9], [0.3, 0.7, 1e-9]] * 40)
    assert set(decide(p, fit_offsets(p, [0, 1] * 40))) == {0, 1}


def test_splits_share_no_item_and_lose_no_judgement(annotations: Annotations) -> None:
    split = split_by_item(annotations, seed=0)
    ids = [set(part.item_ids) for part in split]
    assert not ids[0] & ids[1]
    assert not ids[0] & ids[2]
    assert not ids[1] & ids[2]
    assert sum(part.n_judgements for part in split) == annotations.n_judgements
    assert [part.n_items for part in split] == [24, 6, 10]


def test_splits_depend_on_the_seed_only(annotations: Annotations) -> None:
    first, again, other = (split_by_item(annotations, seed=s).test.item_ids for s in (0, 0, 1))
    assert list(first) == list(again)
    assert list(first) != list(other)


def test_a_budget_of_one_keeps_one_judgement_per_item(annotations: Annotations) -> None:
    drawn = draw_budget(annotations, 1, seed=0)
    assert (drawn.counts.sum(axis=1) == 1).all()
    assert set(drawn.item_ids) == set(annotations.item_ids)
    assert draw_budget(annotations, "all", seed=0) is annotations
    with pytest.raises(UsageError, match="budget"):
        draw_budget(annotations, 2, seed=0)  # type: ignore[arg-type]


def test_every_judgement_has_the_same_chance_in_a_budget_of_one(annotations: Annotations) -> None:
    annotator = annotations.table.query("item_id == 'i0'")["annotator_id"].tolist()
    drawn = [draw_budget(annotations, 1, seed=s).table["annotator_id"][0] for s in range(600)]
    shares = [drawn.count(a) / 600 for a in annotator]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.08)


def test_folds_divide_the_items(annotations: Annotations) -> None:
    folds = folds_by_item(annotations, 4, seed=0)
    assert folds.shape == (annotations.n_items,)
    sizes = np.bincount(folds, minlength=4)
    assert sizes.max() - sizes.min() <= 1


def test_too_few_items_are_named(annotations: Annotations) -> None:
    few = annotations.of_items(["i0", "i1"])
    with pytest.raises(DataError, match="2 items are too few"):
        split_by_item(few, seed=0)
    with pytest.raises(DataError, match="4 folds"):
        folds_by_item(few, 4, seed=0)
    with pytest.raises(UsageError, match="shares"):
        split_by_item(annotations, seed=0, test=0.9)
