"""What a page says of Krippendorff's alpha, and what it does not say from too little."""

from __future__ import annotations

import numpy as np
import pytest

from dcpc.inspection.agreement import Agreement, Overlap, measure_overlap
from dcpc.inspection.wording import read_alpha
from inspection.conftest import make


def agreement(
    alpha: float | None, *, low: float | None = None, high: float | None = None, items: int = 50
) -> Agreement:
    return Agreement(alpha, low, high, "nominal", 0.5, items)


def sizes(counts: dict[str, int]) -> Overlap:
    rows = [(f"i{n}", "a", label) for label, times in counts.items() for n in range(times)]
    return measure_overlap(make(rows, tuple(counts)))


@pytest.mark.parametrize(
    ("alpha", "words"),
    [
        (None, "cannot be computed"),
        (0.8, "reliable labels"),
        (0.7, "tentative conclusions"),
        (0.3, "not a reliable target"),
        (0.0, "what chance would give"),
        (-0.97, "turned around"),
    ],
)
def test_alpha_is_read_by_the_customary_bounds(alpha: float | None, words: str) -> None:
    assert words in read_alpha(agreement(alpha), sizes({"x": 50, "y": 50}))


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 1.0])
def test_nothing_is_read_from_a_few_items(alpha: float) -> None:
    assert "too few to say anything" in read_alpha(agreement(alpha, items=2), sizes({"x": 2, "y": 2}))


def test_a_label_that_nearly_all_have_explains_a_low_alpha() -> None:
    measured = Agreement(0.0, -0.1, 0.0, "nominal", 0.92, 50)
    words = read_alpha(measured, sizes({"1": 95, "3": 5}))
    assert '"1" has 95 %' in words
    assert "92 %" in words


def test_an_interval_around_zero_is_chance_and_one_above_is_not() -> None:
    even = sizes({"x": 50, "y": 50})
    assert "chance" in read_alpha(agreement(0.1, low=-0.1, high=0.3), even)
    assert "not a reliable target" in read_alpha(agreement(0.1, low=0.05, high=0.2), even)
    assert "below what chance" in read_alpha(agreement(-0.1, low=-0.15, high=-0.05), even)


def test_equal_samples_give_no_interval() -> None:
    from dcpc.inspection.agreement import measure_agreement

    rows = [(f"i{n}", who, label) for n in range(24) for who, label in (("a", "x"), ("b", "y"))]
    measured = measure_agreement(make(rows, ("x", "y")))
    assert measured.alpha == pytest.approx(-0.958, abs=0.001)
    assert measured.alpha_low is None
    assert np.isfinite(measured.alpha)
