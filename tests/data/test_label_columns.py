"""Labels in a column each: choices as 0 and 1, shares, percentages and counts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import has_note, labels_of

from dcpc.data import Annotations
from dcpc.data.conversion import convert
from dcpc.data.readers import read_annotations
from dcpc.errors import DataError, UsageError


def table(folder: Path, rows: list[dict[str, object]], name: str = "table.csv") -> Path:
    path = folder / name
    if name.endswith(".csv"):
        pd.DataFrame(rows).to_csv(path, index=False)
    else:
        path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def shares_of(annotations: Annotations) -> dict[str, float]:
    return dict(zip(annotations.labels, annotations.soft_labels[0].round(6).tolist(), strict=True))


class TestChoices:
    def rows(self, **more: object) -> list[dict[str, object]]:
        return [
            {
                "text": f"t {i // 2}",
                "rater_id": i % 2,
                "joy": i % 2,
                "anger": 1 - i % 2,
                "fear": int(i > 3),
                **more,
            }
            for i in range(6)
        ]

    def test_several_choices_are_combined(self, tmp_path: Path) -> None:
        found = read_annotations(table(tmp_path, self.rows()))
        assert labels_of(found) == ["anger", "joy", "anger", "joy", "anger,fear", "fear,joy"]
        assert found.annotators.tolist() == ["0", "1"]
        assert has_note(found, "2 judgements with several labels")

    def test_those_who_chose_nothing_are_skipped_beside_neutral(self, tmp_path: Path) -> None:
        rows = self.rows(neutral=0)
        rows.append({"text": "t 9", "rater_id": 0, "joy": 0, "anger": 0, "fear": 0, "neutral": 0})
        found = read_annotations(table(tmp_path, rows))
        assert found.n_judgements == 6
        assert has_note(found, "Skipped: 1 judgement without any")

    def test_without_a_neutral_label_nothing_is_a_choice(self, tmp_path: Path) -> None:
        rows = self.rows()
        rows.append({"text": "t 9", "rater_id": 0, "joy": 0, "anger": 0, "fear": 0})
        found = read_annotations(table(tmp_path, rows))
        assert labels_of(found)[-1] == "none"
        assert has_note(found, '1 judgement with none of these labels got the label "none"')

    def test_one_question_alone(self, tmp_path: Path) -> None:
        found = read_annotations(
            table(tmp_path, self.rows()), columns={"label": "joy", "annotator_id": "rater_id"}
        )
        assert found.labels == ("0", "1")

    def test_true_and_false(self, tmp_path: Path) -> None:
        rows = [
            {k: bool(v) if k in ("joy", "anger", "fear") else v for k, v in row.items()}
            for row in self.rows()
        ]
        assert labels_of(read_annotations(table(tmp_path, rows)))[-1] == "fear,joy"

    def test_what_is_about_annotators_is_no_label(self, tmp_path: Path) -> None:
        rows = [
            {"text": f"t {i // 2}", "rater_id": i % 2, "native": i % 2, "student": 1 - i % 2, "parent": i % 2}
            for i in range(6)
        ]
        with pytest.raises(DataError, match='no column "label"'):
            read_annotations(table(tmp_path, rows))


class TestShares:
    ROWS = (
        {"text": "first one", "p_pos": 0.25, "p_neg": 0.75},
        {"text": "second", "p_pos": 1.0, "p_neg": 0.0},
    )

    def test_columns_that_sum_to_one(self, tmp_path: Path) -> None:
        found = read_annotations(table(tmp_path, list(self.ROWS)))
        assert shares_of(found) == {"neg": 0.75, "pos": 0.25}
        assert found.weights is not None
        assert not found.has_annotators
        assert has_note(found, '"p_pos", "p_neg": shares of 2 labels')

    @pytest.mark.parametrize("written", ["{:.0%}", "{:.1%}", "{:.2f}"])
    def test_percentages_and_fractions(self, tmp_path: Path, written: str) -> None:
        rows = [{k: v if k == "text" else written.format(v) for k, v in row.items()} for row in self.ROWS]
        assert shares_of(read_annotations(table(tmp_path, rows))) == {"neg": 0.75, "pos": 0.25}

    def test_decimal_commas(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text("text;p_yes;p_no\nfirst one;0,25;0,75\nsecond;1;0\n")
        assert shares_of(read_annotations(path)) == {"no": 0.75, "yes": 0.25}

    def test_a_row_that_does_not_sum_to_one_is_refused(self, tmp_path: Path) -> None:
        rows = [{"text": f"t {i}", "p_a": 0.5, "p_b": 0.5} for i in range(20)]
        rows[7]["p_a"] = 0.2
        with pytest.raises(DataError, match=r"row 9: the shares sum to 0\.7, not to 1 \(1 such row\)"):
            read_annotations(table(tmp_path, rows))

    def test_named_columns_are_refused_likewise(self, tmp_path: Path) -> None:
        rows = [{"text": f"t {i}", "u": 0.5, "v": 0.3} for i in range(3)]
        with pytest.raises(DataError, match=r"row 2: the shares sum to 0\.8"):
            read_annotations(table(tmp_path, rows), columns={"labels": "u|v"})

    def test_rounded_shares_pass(self, tmp_path: Path) -> None:
        rows = [
            {"text": "t", "p_a": 0.33, "p_b": 0.33, "p_c": 0.33},
            {"text": "u", "p_a": 0.5, "p_b": 0.5, "p_c": 0},
        ]
        found = read_annotations(table(tmp_path, rows))
        np.testing.assert_allclose(found.soft_labels[0], 1 / 3)

    def test_cells_that_map_labels_to_shares(self, tmp_path: Path) -> None:
        rows = [
            {"text": "first one", "soft": {"pos": 0.25, "neg": 0.75}},
            {"text": "second", "soft": {"pos": 1, "neg": 0}},
        ]
        assert shares_of(read_annotations(table(tmp_path, rows, "a.jsonl"))) == {"neg": 0.75, "pos": 0.25}

    def test_a_label_without_any_share_stays_one(self, tmp_path: Path) -> None:
        rows = [{"text": f"t {i}", "p_1": 0.4, "p_2": 0.6, "p_10": 0} for i in range(3)]
        assert read_annotations(table(tmp_path, rows)).labels == ("1", "2", "10")

    def test_they_come_back_from_the_long_table(self, tmp_path: Path) -> None:
        before = read_annotations(table(tmp_path, list(self.ROWS)))
        convert(before, tmp_path / "long.csv")
        after = read_annotations(tmp_path / "long.csv")
        np.testing.assert_allclose(after.soft_labels, before.soft_labels)
        assert after.labels == before.labels

    def test_a_long_table_is_checked_by_item(self, tmp_path: Path) -> None:
        rows = [
            {"text": "t", "label": label, "label_share": share} for label, share in (("a", 0.5), ("b", 0.2))
        ]
        with pytest.raises(DataError, match=r"row 2.*sum to 0\.7"):
            read_annotations(table(tmp_path, rows))

    def test_forms_of_single_judgements_refuse_them(self, tmp_path: Path) -> None:
        found = read_annotations(table(tmp_path, list(self.ROWS)))
        for name, form in (("a.json", "argilla"), ("a.jsonl", "trl"), ("b.csv", "crowd-kit")):
            with pytest.raises(UsageError):
                convert(found, tmp_path / name, form)

    def test_columns_named_like_those_of_annotators(self, tmp_path: Path) -> None:
        rows = [{"text": f"t {i}", "label_a": 0.2, "label_b": 0.8} for i in range(3)]
        assert shares_of(read_annotations(table(tmp_path, rows))) == {"a": 0.2, "b": 0.8}

    def test_two_annotators_who_agree_are_no_shares(self, tmp_path: Path) -> None:
        rows = [{"text": f"t {i}", "rater_1": i % 2, "rater_2": 1 - i % 2} for i in range(6)]
        assert read_annotations(table(tmp_path, rows)).n_judgements == 12


class TestCounts:
    def test_columns_that_say_so(self, tmp_path: Path) -> None:
        rows = [{"text": "one", "n_yes": 3, "n_no": 1}, {"text": "two", "n_yes": 0, "n_no": 5}]
        found = read_annotations(table(tmp_path, rows))
        assert found.weights is None
        assert found.counts.tolist() == [[1, 3], [5, 0]]

    def test_named_columns(self, tmp_path: Path) -> None:
        rows = [
            {"tweet": "one", "count": 4, "hate": 3, "neither": 1},
            {"tweet": "two", "count": 3, "hate": 0, "neither": 3},
        ]
        found = read_annotations(table(tmp_path, rows), columns={"text": "tweet", "labels": "hate|neither"})
        assert found.counts.tolist() == [[3, 1], [0, 3]]

    def test_cells_that_map_labels_to_counts(self, tmp_path: Path) -> None:
        rows = [
            {"text": "one", "label_counter": {"e": 60, "n": 30, "c": 10}},
            {"text": "two", "label_counter": {"e": 100}},
        ]
        found = read_annotations(table(tmp_path, rows, "a.jsonl"))
        assert found.labels == ("c", "e", "n")
        assert found.counts.tolist() == [[10, 60, 30], [0, 100, 0]]


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3).filter(any), min_size=2, max_size=6),
    digits=st.integers(2, 6),
    percent=st.booleans(),
)
def test_shares_written_with_some_digits_are_read_to_these_digits(
    tmp_path_factory: pytest.TempPathFactory, counts: list[list[int]], digits: int, percent: bool
) -> None:
    votes = np.array([*counts, [1, 1, 2]])
    shares = votes / votes.sum(axis=1, keepdims=True)
    rows = [
        {
            "text": f"item {i}",
            **{
                f"p_{k}": f"{100 * s:.{digits - 2}f}%" if percent else f"{s:.{digits}f}"
                for k, s in zip("abc", row, strict=True)
            },
        }
        for i, row in enumerate(shares)
    ]
    found = read_annotations(table(tmp_path_factory.mktemp("t"), rows))
    assert found.labels == ("a", "b", "c")
    np.testing.assert_allclose(found.soft_labels, shares, atol=3 * 10.0**-digits)


def test_columns_of_0_and_1_without_annotators_are_asked_about_and_both_answers_work(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    table = pd.DataFrame({"text": [f"a text, number {n}" for n in range(8)]})
    table.assign(joy=[1, 0] * 4, fear=[1, 1, 0, 0] * 2, calm=[0, 1] * 4).to_csv(path, index=False)
    with pytest.raises(DataError) as error:
        read_annotations(path)
    assert "annotators='joy|fear|calm'; if each is a label" in error.value.fix
    assert error.value.fix.endswith("with --columns labels='joy|fear|calm'.")
    chosen = read_annotations(path, columns={"labels": "joy|fear|calm"})
    assert labels_of(chosen) == ["fear,joy", "calm,fear", "joy", "calm"] * 2
    assert len(read_annotations(path, columns={"annotators": "joy|fear|calm"}).annotators) == 3
