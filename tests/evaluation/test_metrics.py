"""Each metric equals an independent library where one has it, and a worked example where none has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import ot
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import jensenshannon
from scipy.stats import binom, wasserstein_distance
from sklearn.metrics import brier_score_loss, f1_score, log_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from dcpc.errors import DataError, UsageError
from dcpc.evaluation import distribution as D
from dcpc.evaluation import evaluate_distribution, majority_labels, per_annotator_error
from dcpc.evaluation.distribution import brier, expected_calibration_error, wasserstein

ITEMS, C, VOTES = 60, 4, 5


@pytest.fixture
def predictions() -> tuple[np.ndarray, np.ndarray]:
    """Random predictions p [I, C] and counts [I, C] with VOTES judgements each."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(C), ITEMS)
    counts = np.stack([rng.multinomial(VOTES, row) for row in rng.dirichlet(np.ones(C), ITEMS)])
    return p, counts


def judgements(p: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One row per judgement: repeated predictions [J, C] and labels [J]."""
    items, labels = np.nonzero(counts)
    return p[items].repeat(counts[items, labels], axis=0), labels.repeat(counts[items, labels])


def test_cross_entropy_and_brier_equal_scikit_learn_over_judgements(
    predictions: tuple[np.ndarray, np.ndarray],
) -> None:
    p, counts = predictions
    rows, labels = judgements(p, counts)
    values = evaluate_distribution(p, counts, "nominal")
    assert values["cross_entropy"] == pytest.approx(log_loss(labels, rows, labels=range(C)))
    assert values["brier"] == pytest.approx(
        brier_score_loss(labels, rows, labels=range(C), scale_by_half=False)
    )


def test_cross_entropy_of_an_impossible_label_equals_scikit_learn() -> None:
    p = np.array([[1.0, 0.0]])
    expected = log_loss([1], p, labels=[0, 1])
    assert D.cross_entropy(p, np.array([[0.0, 1.0]]))[0] == pytest.approx(expected)


def test_jensen_shannon_is_the_square_of_scipys_distance_in_bits(
    predictions: tuple[np.ndarray, np.ndarray],
) -> None:
    p, counts = predictions
    q = counts / VOTES
    expected = [jensenshannon(a, b, base=2) ** 2 for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(D.jensen_shannon(p, q), expected)
    assert D.jensen_shannon(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))[0] == pytest.approx(1.0)


def test_expected_divergence_is_the_mean_over_drawn_judgements(
    predictions: tuple[np.ndarray, np.ndarray],
) -> None:
    p = predictions[0][:40]
    n = np.arange(len(p)) % 7 + 1
    rng = np.random.default_rng(0)
    drawn = [D.jensen_shannon(p, rng.multinomial(n, p) / n[:, None]) for _ in range(4_000)]
    np.testing.assert_allclose(D.expected_jensen_shannon(p, n), np.mean(drawn, axis=0), atol=0.015)
    np.testing.assert_allclose(D.expected_jensen_shannon(p, n).mean(), np.mean(drawn), rtol=0.005)


def test_expected_divergence_by_hand_and_without_doubt() -> None:
    one_vote = D.jensen_shannon(np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]]))
    np.testing.assert_allclose(D.expected_jensen_shannon(np.array([[0.5, 0.5]]), np.array([1])), one_vote)
    np.testing.assert_allclose(
        D.expected_jensen_shannon(np.array([[1.0, 0.0]]), np.array([5])), 0.0, atol=1e-12
    )


@pytest.mark.parametrize(("votes", "best"), [(1, 0.94), (3, 0.86), (5, 0.83)])
def test_divergence_from_few_votes_rewards_predictions_that_are_too_certain(votes: int, best: float) -> None:
    said = np.linspace(0.5, 0.99, 50)
    predicted, truth = np.stack([said, 1 - said], axis=1), np.tile([0.8, 0.2], (50, 1))
    expected = D.expected_jensen_shannon(truth, np.full(50, votes), predicted)
    assert said[expected.argmin()] == pytest.approx(best)


def test_manhattan_and_soft_micro_f1_on_a_worked_example() -> None:
    p, q = np.array([[0.7, 0.2, 0.1]]), np.array([[0.4, 0.6, 0.0]])
    assert D.manhattan(p, q)[0] == pytest.approx(0.8)  # 0.3 + 0.4 + 0.1
    assert D.soft_micro_f1(p, q)[0] == pytest.approx(0.6)  # 0.4 + 0.2 + 0


def test_wasserstein_equals_scipy_and_optimal_transport(predictions: tuple[np.ndarray, np.ndarray]) -> None:
    p, counts = predictions
    q, steps = counts / VOTES, np.arange(C, dtype=float)
    cost = ot.dist(steps[:, None], steps[:, None], metric="euclidean")
    for row, (a, b) in enumerate(zip(p, q, strict=True)):
        value = wasserstein(p, q)[row]
        assert value == pytest.approx(wasserstein_distance(steps, steps, a, b))
        assert value == pytest.approx(ot.emd2(a, b, cost), abs=1e-9)


@pytest.mark.parametrize("n_bins", [5, 15])
def test_calibration_error_equals_torchmetrics_over_judgements(
    predictions: tuple[np.ndarray, np.ndarray], n_bins: int
) -> None:
    p, counts = predictions
    rows, labels = judgements(p, counts)
    expected = multiclass_calibration_error(
        torch.tensor(rows), torch.tensor(labels), num_classes=C, n_bins=n_bins, norm="l1"
    )
    assert expected_calibration_error(p, counts / VOTES, n_bins) == pytest.approx(float(expected), abs=1e-6)


def test_a_prediction_equal_to_the_votes_is_calibrated_and_at_the_minimum() -> None:
    q = np.array([[0.6, 0.4], [0.8, 0.2]])
    assert expected_calibration_error(q, q) == pytest.approx(0)
    for other in np.linspace(0, 1, 21):
        p = np.tile([other, 1 - other], (2, 1))
        assert (brier(p, q) >= brier(q, q) - 1e-12).all()
        assert (D.cross_entropy(p, q) >= D.cross_entropy(q, q) - 1e-12).all()


def test_majority_scores_leave_ties_out_and_count_them() -> None:
    counts = np.array([[3, 0], [0, 2], [2, 2], [1, 4], [1, 1]])
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.5, 0.5], [0.3, 0.7], [0.1, 0.9]])
    assert majority_labels(counts).tolist() == [0, 1, -1, 1, -1]
    values = evaluate_distribution(p, counts, "nominal")
    assert (values["ties"], values["items"]) == (2, 5)
    assert values["accuracy"] == pytest.approx(2 / 3)
    assert values["macro_f1"] == pytest.approx(f1_score([0, 1, 1], [0, 0, 1], average="macro"))


def test_scores_of_items_that_are_all_tied_are_not_a_number() -> None:
    values = evaluate_distribution([[0.5, 0.5]], [[1, 1]], "nominal")
    assert np.isnan(values["macro_f1"])
    assert np.isnan(values["accuracy"])


def test_given_decisions_replace_the_most_probable_label() -> None:
    values = evaluate_distribution([[0.6, 0.4], [0.7, 0.3]], [[0, 2], [2, 0]], "nominal", predicted=[1, 0])
    assert values["accuracy"] == 1


def test_only_ordinal_scales_have_a_wasserstein_distance(predictions: tuple[np.ndarray, np.ndarray]) -> None:
    p, counts = predictions
    assert "wasserstein" in evaluate_distribution(p, counts, "ordinal")
    assert "wasserstein" not in evaluate_distribution(p, counts, "nominal")


def test_per_annotator_error_on_a_worked_example() -> None:
    error = per_annotator_error([0, 1, 1, 0, 1], [0, 0, 1, 1, 0], [0, 0, 2, 2, -1], n_annotators=4)
    np.testing.assert_array_equal(error, [0.5, np.nan, 0.5, np.nan])


def test_bad_input_names_the_row_and_the_fix() -> None:
    with pytest.raises(UsageError, match="row 1"):
        evaluate_distribution([[0.5, 0.5], [2.0, -1.0]], [[1, 0], [1, 0]], "nominal")
    with pytest.raises(DataError, match="no judgement"):
        evaluate_distribution([[0.5, 0.5]], [[0, 0]], "nominal")
    with pytest.raises(UsageError, match="shape"):
        evaluate_distribution([[0.5, 0.5]], [[1, 0, 0]], "nominal")
    with pytest.raises(UsageError, match="between 0 and 1"):
        evaluate_distribution([[0.5, 0.5]], [[1, 0]], "nominal", predicted=[2])
    with pytest.raises(UsageError, match="per-annotator"):
        per_annotator_error([0, 1], [0], [0])


def test_equal_distributions_diverge_by_zero_despite_rounding() -> None:
    p = np.array([[1 / 3, 1 / 3, 1 / 3], [0.33333333, 0.33333333, 0.33333334]])
    np.testing.assert_allclose(D.jensen_shannon(p, p[::-1]), 0, atol=1e-12)


@given(
    arrays(np.float64, (6, 3), elements=st.floats(0, 1)), arrays(np.int64, (6, 3), elements=st.integers(0, 4))
)
def test_every_metric_stays_within_its_range(weights: np.ndarray, counts: np.ndarray) -> None:
    p = (weights + 1e-9) / (weights + 1e-9).sum(axis=1, keepdims=True)
    counts[:, 0] += counts.sum(axis=1) == 0
    values = evaluate_distribution(p, counts, "ordinal")
    ranges = {"jensen_shannon": 1, "manhattan": 2, "soft_micro_f1": 1, "ece": 1, "brier": 2, "wasserstein": 2}
    for name, top in ranges.items():
        assert -1e-9 <= values[name] <= top + 1e-9, name
    assert values["soft_micro_f1"] == pytest.approx(1 - values["manhattan"] / 2)


@pytest.mark.parametrize(("votes", "best"), [(1, 0.94), (3, 0.86), (5, 0.83), (100, 0.80)])
def test_few_votes_make_the_divergence_favour_certainty_and_the_cross_entropy_not(
    votes: int, best: float
) -> None:
    # The figures that docs/metrics.md gives: 80 % of all annotators would say yes.
    yes = np.arange(votes + 1)
    q = np.stack([yes / votes, 1 - yes / votes], axis=1)
    likely = binom.pmf(yes, votes, 0.8)
    grid = np.linspace(0.5, 0.999, 500)

    def lowest(distance: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> float:
        expected = [likely @ distance(np.tile([p, 1 - p], (votes + 1, 1)), q) for p in grid]
        return float(grid[np.argmin(expected)])

    assert lowest(D.jensen_shannon) == pytest.approx(best, abs=0.006)
    assert lowest(D.cross_entropy) == pytest.approx(0.8, abs=0.001)
