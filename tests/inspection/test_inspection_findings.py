"""Tables that are easily read wrongly: what the notes and sentences say of them."""

from __future__ import annotations

import numpy as np
import pytest

from dcpc.inspection import inspect_annotations, wording
from dcpc.inspection.groups import connected_parts, sampled_pairs
from dcpc.inspection.judgements import shared_judgements
from dcpc.inspection.page import inspection_page
from inspection.conftest import make


def notes_of(rows: list[tuple[str, str | None, str]], labels: tuple[str, ...]) -> str:
    return "\n".join(inspect_annotations(make(rows, labels), pairs=False).notes)


def test_somebody_who_says_one_thing_throughout_is_named() -> None:
    rows = [
        (f"i{n}", who, "a" if who == "w0" or n % 2 else "b") for n in range(30) for who in ("w0", "w1", "w2")
    ]
    notes = notes_of(rows, ("a", "b"))
    assert 'One label on every item, where the others gave several: w0 ("a", 30 items)' in notes
    agreed = [(f"i{n}", who, "a") for n in range(30) for who in ("w0", "w1")] + [("j", "w2", "b")]
    assert "One label" not in notes_of(agreed, ("a", "b"))


def test_a_scale_that_is_turned_around_is_named() -> None:
    rows = [
        (f"i{n}", who, "ab"[(n % 2) ^ (who == "w3")]) for n in range(40) for who in ("w0", "w1", "w2", "w3")
    ]
    assert "below that of independent labels: w3 (0 % instead of 50 %)" in notes_of(rows, ("a", "b"))


def test_parts_that_share_no_item_are_counted_and_groups_stay_inside_the_largest() -> None:
    rows = [(f"{part}{n}", f"{part}-{who}", "xy"[(n + who) % 2]) for part, size in (("g", 30), ("h", 10))
            for n in range(size) for who in range(5)]  # fmt: skip
    annotations = make(rows, ("x", "y"))
    shared = shared_judgements(annotations)
    part = connected_parts(shared)
    assert part.max() == 1
    kept = annotations.annotators[sampled_pairs(shared, part).kept]
    assert set(kept) == {f"g-{who}" for who in range(5)}
    assert "2 parts that share no item" in notes_of(rows, ("x", "y"))


def test_names_that_are_nearly_alike_are_pointed_out_and_numbers_are_not() -> None:
    assert '"Ana" and "ana "' in wording.alike_names(["ana ", "Ana", "Bert"])[0]
    assert wording.alike_names(["1-2", "12", "Ana", "Anna"]) == []


@pytest.mark.parametrize(("items", "people"), [(1, 40), (2, 2), (2, 150), (3, 2)])
def test_of_a_few_items_nothing_is_claimed(items: int, people: int) -> None:
    rows = [(f"i{n}", f"r{who}", "ab"[who % 2]) for n in range(items) for who in range(people)]
    result = inspect_annotations(make(rows, ("a", "b")), pairs=False)
    assert "too few" in wording.read_alpha(result.agreement, result.overlap)
    assert "cannot be told" in wording.verdict(result.decomposition)
    assert result.groups.members == ()
    assert inspection_page(result)


@pytest.mark.parametrize(
    "labels",
    [("under $5", "$5_$10", r"$\frac$", "#000000"), ("font: 'x", "url(#a)", 'id="q"', "<b>")],
)
def test_labels_are_shown_as_they_are_in_plots(labels: tuple[str, ...]) -> None:
    from html import unescape

    labels = (*labels, "$x_{2$")
    rows = [
        (f"i{n}", f"{labels[who]} {who}", labels[(n + who) % len(labels)])
        for n in range(12)
        for who in range(3)
    ]
    html = inspection_page(inspect_annotations(make(rows, labels), pairs=False))
    figure = unescape(html[html.index("<svg") : html.index("</svg>")])
    assert all(label in figure for label in labels)


def test_with_more_than_fits_the_page_a_sample_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from dcpc.inspection import explorer, groups

    monkeypatch.setattr(explorer, "MOST_ITEMS", 40)
    monkeypatch.setattr(groups, "MOST_RECORDS", 500)
    monkeypatch.setattr(groups, "FEWEST_SAMPLED", 10)
    rng = np.random.default_rng(0)
    rows = [(f"i{n}", f"r{who}", "ab"[rng.integers(2)]) for n in range(60) for who in rng.permutation(20)[:6]]
    result = inspect_annotations(make(rows, ("a", "b")), pairs=False)
    html = inspection_page(result)
    assert "The table holds 40 of the 60 items" in html
    assert set(result.divided["item_id"]) <= set(result.explorer.data["items"]["id"])
    assert result.groups.clustered < 20
    assert f"Looked for among {result.groups.clustered} of 20 annotators." in html


def test_an_estimated_decomposition_is_near_the_exact_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from dcpc.inspection import annotators

    rng = np.random.default_rng(0)
    lean = rng.normal(0, 1, 80)
    rows = [
        (f"i{n}", f"r{who}", "ab"[int(lean[who] + rng.normal() > 0)])
        for n in range(200)
        for who in rng.permutation(80)[:6]
    ]
    shared = shared_judgements(make(rows, ("a", "b")))
    exact = annotators.decompose(shared).preference
    monkeypatch.setattr(annotators, "_EXACT", 10_000)
    estimated = annotators.decompose(shared).preference
    assert exact is not None
    assert exact > 0.2
    assert estimated == pytest.approx(exact, rel=0.03)
