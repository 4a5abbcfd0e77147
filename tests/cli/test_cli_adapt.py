"""`dcpc adapt`: new annotators on the command line."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tiny_models import sentiment_judgements


@pytest.fixture
def few(tmp_path: Path) -> Path:
    path = tmp_path / "few.csv"
    sentiment_judgements(6, ("new", "other")).table.to_csv(path, index=False)
    return path


def test_new_annotators_are_predicted_and_evaluated(dcpc, adapter, few, reviews, tmp_path) -> None:
    done = dcpc("adapt", adapter, few, "--output", tmp_path / "more")
    assert done.code == 0
    assert "more knows 2 more annotators, by 6 judgements each." in done.out.replace("\n", " ")
    assert (
        dcpc("predict", tmp_path / "more", reviews, "--as", "annotators", "--output", tmp_path / "p.csv").code
        == 0
    )
    assert set(pd.read_csv(tmp_path / "p.csv")["annotator_id"]) == {"ann", "bob", "cem", "new", "other"}
    checked = dcpc("evaluate", tmp_path / "more", few)
    assert checked.code == 0
    assert "unknown in training" not in checked.err
    assert "2 of 2 annotators" in dcpc("evaluate", adapter, few).err


def test_ids_are_one_in_another_spelling_unless_exact(dcpc, adapter, tmp_path) -> None:
    path = tmp_path / "few.csv"
    sentiment_judgements(6, (" ann ", "new")).table.to_csv(path, index=False)
    done = dcpc("adapt", adapter, path, "--output", tmp_path / "more")
    assert "more knows new, by 6 judgements each." in done.out.replace("\n", " ")
    assert "6 judgements of annotators whom the training knew were left out" in done.err
    exact = dcpc("adapt", adapter, path, "--output", tmp_path / "exact", "--exact")
    assert "2 more annotators" in exact.out


def test_groups_say_nothing_where_training_had_none(dcpc, adapter, few, tmp_path) -> None:
    done = dcpc("adapt", adapter, few, "--output", tmp_path / "more", "--group-column", "text")
    assert done.code == 2
    assert "trained without groups" in done.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "perhaps"}, "perhaps"),
        ({"annotator_id": "ann"}, "every judgement is by an annotator whom the adapter knows"),
        ({"annotator_id": None}, "name no annotators"),
        ({"text": None}, "text"),
    ],
)
def test_what_cannot_be_learned_leaves_nothing(dcpc, adapter, few, tmp_path, change, message) -> None:
    pd.read_csv(few).assign(**change).to_csv(few, index=False)
    done = dcpc("adapt", adapter, few, "--output", tmp_path / "more")
    assert done.code in (1, 2)
    assert message in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "more").exists()


def test_a_folder_that_is_not_empty_is_kept(dcpc, adapter, few, tmp_path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "mine.txt").write_text("mine")
    assert dcpc("adapt", adapter, few, "--output", tmp_path / "more").code != 0
    assert [path.name for path in (tmp_path / "more").iterdir()] == ["mine.txt"]


def test_the_source_is_never_replaced(dcpc, adapter, few) -> None:
    before = {path.name: path.read_bytes() for path in adapter.iterdir()}
    done = dcpc("adapt", adapter, few, "--output", adapter, "--force")
    assert done.code == 2
    assert "would replace what is read" in done.err
    assert {path.name: path.read_bytes() for path in adapter.iterdir()} == before
