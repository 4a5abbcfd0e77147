"""Surveys: a row is a person, a column is an item."""

from __future__ import annotations

import shlex
from pathlib import Path

import pandas as pd
import pytest
from reading import has_note

from dcpc.cli import options
from dcpc.data.readers import read_annotations, read_item_rows
from dcpc.errors import DataError, UsageError

ITEMS = ["The tap drips all night.", "Two screws were missing.", "Lovely, and it fits.", "Same as before."]
ANSWERS = [[1, 2, 5, 5], [2, 3, 4, 5], [3, 1, 5, 5], [4, 5, 3, 5], [5, 4, 2, 5]]


def survey(folder: Path, **others: list[object]) -> Path:
    frame = pd.DataFrame(ANSWERS, columns=ITEMS)
    for place, (name, values) in enumerate(others.items()):
        frame.insert(place, name.replace("_", " "), values)
    path = folder / "answers.csv"
    frame.to_csv(path, index=False)
    return path


def typed(message: str) -> dict[str, object]:
    """What a shell and the command line make of the options in a message."""
    words = shlex.split(message[message.index("--format") :].rstrip("."))
    given = dict(zip(words[::2], words[1::2], strict=True))
    return {"format": given["--format"], "columns": options.parse_columns(given.get("--columns"))}


MAILS = [f"p{n}@example.org" for n in range(5)]
TIMES = [f"2024/03/01 10:0{n}:00 AM GMT+1" for n in range(5)]


def test_the_hint_works_when_typed(tmp_path: Path) -> None:
    path = survey(tmp_path, Timestamp=TIMES, Email_Address=MAILS)
    with pytest.raises(DataError) as caught:
        read_annotations(path)
    annotations = read_annotations(path, **typed(caught.value.fix or ""))
    assert (annotations.n_items, annotations.n_judgements) == (4, 20)
    assert list(annotations.annotators) == MAILS
    table = annotations.table
    assert table[table["text"] == ITEMS[0]]["label"].tolist() == ["1", "2", "3", "4", "5"]
    # All agree on the last one: it shares a label with the others, and is no less an item.
    assert table[table["text"] == ITEMS[3]]["label"].tolist() == ["5"] * 5
    assert has_note(annotations, 'about the person: "Timestamp"')


def test_persons_without_ids_are_named_by_their_rows(tmp_path: Path) -> None:
    path = survey(tmp_path, Timestamp=TIMES)
    with pytest.raises(DataError) as caught:
        read_annotations(path)
    assert typed(caught.value.fix or "") == {"format": "people", "columns": {}}
    annotations = read_annotations(path, format="people")
    assert list(annotations.annotators) == [f"row {n}" for n in range(2, 7)]
    assert has_note(annotations, "named by their rows")


def test_gaps_are_no_judgements(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    path.write_text("who,Is it warm enough?,Is it loud in here?\na,yes,no\nb,,yes\nc,no,NA\nd,,\n")
    annotations = read_annotations(path, format="people", columns={"annotator_id": "who"})
    assert annotations.n_judgements == 4
    assert has_note(annotations, "1 person without answers")
    assert has_note(annotations, '"NA" (1 cell)')


def test_a_table_with_texts_is_no_survey(tmp_path: Path) -> None:
    """Several questions on each text, as columns: the rows are items."""
    texts = ["The waiter came late and smiled at nobody.", "We had the soup, and then the soup again."] * 3
    frame = pd.DataFrame({"kommentar": texts, "How rude is it?": [1, 2] * 3, "How long is it?": [2, 1] * 3})
    frame.to_csv(tmp_path / "data.csv", index=False)
    with pytest.raises(DataError) as caught:
        read_annotations(tmp_path / "data.csv")
    assert "people" not in (caught.value.fix or "")


def test_columns_without_common_labels_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("who,one,two\na,x,1\nb,y,2\n")
    with pytest.raises(DataError, match="no columns are told"):
        read_annotations(tmp_path / "data.csv", format="people")


def test_items_to_predict_are_refused_with_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"dcpc convert .* --format people"):
        read_item_rows(survey(tmp_path), format="people")


def test_a_gap_in_a_parquet_column_of_numbers_hides_no_item(tmp_path: Path) -> None:
    frame = pd.DataFrame(ANSWERS, columns=ITEMS)
    frame[ITEMS[0]] = [1.0, 2.0, None, 4.0, 5.0]
    frame.to_parquet(tmp_path / "answers.parquet")
    annotations = read_annotations(tmp_path / "answers.parquet", format="people")
    assert (annotations.n_items, annotations.n_judgements) == (4, 19)
    assert annotations.labels == ("1", "2", "3", "4", "5")
