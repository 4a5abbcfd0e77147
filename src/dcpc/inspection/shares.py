"""Shares with their 95 % intervals, of independent votes and of clusters of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_Z = 1.959964


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval; `share`, `low` and `high` are None where `n` is 0.

    Attributes:
        n: what it is a share of.
        share: between 0 and 1.
        low, high: of a rater, Wilson's interval (1927); of the pool, linearised with items (or prompts) as clusters.
    """

    n: int
    share: float | None
    low: float | None
    high: float | None


def wilson(hits: int, n: int) -> Share:
    """A binomial share with Wilson's 95 % interval."""
    if n == 0:
        return Share(0, None, None, None)
    p = hits / n
    centre = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    return Share(n, p, float(max(centre - half, 0.0)), float(min(centre + half, 1.0)))


def share_of_sums(x: np.ndarray, y: np.ndarray) -> Share:
    """Σ x / Σ y over clusters, its variance linearised: Σ (x − r y)² / (Σ y)²; no interval from a single cluster."""
    there = y > 0
    x, y = x[there], y[there]
    if not len(y):
        return Share(0, None, None, None)
    r = float(x.sum() / y.sum())
    if len(y) < 2:
        return Share(round(y.sum()), r, None, None)
    half = _Z * float(np.sqrt(((x - r * y) ** 2).sum() * len(y) / (len(y) - 1))) / float(y.sum())
    return Share(round(y.sum()), r, max(r - half, 0.0), min(r + half, 1.0))


def clustered(
    hits: np.ndarray, of: np.ndarray, items: np.ndarray, n_items: int, weights: np.ndarray | None = None
) -> Share:
    """The share of `hits` among `of`, masks over votes [J], with items as clusters.

    Where votes are shares, `weights` [J] says of how much.
    """

    def sums(rows: np.ndarray) -> np.ndarray:
        return np.bincount(items[rows], None if weights is None else weights[rows], minlength=n_items)

    return share_of_sums(sums(hits & of), sums(of))


def mean(values: np.ndarray) -> Share:
    """The mean of values between 0 and 1, one per cluster."""
    return share_of_sums(values, np.ones(len(values)))
