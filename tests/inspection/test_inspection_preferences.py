"""Votes between two responses: habits are measured where they were put in, circles are counted by hand."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dcpc.data.annotations import Annotations
from dcpc.data.readers import read_annotations
from dcpc.inspection.preferences import measure_preferences
from dcpc.inspection.shares import wilson
from dcpc.inspection.wording import preference_sentences


def votes(rows: list[tuple[str, str, str, str, str]], **columns: list[str]) -> Annotations:
    """Rows: prompt, response a, response b, rater, label."""
    table = pd.DataFrame(rows, columns=["text", "response_a", "response_b", "annotator_id", "label"])
    table.insert(0, "item_id", table["text"] + "|" + table["response_a"] + "|" + table["response_b"])
    return Annotations(table.assign(**columns), ("a", "b", "tie"), "preference")


def test_circles_equal_those_counted_one_by_one() -> None:
    rng = np.random.default_rng(0)
    rows, beats = [], {}
    for first, second in itertools.combinations("pqrstuv", 2):
        label = str(rng.choice(["a", "b"]))
        beats[first, second], beats[second, first] = label == "a", label == "b"
        rows.append(("prompt", first, second, "anna", label))
    cyclic = sum(
        (beats[x, y] and beats[y, z] and beats[z, x]) or (beats[y, x] and beats[z, y] and beats[x, z])
        for x, y, z in itertools.combinations("pqrstuv", 3)
    )
    measured = measure_preferences(votes(rows))
    assert measured is not None
    assert (measured.raters[0].cyclic, measured.raters[0].triples) == (cyclic, 35)
    assert measured.cycles.share == pytest.approx(cyclic / 35)
    assert 0 < cyclic < 35


def test_a_circle_of_three_raters_is_the_pools_and_nobodys_own() -> None:
    rows = [("q", "x", "y", "r1", "a"), ("q", "y", "z", "r2", "a"), ("q", "x", "z", "r3", "b")]
    measured = measure_preferences(votes(rows))
    assert measured is not None
    assert (measured.cycles.n, measured.cycles.share) == (1, 1.0)
    assert measured.rater_cycles.n == 0


def test_other_prompts_and_ties_make_no_circle() -> None:
    rows = [("q", "x", "y", "r", "a"), ("q", "y", "z", "r", "a"), ("other", "x", "z", "r", "b")]
    measured = measure_preferences(votes(rows))
    assert measured is not None
    assert measured.cycles.n == 0
    tied = measure_preferences(votes([*rows[:2], ("q", "x", "z", "r", "tie")]))
    assert tied is not None
    assert tied.cycles.n == 0


def test_a_rater_who_likes_length_and_one_who_likes_ties_stand_out() -> None:
    rng = np.random.default_rng(1)
    rows = []
    for n in range(60):
        sides = ["short", "a longer answer"]
        a, b = (f"{side} {n}" for side in (sides if rng.random() < 0.5 else sides[::-1]))
        longer = "a" if len(a) > len(b) else "b"
        rows += [("q", a, b, "long", longer), ("q", a, b, "tied", "tie" if rng.random() < 0.8 else "a")]
        rows += [("q", a, b, f"r{k}", str(rng.choice(["a", "b"]))) for k in range(20)]
    measured = measure_preferences(votes(rows))
    assert measured is not None
    by_name = {rater.rater: rater for rater in measured.raters}
    assert by_name["long"].longer.share == 1
    assert "longer" in by_name["long"].unlike
    assert "ties" in by_name["tied"].unlike
    assert by_name["tied"].ties.share == pytest.approx(0.8, abs=0.12)
    assert not any("longer" in by_name[f"r{k}"].unlike for k in range(20))


def test_position_is_read_from_the_column_that_says_it() -> None:
    rows = [(f"q{n}", f"x{n}", f"y{n}", "r", "a") for n in range(20)]
    by_side = measure_preferences(votes(rows))
    shown = measure_preferences(votes(rows, shown_first=["b"] * 15 + ["a"] * 5))
    assert by_side is not None
    assert shown is not None
    assert (by_side.position, by_side.first.share) == ("side a", 1.0)
    assert any("Always the first side: r (20)" in note for note in by_side.notes)
    assert (shown.position, shown.first.share) == ("column `shown_first`", 0.25)


def test_a_pair_judged_in_both_orders_is_compared_with_itself() -> None:
    rows = [
        ("q", "x", "y", "r", "a"),
        ("q", "y", "x", "r", "b"),
        ("q", "u", "v", "r", "a"),
        ("q", "v", "u", "r", "a"),
    ]
    measured = measure_preferences(votes(rows))
    assert measured is not None
    assert (measured.swapped.n, measured.swapped.share) == (2, 0.5)
    assert any("Judged in both orders by one rater: 2 pairs" in s for s in preference_sentences(measured))


def test_ties_only_and_equal_or_empty_responses_are_said() -> None:
    rows = [("q", "x", "x", f"r{n % 2}", "tie") for n in range(20)] + [("q", "", "y", "r0", "tie")]
    measured = measure_preferences(votes(rows))
    assert measured is not None
    assert measured.ties.share == 1
    assert measured.longer.share is None
    assert any("two equal responses" in note for note in measured.notes)
    assert any("empty response" in note for note in measured.notes)
    assert any(note.startswith("Always a tie") for note in measured.notes)
    assert preference_sentences(measured)


def test_judgements_of_one_text_are_no_votes() -> None:
    table = pd.DataFrame({"item_id": ["1"], "text": ["t"], "label": ["a"]})
    assert measure_preferences(Annotations(table, ("a", "b"))) is None


def test_wilsons_interval_is_the_published_one() -> None:
    from scipy.stats import binomtest

    for hits, n in ((0, 7), (3, 10), (50, 60)):
        interval = binomtest(hits, n).proportion_ci(0.95, method="wilson")
        assert (wilson(hits, n).low, wilson(hits, n).high) == pytest.approx(
            (interval.low, interval.high), abs=1e-6
        )


def test_the_longer_answer_of_mt_bench_wins_as_often_as_its_readme_says(shared_data: Path) -> None:
    measured = measure_preferences(read_annotations(shared_data / "mt_bench_human"))
    assert measured is not None
    assert measured.ties.share == pytest.approx(515 / 2279, abs=0.001)
    assert measured.same_side.share == pytest.approx(0.82, abs=0.005)
    assert measured.cycles.n > 100
    assert measured.cycles.share < 0.1


def test_shares_of_votes_count_by_their_share() -> None:
    # One pair in the source's shares, and as ten votes.
    shared = [
        ("p1", "one", "longer", {"a": 0.1, "b": 0.7, "tie": 0.2}),
        ("p1", "one", "further", {"a": 0.6, "b": 0.4}),
    ]
    rows = [
        (f"i{number}", prompt, first, second, label, share)
        for number, (prompt, first, second, shares) in enumerate(shared)
        for label, share in shares.items()
    ]
    names = ["item_id", "text", "response_a", "response_b", "label", "label_share"]
    table = pd.DataFrame(rows, columns=names)
    whole = table.loc[table.index.repeat((table["label_share"] * 10).round().astype(int))]
    found, votes = (
        measure_preferences(Annotations(each.reset_index(drop=True), ("a", "b", "tie"), "preference"))
        for each in (table, whole.drop(columns="label_share"))
    )
    assert found is not None
    assert votes is not None
    for name in ("ties", "longer", "first"):
        one, other = getattr(found, name), getattr(votes, name)
        assert (one.share, one.low, one.high) == pytest.approx((other.share, other.low, other.high)), name
    assert found.ties.share == pytest.approx(0.1)
