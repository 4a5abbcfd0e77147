"""Shares, agreement and one-hot rows on worked examples."""

from __future__ import annotations

import numpy as np
import pytest

from dcpc.data.counts import one_hot, pairwise_agreement, soft_labels


def test_shares_on_a_worked_example() -> None:
    shares = soft_labels(np.array([[1, 2, 0], [1, 1, 0]]))
    np.testing.assert_allclose(shares, [[1 / 3, 2 / 3, 0], [0.5, 0.5, 0]])


def test_agreement_counts_pairs() -> None:
    counts = np.array([[3, 0], [2, 1], [1, 1], [1, 0]])
    assert pairwise_agreement(counts) == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert pairwise_agreement(counts[:1]) == 1
    assert pairwise_agreement(counts[3:]) is None


def test_one_hot_rows() -> None:
    np.testing.assert_array_equal(one_hot(np.array([2, 0]), 3), [[0, 0, 1], [1, 0, 0]])
