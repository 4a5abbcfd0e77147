"""Decisions, selection and splits never look at what they must not and say when data do not suffice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from dcpc.data.annotations import Annotations
from dcpc.errors import DataError, UsageError
from dcpc.evaluation import choose_setting, decide, draw_budget, fit_offsets, folds_by_item, split_by_item


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


def test_two_labels_reach_the_best_threshold() -> None:
    p, labels = unbalanced(3, n=80)
    thresholds = np.concatenate([[-1], np.sort(p[:, 1])])
    best = max(f1_score(labels, p[:, 1] > t, average="macro", zero_division=0) for t in thresholds)
    found = f1_score(labels, decide(p, fit_offsets(p, labels)), average="macro")
    assert found == pytest.approx(best)


def test_offsets_stay_at_zero_where_nothing_is_gained() -> None:
    p = np.array([[0.8, 0.1, 0.1], [0.1, 0.7, 0.2], [0.2, 0.2, 0.6]])
    np.testing.assert_array_equal(fit_offsets(p, [0, 1, 2]), 0)


def test_fitted_offsets_never_lose_on_the_labels_they_saw() -> None:
    rng = np.random.default_rng(4)
    for _ in range(10):
        p, labels = rng.dirichlet(np.ones(4), 50), rng.integers(0, 4, 50)
        plain = f1_score(labels, p.argmax(1), average="macro", zero_division=0)
        fitted = f1_score(labels, decide(p, fit_offsets(p, labels)), average="macro", zero_division=0)
        assert fitted >= plain


def test_selection_names_axes_whose_edge_won() -> None:
    axes = {"rate": [1e-4, 1e-3, 1e-2], "decay": [0.0, 0.1], "one": ["only"]}
    losses = np.array([[[0.9], [0.8]], [[0.5], [0.4]], [[np.nan], [0.6]]])
    choice = choose_setting(axes, losses)
    assert choice.setting == {"rate": 1e-3, "decay": 0.1, "one": "only"}
    assert choice.on_edge == ("decay",)
    assert choice.loss == 0.4
    with pytest.raises(UsageError, match="finite"):
        choose_setting({"rate": [1.0]}, np.array([np.nan]))
    with pytest.raises(UsageError, match="shape"):
        choose_setting(axes, np.zeros(3))


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
