"""Bad input: one clear error each, that says where and how to mend it, and never quotes a text."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from dcpc.data.readers import read_annotations, read_item_rows, read_items
from dcpc.errors import DataError, UsageError

HEADER = "item_id,text,annotator_id,label\n"
GOOD = HEADER + "1,first text,ann,yes\n1,first text,bob,no\n2,second text,ann,no\n"


def csv(folder: Path, content: str | bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def error(path: Path | str, **options: object) -> DataError:
    with pytest.raises(DataError) as caught:
        read_annotations(path, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert str(path) in message
    assert caught.value.fix
    assert "secret" not in message
    return caught.value


def test_good_input_is_read(tmp_path: Path) -> None:
    annotations = read_annotations(csv(tmp_path, GOOD))
    assert annotations.labels == ("no", "yes")
    assert annotations.notes == ()


def test_no_such_file(tmp_path: Path) -> None:
    assert "no such file" in error(tmp_path / "missing.csv").what
    assert "device or pipe" in error(Path(os.devnull)).what


@pytest.mark.parametrize("content", ["", HEADER, "\n\n", "[]", "{}"])
def test_a_file_without_judgements(tmp_path: Path, content: str) -> None:
    error(csv(tmp_path, content))


def test_a_missing_column_lists_the_columns_and_suggests_one(tmp_path: Path) -> None:
    found = error(csv(tmp_path, "id,comment,worker,rating\n1,secret,a,5\n1,secret,b,4\n"))
    assert '"comment"' in found.what
    assert found.fix == "Name yours with --columns text=comment,label=rating."


def test_a_missing_label_column_suggests_one(tmp_path: Path) -> None:
    found = error(csv(tmp_path, "text,rating\na secret,5\nb secret,4\n"))
    assert found.fix == "Name yours with --columns label=rating."


def test_a_wrong_column_option_lists_the_columns(tmp_path: Path) -> None:
    found = error(csv(tmp_path, GOOD), columns={"text": "txt"})
    assert 'no column "txt"' in found.what
    assert "text=text" in str(found.fix)


def test_an_unknown_name_in_columns_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="item_id, text"):
        read_annotations(csv(tmp_path, GOOD), columns={"txt": "text"})


def test_an_unknown_format_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='Did you mean "label-studio"'):
        read_annotations(csv(tmp_path, GOOD), format="labelstudio")


def test_an_unknown_scale_names_the_scales(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nominal, ordinal, preference"):
        read_annotations(csv(tmp_path, GOOD), scale="interval")  # type: ignore[arg-type]


@pytest.mark.parametrize("empty", ["", "   "])
def test_an_empty_text_names_the_row_as_a_spreadsheet_counts_it(tmp_path: Path, empty: str) -> None:
    found = error(csv(tmp_path, GOOD + f"3,{empty},ann,yes\n"))
    assert str(found.where).endswith('data.csv, row 5, column "text"')


def test_a_row_is_named_right_after_blank_lines(tmp_path: Path) -> None:
    found = error(csv(tmp_path, GOOD + "\n3,,ann,yes\n"))
    assert ", row 6," in str(found.where)


def test_blank_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    annotations = read_annotations(csv(tmp_path, GOOD + "\n\n"))
    assert annotations.n_judgements == 3
    assert any("2 blank lines" in note for note in annotations.notes)


def test_a_missing_label(tmp_path: Path) -> None:
    found = error(csv(tmp_path, GOOD + "3,third,ann,\n4,fourth,ann,\n"))
    assert ", row 5, column" in str(found.where)
    assert "2 such rows" in found.what


def test_a_missing_label_under_its_own_name(tmp_path: Path) -> None:
    found = error(csv(tmp_path, "text,rating\na,5\nb,\n"), columns={"label": "rating"})
    assert 'row 3, column "rating"' in str(found.where)


def test_a_label_outside_the_declared_set(tmp_path: Path) -> None:
    found = error(csv(tmp_path, GOOD + "3,third,ann,maybe\n"), labels=["yes", "no"])
    assert '"maybe" is not one of "yes", "no"' in found.what
    assert ", row 5," in str(found.where)


def test_a_label_that_only_repeats_had_is_told_of(tmp_path: Path) -> None:
    rows = "1,a,007,yes\n1,a,7,no\n2,b,007,yes\n2,b,7,no\n"
    found = error(csv(tmp_path, HEADER + rows))
    assert "--repeats all" in str(found)
    assert "--exact" in str(found)
    assert read_annotations(csv(tmp_path, HEADER + rows), exact=True).labels == ("no", "yes")


def test_one_class_only(tmp_path: Path) -> None:
    assert 'same label "yes"' in error(csv(tmp_path, HEADER + "1,a,x,yes\n2,b,x,yes\n")).what


def test_one_class_is_fine_where_the_label_set_is_declared(tmp_path: Path) -> None:
    path = csv(tmp_path, HEADER + "1,a,x,yes\n2,b,x,yes\n")
    assert read_annotations(path, labels=["yes", "no"]).labels == ("yes", "no")


def test_of_a_premise_and_a_question_about_it_the_premise_is_the_text(tmp_path: Path) -> None:
    found = error(
        csv(tmp_path, "premise,choice1,choice2,question,label\nIt rained.,We left,We ran,effect,0\n")
    )
    assert found.fix == "Name yours with --columns text=premise."


def test_an_annotator_who_judged_an_item_twice_is_refused_on_request(tmp_path: Path) -> None:
    found = error(csv(tmp_path, GOOD + "1,first text,ann,no\n"), repeats="refuse")
    assert 'annotator "ann" judged item "1" already in row 2' in found.what
    assert "row 5" in str(found.where)


def test_several_labels_of_one_item_are_fine_without_annotator_ids(tmp_path: Path) -> None:
    annotations = read_annotations(csv(tmp_path, "item_id,text,label\n1,a,yes\n1,a,no\n1,a,no\n"))
    assert annotations.n_judgements == 3
    assert not annotations.has_annotators


def test_one_item_with_two_texts(tmp_path: Path) -> None:
    found = error(csv(tmp_path, GOOD + "2,other secret text,bob,no\n"))
    assert 'item "2" had another text in row 4' in found.what
    assert ', row 5, column "text"' in str(found.where)


def test_texts_that_are_numbers_suggest_the_column_with_texts(tmp_path: Path) -> None:
    found = error(csv(tmp_path, "text,body,label\n17,a longer secret text,1\n18,another longer secret,0\n"))
    assert "--columns text=body" in str(found.fix)


def test_numbers_as_texts_in_parquet(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    pd.DataFrame({"text": [1, 2], "label": ["a", "b"]}).to_parquet(path)
    assert "all numbers" in error(path).what


def test_a_text_that_is_a_mapping(tmp_path: Path) -> None:
    lines = [{"text": {"title": "secret"}, "label": 1}, {"text": "c", "label": 2}]
    found = error(csv(tmp_path, "\n".join(map(json.dumps, lines)), "data.jsonl"))
    assert "found dict" in found.what
    assert "line 1" in str(found.where)


def test_non_utf8_names_the_byte(tmp_path: Path) -> None:
    content = GOOD.encode() + "3,caf\xe9,ann,yes\n".encode("latin-1")
    found = error(csv(tmp_path, content))
    assert f"byte {content.index(0xE9) + 1}" in found.what
    assert "Windows-1252" in str(found.fix)


def test_non_utf8_after_a_block_boundary_names_the_byte(tmp_path: Path) -> None:
    content = GOOD.encode() + b"3," + "é".encode() * 600_000 + b"\xff,ann,yes\n"
    assert f"byte {content.index(0xFF) + 1:,}" in error(csv(tmp_path, content)).what


def test_utf16_with_its_mark_is_read_and_said(tmp_path: Path) -> None:
    annotations = read_annotations(csv(tmp_path, GOOD.encode("utf-16")))
    assert annotations.n_judgements == 3
    assert any("UTF-16" in note for note in annotations.notes)


def test_utf16_without_its_mark_is_named(tmp_path: Path) -> None:
    content = GOOD.encode("utf-16-be").replace(b"r", b"\xff")
    assert "iconv" in str(error(csv(tmp_path, content)).fix)


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    assert read_annotations(csv(tmp_path, b"\xef\xbb\xbf" + GOOD.encode())).n_items == 2


def test_a_row_with_too_many_fields(tmp_path: Path) -> None:
    found = error(csv(tmp_path, GOOD + "3,a, b,ann,yes\n"))
    assert "5 fields, the header 4" in found.what
    assert "row 5" in str(found.where)


def test_malformed_json_names_the_line(tmp_path: Path) -> None:
    good = json.dumps({"text": "a", "label": "x"})
    found = error(csv(tmp_path, good + "\n" + good + '\n{"text": "secret,\n', "data.jsonl"))
    assert "malformed JSON" in found.what
    assert "line 3" in str(found.where)


def test_a_malformed_first_line_of_json_lines(tmp_path: Path) -> None:
    assert "line 1" in str(
        error(csv(tmp_path, '{"text": \n{"text": "a", "label": "b"}\n', "data.jsonl")).where
    )


def test_malformed_json_document_names_the_line(tmp_path: Path) -> None:
    found = error(csv(tmp_path, '[\n{"text": "a"},\n{"text" "b"}]', "data.json"))
    assert "line 3" in str(found.where)


def test_json_of_something_else(tmp_path: Path) -> None:
    assert "found int" in error(csv(tmp_path, "[1, 2]", "data.json")).what
    mixed = json.dumps({"text": "a", "label": "x"}) + "\n[1]\n"
    assert "found list" in error(csv(tmp_path, mixed, "data.jsonl")).what


def test_a_parquet_file_that_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    pd.DataFrame({"text": ["a", "b"], "label": ["a", "b"]}).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    assert "not a whole Parquet file" in error(path).what


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (b"\x1f\x8b\x08 rest", "data.csv.gz", "gzip file is damaged"),
        (b"PK\x03\x04 rest", "data.zip", "malformed zip"),
    ],
)
def test_files_that_are_packed(tmp_path: Path, content: bytes, name: str, expected: str) -> None:
    assert expected in error(csv(tmp_path, content, name)).what


def test_an_excel_workbook(tmp_path: Path) -> None:
    path = tmp_path / "data.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
    assert "Save the sheet as CSV" in str(error(path).fix)


def test_a_folder_without_tables(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing")
    assert "no Parquet" in error(tmp_path).what


def test_a_folder_with_files_of_different_kinds(tmp_path: Path) -> None:
    csv(tmp_path, GOOD)
    csv(tmp_path, '{"text": "a", "label": "x"}', "data.jsonl")
    assert "different kinds: .csv, .jsonl" in error(tmp_path).what


def test_records_of_two_tools_in_one_file(tmp_path: Path) -> None:
    lines = [
        {"text": "a", "_input_hash": 1, "accept": ["x"], "answer": "accept"},
        {"data": {"text": "secret"}, "annotations": []},
    ]
    found = error(csv(tmp_path, "\n".join(map(json.dumps, lines)), "data.jsonl"))
    assert "not a Prodigy task" in found.what
    assert "line 2" in str(found.where)


def test_a_forced_format_that_does_not_fit(tmp_path: Path) -> None:
    path = csv(tmp_path, GOOD)
    for name in ("parquet", "jsonl", "doccano", "prodigy", "wide", "huggingface"):
        error(path, format=name)
    error(tmp_path, format="csv")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = csv(tmp_path, GOOD)
    path.chmod(0)
    assert "Permission denied" in error(path).what


def test_a_folder_that_may_not_be_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, **options: object) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    path = csv(tmp_path, GOOD)
    monkeypatch.setattr(Path, "exists", refuse)
    assert "Permission denied" in error(path).what


def test_free_text_as_label(tmp_path: Path) -> None:
    rows = "".join(f"text {number},comment {number}\n" for number in range(300))
    assert "free text or ids" in error(csv(tmp_path, "text,label\n" + rows)).what


def test_a_continuous_score_as_label(tmp_path: Path) -> None:
    rows = "".join(f"text {number},{number / 1000}\n" for number in range(300))
    assert "continuous score" in error(csv(tmp_path, "text,label\n" + rows)).what


def test_a_thousand_classes_are_read_with_a_note(tmp_path: Path) -> None:
    rows = "".join(f"text {number},class-{number % 1000}\n" for number in range(3000))
    annotations = read_annotations(csv(tmp_path, "text,label\n" + rows))
    assert annotations.n_classes == 1000
    assert any("1,000 classes" in note for note in annotations.notes)


def test_a_very_long_text_is_read_with_a_note(tmp_path: Path) -> None:
    annotations = read_annotations(csv(tmp_path, GOOD + f"3,{'x' * 100_000},ann,yes\n"))
    assert annotations.items["text"].str.len().max() == 100_000
    assert any("100,000 characters" in note for note in annotations.notes)


def test_one_annotator_only_is_noted(tmp_path: Path) -> None:
    annotations = read_annotations(csv(tmp_path, HEADER + "1,a,x,yes\n2,b,x,no\n"))
    assert any("only one annotator" in note for note in annotations.notes)


def test_no_annotator_column_is_noted(tmp_path: Path) -> None:
    annotations = read_annotations(csv(tmp_path, "item_id,text,label\n1,a,yes\n2,b,no\n"))
    assert any("no annotator ids" in note for note in annotations.notes)


def test_judgements_without_an_annotator_are_kept_and_counted(tmp_path: Path) -> None:
    annotations = read_annotations(csv(tmp_path, GOOD + "3,third,,yes\n3,third,,no\n"))
    assert annotations.n_judgements == 5
    assert list(annotations.annotator_codes) == [0, 1, 0, -1, -1]
    assert any("2 judgements without an annotator id" in note for note in annotations.notes)


def test_items_are_told_by_their_texts_where_they_have_no_id(tmp_path: Path) -> None:
    annotations = read_annotations(csv(tmp_path, "text,annotator_id,label\na,x,yes\nb,x,no\na,y,no\n"))
    assert annotations.n_items == 2
    assert list(annotations.item_codes) == [0, 1, 0]
    assert any("same text were taken as one item" in note for note in annotations.notes)


def test_ids_made_from_texts_are_equal_across_files(tmp_path: Path) -> None:
    one = read_annotations(csv(tmp_path, "text,label\na,yes\nb,no\n", "one.csv"))
    two = read_annotations(csv(tmp_path, "text,label\nc,yes\na,no\n", "two.csv"))
    assert one.item_ids[0] == two.item_ids[1]
    assert one.item_ids[1] not in set(two.item_ids)


def test_labels_that_differ_in_case_only_are_noted(tmp_path: Path) -> None:
    annotations = read_annotations(csv(tmp_path, GOOD + "3,third,ann,Yes\n"))
    assert any("only in case" in note for note in annotations.notes)


def test_items_are_read_without_labels(tmp_path: Path) -> None:
    items = read_items(csv(tmp_path, "comment,age\na,1\nb,2\na,3\n"), columns={"text": "comment"})
    assert list(items["text"]) == ["a", "b"]
    assert list(items.columns) == ["item_id", "text"]


# --- Ragged tables


def test_a_first_row_with_too_many_fields_is_not_cut(tmp_path: Path) -> None:
    found = error(csv(tmp_path, "label,text\nnegative,Well, The secret\npositive,fine\n"))
    assert found.what == "the row has 3 fields, the header 2."
    assert str(found.where).endswith("data.csv, row 2")
    assert '"quotes"' in str(found.fix)


def test_a_header_that_lacks_a_name_is_told(tmp_path: Path) -> None:
    found = error(csv(tmp_path, "text,label\n1,a secret,yes\n2,b secret,no\n"))
    assert "a name is missing in the header" in found.what
    assert "Name all 3 columns" in str(found.fix)


def test_a_comma_in_a_file_of_one_column_is_not_the_end_of_the_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 2: the row has 4 fields, the header 1"):
        read_items(csv(tmp_path, "text\nFine, a, b, c\n"))


@pytest.mark.parametrize("rows", ["a,yes,\nb,no,\n", "a,yes,\nb,no\n", "a,yes,,\nb,no,,\n"])
def test_a_trailing_delimiter_is_harmless(tmp_path: Path, rows: str) -> None:
    annotations = read_annotations(csv(tmp_path, "text,label\n" + rows))
    assert annotations.table["label"].tolist() == ["yes", "no"]


def test_a_trailing_delimiter_of_the_header_is_no_column(tmp_path: Path) -> None:
    annotations = read_annotations(csv(tmp_path, "text,label,\na,yes,\nb,no\n"))
    assert list(annotations.table.columns) == ["item_id", "text", "label"]
    assert not any("fewer fields" in note for note in annotations.notes)
    found = error(csv(tmp_path, "label,text,\nyes,Well, the secret\nno,fine,\n"))
    assert found.what == "the row has 3 fields, the header 2."


def test_an_unclosed_quote_names_its_row(tmp_path: Path) -> None:
    rows = '1,"two\nlines",ann,yes\n\n2,"secret,ann,no\n3,third,ann,no\n'
    found = error(csv(tmp_path, HEADER + rows))
    assert "never closed" in found.what
    assert str(found.where).endswith(", row 4")


def test_a_row_with_too_few_fields_is_told_from_an_empty_value(tmp_path: Path) -> None:
    found = error(csv(tmp_path, GOOD + "3,third,ann\n"))
    assert found.what.startswith("the row has 3 fields, the header 4")
    assert "row 5" in str(found.where)


def test_rows_that_lack_an_optional_value_are_noted(tmp_path: Path) -> None:
    annotations = read_annotations(csv(tmp_path, "text,label,age\na,yes,30\nb,no\n"))
    assert annotations.n_judgements == 2
    assert any("1 row with fewer fields" in note and "row 3" in note for note in annotations.notes)


def test_an_empty_text_in_a_file_of_one_column_is_no_blank_line(tmp_path: Path) -> None:
    for rows, row in (("a\n\nb\n", 3), ('a\n""\nb\n', 3), ('a\nb\n""\n', 4)):
        with pytest.raises(DataError, match=rf"row {row}, .*the text is empty"):
            read_items(csv(tmp_path, "text\n" + rows))
    assert len(read_items(csv(tmp_path, "text\na\nb\n\n\n"))) == 2


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("[]", "data.json"),
        ("text,label\n", "data.csv"),
        ("text,label\n\n\n", "data.csv"),
        ("text\n\n", "d.csv"),
    ],
)
def test_a_file_without_rows_is_called_that(tmp_path: Path, content: str, name: str) -> None:
    path = csv(tmp_path, content, name)
    assert "there are no" in error(path).what
    with pytest.raises(DataError, match=r"there are no (items|records) in it"):
        read_items(path)


def test_notes_of_single_files_in_a_folder_are_kept(tmp_path: Path) -> None:
    csv(tmp_path, "text,label\na,yes\n\n", "one.csv")
    csv(tmp_path, "text,label\nb,no\n", "two.csv")
    assert any("one.csv: 1 blank line" in note for note in read_annotations(tmp_path).notes)


def test_a_blank_line_instead_of_a_header(tmp_path: Path) -> None:
    assert "first line is blank" in error(csv(tmp_path, "\ntext,label\na,yes\nb,no\n")).what


# --- Names of columns, words for nothing


def test_names_that_differ_in_case_and_spaces_are_matched(tmp_path: Path) -> None:
    annotations = read_annotations(csv(tmp_path, " Item_ID ,Text, LABEL\n1,a,yes\n1,a,no\n"))
    assert list(annotations.item_ids) == ["1"]
    assert annotations.labels == ("no", "yes")
    renamed = read_annotations(csv(tmp_path, "Comment,label\na,yes\nb,no\n"), columns={"text": "comment"})
    assert list(renamed.items["text"]) == ["a", "b"]


def test_an_error_names_the_column_as_the_file_does(tmp_path: Path) -> None:
    assert str(error(csv(tmp_path, "Text,label\na,yes\n,no\n")).where).endswith('row 3, column "Text"')


def test_two_columns_that_could_be_meant_are_not_guessed(tmp_path: Path) -> None:
    assert 'no column "text"' in error(csv(tmp_path, "Text,TEXT,label\na,b,yes\nb,c,no\n")).what


def test_words_for_a_missing_label_are_noted_in_a_long_table(tmp_path: Path) -> None:
    annotations = read_annotations(csv(tmp_path, GOOD + "3,third,ann,NA\n"))
    assert annotations.labels == ("NA", "no", "yes")
    assert any('"NA" (1 judgement)' in note and "--ignore-labels NA" in note for note in annotations.notes)


# --- Rows of items, for prediction


def test_rows_without_ids_are_kept_one_by_one(tmp_path: Path) -> None:
    rows = read_item_rows(csv(tmp_path, "idx,text\nx,a\ny,b\nz,a\n"))
    assert list(rows.items["text"]) == ["a", "b"]
    assert rows.codes.tolist() == [0, 1, 0]
    assert rows.places.tolist() == [2, 3, 4]
    assert not rows.has_ids
    assert any("item_id=idx" in note for note in rows.notes)


def test_rows_of_one_item_id_are_merged_with_a_note(tmp_path: Path) -> None:
    rows = read_item_rows(csv(tmp_path, GOOD))
    assert rows.has_ids
    assert "3 rows of 2 items: one result per item_id." in rows.notes


def test_rows_of_a_wide_table_count_without_labels(tmp_path: Path) -> None:
    rows = read_item_rows(csv(tmp_path, "text,rater_1,rater_2\na,yes,no\nb,,\n"))
    assert rows.codes.tolist() == [0, 1]


def test_an_overall_question_is_proposed_as_the_label(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    rows = [f"a conversation number {n},{n % 7},{'Yes' if n % 3 else 'No'}" for n in range(30)]
    path.write_text("context,seconds,Q_overall\n" + "\n".join(rows) + "\n")
    with pytest.raises(DataError) as error:
        read_annotations(path)
    assert error.value.fix == "Name yours with --columns text=context,label=Q_overall."
    assert read_annotations(path, columns={"text": "context", "label": "Q_overall"}).labels == ("No", "Yes")
