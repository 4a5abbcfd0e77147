"""Forms in which people and tools also write judgements: by person, unpaired, votes in many words."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from reading import has_note, labels_of, save

from dcpc.cli.options import parse_columns
from dcpc.data.readers import read_annotations
from dcpc.errors import DataError


def csv(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


VOTES = "text,response_a,response_b,annotator_id,label\n"


def votes(folder: Path, *labels: str) -> Path:
    return csv(
        folder, VOTES + "".join(f"q {row},r{row},s{row},x,{label}\n" for row, label in enumerate(labels))
    )


# Ids


def test_zeros_in_front_of_ids_stay_where_nothing_else_is_written_without_them(tmp_path: Path) -> None:
    rows = "007,one,0012,yes\n007,one,0013,no\n008,two,0012,no\n"
    found = read_annotations(csv(tmp_path, "item_id,text,annotator_id,label\n" + rows))
    assert found.table["item_id"].tolist() == ["007", "007", "008"]
    assert found.table["annotator_id"].tolist() == ["0012", "0013", "0012"]
    assert not has_note(found, "written in another way")


def test_the_same_id_with_and_without_zeros_is_one_and_others_keep_theirs(tmp_path: Path) -> None:
    rows = "one,0012,yes\none,0013,no\ntwo,12,no\ntwo,7.0,yes\n"
    found = read_annotations(csv(tmp_path, "text,annotator_id,label\n" + rows))
    assert found.table["annotator_id"].tolist() == ["12", "0013", "12", "7"]
    assert has_note(found, '"0012" as "12"')


def test_two_items_that_folding_made_one_are_told_how_to_stay_apart(tmp_path: Path) -> None:
    path = csv(tmp_path, "item_id,text,label\n001,one,yes\n1,two,no\n")
    with pytest.raises(DataError, match="--exact"):
        read_annotations(path)
    assert read_annotations(path, exact=True).n_items == 2


def test_what_programs_write_for_nobody_is_an_annotator_with_a_note(tmp_path: Path) -> None:
    found = read_annotations(csv(tmp_path, "text,annotator_id,label\none,nan,yes\none,ann,no\ntwo,nan,no\n"))
    assert tuple(found.annotators) == ("ann", "nan")
    assert has_note(found, 'Kept as an annotator: "nan" (2 judgements)')


def test_ids_that_a_spreadsheet_has_cut_short_are_told(tmp_path: Path) -> None:
    rows = "one,1.23E+17,yes\none,1.24E+17,no\n"
    found = read_annotations(csv(tmp_path, "text,annotator_id,label\n" + rows))
    assert has_note(found, "2 annotator ids such as 1.23E+17")


def test_merged_cells_are_told_how_to_be_saved(tmp_path: Path) -> None:
    path = csv(tmp_path, "text,annotator_id,label\none,a,yes\n,b,no\ntwo,a,no\n")
    with pytest.raises(DataError, match="unmerge them and fill each down"):
        read_annotations(path)


# People as keys


@pytest.mark.parametrize("column", ["ratings", "annotations", "Annotators"])
@pytest.mark.parametrize("form", ["json", "csv", "with more"])
def test_an_object_of_people_and_their_ratings_is_no_count_of_labels(
    tmp_path: Path, column: str, form: str
) -> None:
    cells = [("one", {"ann": 3, "bob": 4}), ("two", {"ann": 1, "cem": 4})]
    if form == "with more":
        more = [
            (text, {who: {"label": label, "time": 3} for who, label in cell.items()}) for text, cell in cells
        ]
        path = save(tmp_path, [{"text": text, column: cell} for text, cell in more])
    elif form == "json":
        path = save(tmp_path, [{"text": text, column: cell} for text, cell in cells])
    else:
        quoted = [(text, json.dumps(cell).replace('"', '""')) for text, cell in cells]
        path = csv(tmp_path, f"text,{column}\n" + "".join(f'{text},"{cell}"\n' for text, cell in quoted))
    found = read_annotations(path)
    assert found.table[["annotator_id", "label"]].to_numpy().tolist() == [
        ["ann", "3"], ["bob", "4"], ["ann", "1"], ["cem", "4"],
    ]  # fmt: skip
    assert has_note(found, "maps annotators to their labels")


def test_several_labels_of_a_person_are_combined(tmp_path: Path) -> None:
    cells = [{"ann": ["y", "x"], "bob": ["x"]}, {"ann": ["y"]}]
    found = read_annotations(
        save(tmp_path, [{"text": f"t{n}", "annotations": cell} for n, cell in enumerate(cells)])
    )
    assert labels_of(found) == ["x,y", "x", "y"]


def test_lists_of_each_annotator_or_split_are_records(tmp_path: Path) -> None:
    records = [{"text": "one", "label": "x"}, {"text": "two", "label": "y"}]
    found = read_annotations(save(tmp_path, {"ann": records, "bob": records[::-1]}))
    assert found.table[["text", "annotator_id", "label"]].to_numpy().tolist() == [
        ["one", "ann", "x"], ["two", "ann", "y"], ["two", "bob", "y"], ["one", "bob", "x"],
    ]  # fmt: skip
    assert has_note(found, "lists by annotator")
    parts = read_annotations(save(tmp_path, {"train": records, "test": [{"text": "three", "label": "x"}]}))
    assert parts.table["split"].tolist() == ["train", "train", "test"]
    assert not parts.has_annotators


def test_counted_stars_stay_counts(tmp_path: Path) -> None:
    found = read_annotations(
        save(tmp_path, [{"text": "one", "ratings": {"1": 2, "5": 3}}, {"text": "two", "ratings": {"1": 1}}])
    )
    assert labels_of(found) == ["1", "1", "5", "5", "5", "1"]
    assert not found.has_annotators


def test_an_annotator_that_is_an_object_is_known_by_its_id(tmp_path: Path) -> None:
    judgements = [{"worker": {"id": 3, "age": 20}, "answer": "yes"}, {"worker": {"id": 4}, "answer": "no"}]
    found = read_annotations(save(tmp_path, [{"text": "one", "annotations": judgements}]))
    assert tuple(found.annotators) == ("3", "4")


def test_one_question_and_its_answer_in_an_object_is_the_answer(tmp_path: Path) -> None:
    found = read_annotations(
        csv(tmp_path, 'text,label\none,"{""tone"": ""rude""}"\ntwo,"{""tone"": ""kind""}"\n')
    )
    assert labels_of(found) == ["rude", "kind"]


# Votes


def test_ties_in_many_words_are_ties(tmp_path: Path) -> None:
    said = [
        "both bad",
        "neither",
        "both",
        "Both are good",
        "tie (bothbad)",
        "even",
        "no preference",
        "on par",
    ]
    found = read_annotations(votes(tmp_path, "model_a", "model_b", *said))
    assert labels_of(found) == ["a", "b", *["tie"] * len(said)]
    assert has_note(found, '"both bad" as tie')


def test_votes_of_0_and_a_half_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is 1 a vote for the first response"):
        read_annotations(votes(tmp_path, "0", "0.5", "1"))


def test_votes_for_one_side_alone_are_votes_and_said(tmp_path: Path) -> None:
    found = read_annotations(votes(tmp_path, "a", "a", "a"))
    assert (tuple(found.labels), found.scale) == (("a", "b"), "preference")
    assert has_note(found, "All votes are for side a")
    with pytest.raises(DataError, match="all votes are ties"):
        read_annotations(votes(tmp_path, "tie", "tie"))


def test_a_model_that_won_by_its_name_won_for_its_side(tmp_path: Path) -> None:
    rows = "q1,gpt,llama,r1,s1,x,gpt\nq2,llama,gpt,r2,s2,x,gpt\nq3,gpt,llama,r3,s3,x,both bad\n"
    head = "text,model_a,model_b,response_a,response_b,annotator_id,label\n"
    found = read_annotations(csv(tmp_path, head + rows))
    assert labels_of(found) == ["a", "b", "tie"]
    assert has_note(found, "a model by its name")


@pytest.mark.parametrize(
    "names",
    [
        ("answer_a", "answer_b"),
        ("output_1", "output_2"),
        ("human_ref_A", "human_ref_B"),
        ("reply left", "reply right"),
    ],
)
def test_two_responses_under_other_names_are_proposed_with_prompt_and_vote(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    rows = "".join(f"a question {n},one answer {n},other answer {n},x,{'ab'[n % 2]}\n" for n in range(12))
    path = csv(tmp_path, f"question,{names[0]},{names[1]},annotator_id,winner\n{rows}")
    with pytest.raises(DataError) as caught:
        read_annotations(path)
    typed = shlex.split(str(caught.value.fix).split("--columns ")[1].rstrip("."))[0]
    found = read_annotations(path, columns=parse_columns(typed))
    assert found.scale == "preference"
    assert found.table["response_b"].iloc[0] == "other answer 0"


# TRL's unpaired form


def chat(role: str, said: str) -> list[dict[str, str]]:
    return [{"role": role, "content": said}]


@pytest.mark.parametrize("chats", [False, True])
def test_trls_unpaired_form_is_a_text_and_its_pair(tmp_path: Path, chats: bool) -> None:
    rows = [("ask", "good", True, "x"), ("ask", "bad", False, "x"), ("ask", "bad", True, "y")]
    records = [
        {
            "prompt": chat("user", prompt) if chats else prompt,
            "completion": chat("assistant", reply) if chats else reply,
            "label": label,
            "annotator_id": who,
        }
        for prompt, reply, label, who in rows
    ]
    found = read_annotations(save(tmp_path, records, "kto.jsonl"))
    assert found.table[["text", "text_pair", "label", "annotator_id"]].to_numpy().tolist() == [
        [prompt, reply, str(label).lower(), who] for prompt, reply, label, who in rows
    ]
    assert found.n_items == 2


def test_a_prompt_is_proposed_with_what_answers_it(tmp_path: Path) -> None:
    rows = "".join(f"a question {row},a reply {row},x,{'yes' if row % 2 else 'no'}\n" for row in range(20))
    path = csv(tmp_path, "prompt,response,annotator_id,verdict\n" + rows)
    with pytest.raises(DataError) as caught:
        read_annotations(path)
    assert "--columns text=prompt,text_pair=response,label=verdict" in str(caught.value)


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("column", ["messages", "conversations"])
def test_judged_chats_are_proposed_and_written_out(tmp_path: Path, column: str, as_json: bool) -> None:
    turns = chat("user", "hi") + chat("assistant", "ho")
    cell = json.dumps(turns) if as_json else turns
    path = save(tmp_path, [{column: cell, "annotator_id": who, "label": who} for who in "ab"])
    with pytest.raises(DataError, match=f"--columns text={column}"):
        read_annotations(path)
    found = read_annotations(path, columns={"text": column})
    assert found.table["text"].tolist() == ["user: hi\nassistant: ho"] * 2


def test_lists_of_labels_are_proposed(tmp_path: Path) -> None:
    path = save(tmp_path, [{"text": "one", "labels": ["x", "y", "x"]}, {"text": "two", "labels": ["y", "y"]}])
    with pytest.raises(DataError, match="--columns label=labels"):
        read_annotations(path)
    assert labels_of(read_annotations(path, columns={"label": "labels"})) == ["x", "y", "x", "y", "y"]


def test_several_columns_that_may_be_labels_are_named(tmp_path: Path) -> None:
    rows = "".join(f"a longer text number {n},r{n % 2},{n % 2},{n % 3}\n" for n in range(12))
    path = csv(tmp_path, "text,annotator_id,toxicity,severity\n" + rows)
    with pytest.raises(DataError) as caught:
        read_annotations(path)
    assert '--columns label=toxicity; it may be "toxicity", "severity"' in str(caught.value)


def test_what_labels_come_to_is_no_annotator(tmp_path: Path) -> None:
    rows = "".join(f"a text {n},{'yn'[n % 2]},{'yn'[n % 3 > 0]},{'yn'[n % 2]}\n" for n in range(12))
    with pytest.raises(DataError) as caught:
        read_annotations(csv(tmp_path, "text,Anna,Bob,majority\n" + rows))
    assert "annotators='Anna|Bob'" in str(caught.value)


def test_truth_values_beside_numbers_are_noted(tmp_path: Path) -> None:
    found = read_annotations(csv(tmp_path, "text,label\none,true\ntwo,2\nthree,false\n"))
    assert has_note(found, "mix truth values and numbers")


# Files of another kind


@pytest.mark.parametrize(
    "start", ["<table><tr><th>text", "<html><body><table><tr><td>text", '<?xml version="1.0"?>']
)
def test_a_spreadsheet_in_html_is_told(tmp_path: Path, start: str) -> None:
    with pytest.raises(DataError, match="table in HTML or XML"):
        read_annotations(csv(tmp_path, f"{start}</td></tr></table>"))


def test_utf_32_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="UTF-32"):
        read_annotations(csv(tmp_path, "text,label\none,yes\ntwo,no\n", "utf-32"))
