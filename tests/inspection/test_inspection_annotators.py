"""Bias, groups, attributes and decomposition: found where they were put in, not found where they were not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dcpc.data.annotations import Annotations
from dcpc.inspection import annotators, attributes
from dcpc.inspection import groups as grouping
from dcpc.inspection.annotators import AnnotatorBias, Decomposition
from dcpc.inspection.attributes import ColumnTest, annotator_columns
from dcpc.inspection.groups import Groups, connected_parts, sampled_pairs
from dcpc.inspection.items import same_item_conflicts as conflicts_of
from dcpc.inspection.judgements import shared_judgements, shuffled_within_items


def find_groups(annotations: Annotations) -> Groups:
    shared = shared_judgements(annotations)
    pairs = sampled_pairs(shared, connected_parts(shared))
    return grouping.find_groups(pairs, annotations.annotators, len(np.unique(shared.annotators)))


def compare_columns(annotations: Annotations) -> list[ColumnTest]:
    shared = shared_judgements(annotations)
    return attributes.compare_columns(
        sampled_pairs(shared, connected_parts(shared)), annotator_columns(annotations)
    )


def decompose(annotations: Annotations) -> Decomposition:
    return annotators.decompose(shared_judgements(annotations))


def measure_bias(annotations: Annotations) -> list[AnnotatorBias]:
    return annotators.measure_bias(shared_judgements(annotations), annotations.annotators, annotations.labels)


def same_item_conflicts(annotations: Annotations) -> pd.DataFrame:
    return conflicts_of(annotations, shared_judgements(annotations))


def raters(
    lean: dict[str, float], *, items: int, levels: int = 5, noise: float = 0.7, seed: int = 0
) -> Annotations:
    """Ordinal ratings: the item's level plus the annotator's leaning plus noise."""
    rng = np.random.default_rng(seed)
    rows = []
    for item in range(items):
        level = rng.uniform(0, levels - 1)
        for annotator, shift in lean.items():
            value = int(np.clip(round(level + shift + rng.normal(0, noise)), 0, levels - 1))
            rows.append((f"i{item}", "t", annotator, str(value)))
    table = pd.DataFrame(rows, columns=["item_id", "text", "annotator_id", "label"])
    return Annotations(table, tuple(str(level) for level in range(levels)), "ordinal")


def test_the_two_camps_are_found_without_being_told(two_camps) -> None:
    groups = find_groups(two_camps)
    assert {frozenset(members) for members in groups.members} == {
        frozenset({"a0", "a1", "a2", "a3"}),
        frozenset({"a4", "a5", "a6", "a7"}),
    }
    assert groups.p_value < 0.05


def test_interchangeable_annotators_form_no_groups(interchangeable) -> None:
    groups = find_groups(interchangeable)
    assert groups.members == ()
    assert groups.reason


def test_the_groups_of_hs_brexit_are_found_without_being_told(shared_data: Path) -> None:
    table = pd.read_parquet(shared_data / "hs_brexit")
    told = table.groupby("annotator_group")["annotator_id"].unique().map(frozenset)
    table = table[["item_id", "text", "annotator_id", "label"]].astype(str)
    groups = find_groups(Annotations(table, ("0", "1")))
    assert {frozenset(members) for members in groups.members} == set(told)


def test_an_attribute_that_matters_is_told_from_one_that_does_not(two_camps) -> None:
    parity = two_camps.table["annotator_id"].str[1].astype(int) % 2
    table = two_camps.table.assign(parity=np.where(parity == 0, "even", "odd"))
    tests = {t.column: t for t in compare_columns(Annotations(table, two_camps.labels))}
    assert tests["camp"].contrast > 5 * abs(tests["parity"].contrast)
    assert tests["camp"].p_value < 0.06
    assert tests["parity"].p_value > 0.2
    assert tests["camp"].values == {"first": 4, "second": 4}


def test_shuffling_keeps_every_items_labels(two_camps) -> None:
    order = shuffled_within_items(two_camps.item_codes, np.random.default_rng(0))
    assert sorted(order) == list(range(two_camps.n_judgements))
    assert (two_camps.item_codes[order] == two_camps.item_codes).all()


def test_preference_share_follows_the_leanings_that_were_put_in() -> None:
    none = decompose(raters({f"a{n}": 0.0 for n in range(6)}, items=300))
    strong = decompose(
        raters({f"a{n}": shift for n, shift in enumerate((-1, -0.6, 0, 0, 0.6, 1))}, items=300)
    )
    assert none.preference < 0.02
    assert strong.preference > 0.3
    assert strong.preference > strong.chance
    assert strong.low < strong.preference < strong.high


def test_leniency_and_extremity_have_the_right_sign() -> None:
    annotations = raters({"strict": -1.0, "lenient": 1.0, "plain": 0.0, "other": 0.0}, items=300)
    bias = {b.annotator: b for b in measure_bias(annotations)}
    assert bias["strict"].leniency < -0.5
    assert bias["lenient"].leniency > 0.5
    table = annotations.table
    ends = table["label"].map({"0": "0", "1": "0", "2": "2", "3": "4", "4": "4"})
    extreme = Annotations(
        table.assign(label=table["label"].where(table["annotator_id"] != "plain", ends)),
        annotations.labels,
        "ordinal",
    )
    bias = {b.annotator: b for b in measure_bias(extreme)}
    assert bias["plain"].extremity > bias["other"].extremity


def test_three_judgements_do_not_stand_out_more_than_three_hundred() -> None:
    annotations = raters({"strict": -1.0, "plain": 0.0, "other": 0.0, "fourth": 0.0}, items=300)
    table = annotations.table
    few = table[(table["annotator_id"] == "plain") & table["item_id"].isin(["i0", "i1", "i2"])]
    table = pd.concat([table, few.assign(annotator_id="rare", label="4")], ignore_index=True)
    bias = {b.annotator: b for b in measure_bias(Annotations(table, annotations.labels, "ordinal"))}
    assert 0 < bias["rare"].z < abs(bias["strict"].z)


def test_confusion_has_a_row_per_label_of_the_others(two_camps) -> None:
    bias = measure_bias(two_camps)
    for one in bias:
        assert one.confusion.shape == (2, 2)
        assert one.confusion.sum() == pytest.approx(one.judgements)


def test_conflicts_join_different_labels_of_different_annotators(two_camps) -> None:
    conflicts = same_item_conflicts(two_camps)
    assert len(conflicts)
    assert (conflicts["label_a"] != conflicts["label_b"]).all()
    assert (conflicts["annotator_a"] != conflicts["annotator_b"]).all()
    assert conflicts["item_a"].is_unique
    assert conflicts["preference_posterior"].between(0, 1).all()
    assert conflicts["preference_posterior"].is_monotonic_decreasing


def test_a_lenient_and_a_strict_annotator_explain_their_conflicts() -> None:
    annotations = raters({"strict": -1.5, "lenient": 1.5, "plain": 0.0, "other": 0.0}, items=300)
    best = same_item_conflicts(annotations).head(20)
    assert set(best["annotator_a"]) | set(best["annotator_b"]) <= {"strict", "lenient"}
    assert (best["preference_posterior"] > 0.8).all()


@pytest.mark.parametrize("name", ["one_label_each", "nameless"])
def test_what_cannot_be_said_is_left_open(name: str, request: pytest.FixtureRequest) -> None:
    annotations = request.getfixturevalue(name)
    assert decompose(annotations).preference is None
    assert decompose(annotations).reason
    assert find_groups(annotations).members == ()
    assert measure_bias(annotations) == []
    assert compare_columns(annotations) == []
    assert same_item_conflicts(annotations).empty


def test_annotators_in_one_place_are_clustered_without_a_warning(recwarn) -> None:
    rng = np.random.default_rng(1)
    items, annotators = np.divmod(np.arange(80), 4)
    labels = rng.integers(2, size=20)[items] ^ (rng.random(80) < 0.05)
    table = pd.DataFrame({"item_id": items, "text": "t", "annotator_id": annotators, "label": labels}).astype(
        str
    )
    assert find_groups(Annotations(table, ("0", "1"))).clustered == 4
    assert [str(w.message) for w in recwarn.list] == []
