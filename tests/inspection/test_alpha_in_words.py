"""What a page says of Krippendorff's alpha."""

from __future__ import annotations

import pytest

from dcpc.inspection.page import read_alpha


@pytest.mark.parametrize(
    ("alpha", "words"),
    [
        (None, "cannot be computed"),
        (0.8, "reliable labels"),
        (0.7, "tentative conclusions"),
        (0.3, "not a reliable target"),
        (0.0, "what chance would give"),
        (-0.97, "reversed scale"),
    ],
)
def test_alpha_is_read_by_the_customary_bounds(alpha: float | None, words: str) -> None:
    assert words in read_alpha(alpha)
