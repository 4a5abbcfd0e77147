"""Whatever the judgements, every format gives the same ones back."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
import pytest
from export_formats import EXPORTS, Judgement, Judgements
from hypothesis import given, settings
from hypothesis import strategies as st

from dcpc.data import Annotations
from dcpc.data.readers import FORMATS, read_annotations, read_items
from dcpc.data.readers.detect import detect_format, look_at
from dcpc.data.readers.tools import tool_formats
from dcpc.data.writers import write_argilla, write_crowdkit, write_long

LABELS = ("no", "yes")

# "t" in front: texts of digits only are an error. Line breaks, quotes and delimiters must survive.
texts = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), include_characters='\n\r\t",;'), max_size=20
).map(lambda text: f"t{text}")


@st.composite
def judgements(draw: st.DrawFn) -> Judgements:
    items = draw(st.lists(texts, min_size=1, max_size=4))
    rows = [
        Judgement(str(100 + number), text, str(annotator), draw(st.sampled_from(LABELS)))
        for number, text in enumerate(items)
        for annotator in draw(st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True))
    ]
    # Two classes at least, and an annotator more than ids would need to be sorted alike as text and number.
    return [
        *rows,
        Judgement("200", "an extra item", "1", "no"),
        Judgement("200", "an extra item", "2", "yes"),
    ]


def as_set(annotations: Annotations) -> set[tuple[str, ...]]:
    table = annotations.table
    return set(zip(table["item_id"], table["text"], table["annotator_id"], table["label"], strict=True))


def expected(rows: Judgements) -> set[tuple[str, ...]]:
    return {(row.item, row.text, row.annotator, row.label) for row in rows}


quick = settings(max_examples=15)


@pytest.mark.parametrize("name", EXPORTS)
@quick
@given(rows=judgements())
def test_every_format_gives_the_same_judgements_and_is_recognised(name: str, rows: Judgements) -> None:
    format_name, write = EXPORTS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = write(rows, Path(folder))
        assert detect_format(str(path), {}) == format_name
        found = read_annotations(path)
        forced = read_annotations(path, format=format_name)
    if "wide" in name:
        found_rows = {(i, t, a.removeprefix("rater_"), label) for i, t, a, label in as_set(found)}
    else:
        found_rows = as_set(found)
    assert found_rows == expected(rows)
    assert found.labels == LABELS
    assert found.scale == "nominal"
    assert found.n_judgements == len(rows)
    pd.testing.assert_frame_equal(found.table, forced.table)


def test_every_format_has_a_property_test() -> None:
    tested = {format_name for format_name, _ in EXPORTS.values()}
    # csv, tsv, jsonl and parquet can be forced, but are recognised as the long table in them. Votes and
    # TRL's pairs are preferences, see test_reader_preferences.py; WebAnno's TSV is refused. Surveys are
    # never told from their content, see test_reader_people.py.
    assert tested == set(FORMATS) - {"csv", "tsv", "jsonl", "parquet", "trl", "votes", "webanno", "people"}


@pytest.mark.parametrize("name", EXPORTS)
def test_no_two_formats_claim_one_source(name: str, tmp_path: Path) -> None:
    rows = [Judgement("100", "a text", "1", "no"), Judgement("100", "a text", "2", "yes")]
    path = EXPORTS[name][1](rows, tmp_path)
    if EXPORTS[name][0] == "huggingface":
        return  # told by what save_to_disk writes
    claims = [name for name, tool in tool_formats().items() if tool.recognises(look_at(path, str(path)))]
    assert claims in ([], [EXPORTS[name][0]])


@pytest.mark.parametrize("name", EXPORTS)
@settings(max_examples=5)
@given(rows=judgements())
def test_every_format_gives_its_items_whether_judged_or_not(name: str, rows: Judgements) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = EXPORTS[name][1](rows, Path(folder))
        items = read_items(path)
    assert set(zip(items["item_id"], items["text"], strict=True)) == {(row.item, row.text) for row in rows}


@pytest.mark.parametrize("name", ["table.csv", "table.tsv", "table.jsonl", "table.parquet"])
@quick
@given(rows=judgements())
def test_the_long_table_survives_writing_and_reading(name: str, rows: Judgements) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = EXPORTS["long jsonl"][1](rows, Path(folder))
        first = read_annotations(source)
        second = read_annotations(write_long(first, Path(folder) / name))
    pd.testing.assert_frame_equal(first.table, second.table)
    assert (first.labels, first.scale) == (second.labels, second.scale)


@pytest.mark.parametrize("name", ["crowd.csv", "crowd.parquet"])
@quick
@given(rows=judgements())
def test_crowd_kit_tables_survive_writing_and_reading(name: str, rows: Judgements) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = read_annotations(EXPORTS["long jsonl"][1](rows, Path(folder)))
        path = write_crowdkit(first, Path(folder) / name)
        assert detect_format(str(path), {}) == "crowd-kit"
        assert as_set(read_annotations(path)) == expected(rows)


@quick
@given(rows=judgements())
def test_argilla_records_survive_writing_and_reading(rows: Judgements) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = read_annotations(EXPORTS["long jsonl"][1](rows, Path(folder)))
        path = write_argilla(first, Path(folder) / "records.json", suggestions=first.soft_labels)
        assert detect_format(str(path), {}) == "argilla"
        assert as_set(read_annotations(path)) == expected(rows)
