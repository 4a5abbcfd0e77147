"""`dcpc evaluate`: what it compares, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

QUICK = ("--set", "num_train_epochs=1")


def test_figures_are_printed_and_written(dcpc, adapter, reviews, tmp_path) -> None:
    result = dcpc("evaluate", adapter, reviews, "--output", tmp_path / "f.json")
    assert result.code == 0, result.err
    words = result.out.split()
    assert words[words.index("items", words.index("Value")) + 1] == "24"  # a count has no decimals
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["items"] == 24
    assert 0 <= figures["judgement_error"] <= 1


def test_a_figure_that_does_not_exist_is_null(dcpc, adapter, tmp_path) -> None:
    rows = [f"{i},the film,{who},{label}" for i in range(4) for who, label in (("ann", "yes"), ("bob", "no"))]
    (tmp_path / "tied.csv").write_text("\n".join(["item_id,text,annotator_id,label", *rows]) + "\n")
    result = dcpc("evaluate", adapter, tmp_path / "tied.csv", "--output", tmp_path / "f.json")
    assert result.code == 0, result.err
    figures = json.loads((tmp_path / "f.json").read_text(), parse_constant=pytest.fail)
    assert (figures["accuracy"], figures["ties"]) == (None, 4)
    assert "nan" not in result.out


def test_an_unknown_label_is_told_without_options_that_are_not_there(dcpc, adapter, tmp_path) -> None:
    (tmp_path / "new.csv").write_text("text,label\nthe film,yes\na meal,no\nthe room,maybe\n")
    result = dcpc("evaluate", adapter, tmp_path / "new.csv")
    assert result.code == 1
    assert "maybe" in result.err
    assert "--labels" not in result.err


@pytest.mark.parametrize("place", ["taken/f.json", "there.json", "folder"])
def test_an_output_that_cannot_be_written_is_told_before_the_work(
    dcpc, adapter, reviews, tmp_path, monkeypatch, place
) -> None:
    for name in ("taken", "there.json"):
        (tmp_path / name).write_text("mine")
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(
        "dcpc.prediction.evaluate.evaluate_adapter", lambda *_, **__: pytest.fail("the work has begun")
    )
    assert dcpc("evaluate", adapter, reviews, "--output", tmp_path / place).code == 2
    assert (tmp_path / "there.json").read_text() == "mine"


class TestInputs:
    """An adapter takes the columns that it was trained on, and no others."""

    @pytest.fixture(scope="class")
    def tables(self, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
        folder = tmp_path_factory.mktemp("inputs")
        texts = ["the film was good", "the meal was bad", "a room", "very poor"] * 5
        table = pd.DataFrame({"item_id": range(20), "text": texts, "label": ["yes", "no"] * 10})
        preferred = table.assign(response_a="good", response_b="bad", label=["a", "b"] * 10)
        found = {"text": table, "pair": table.assign(text_pair="the room"), "preference": preferred}
        for name, content in found.items():
            content.to_csv(folder / f"{name}.csv", index=False)
        return {name: folder / f"{name}.csv" for name in found}

    @pytest.mark.parametrize(
        ("trained", "given", "says"),
        [
            ("pair", "text", "text_pair"),
            ("text", "pair", "text_pair"),
            ("preference", "text", "response_a"),
            ("text", "preference", "response_a"),
        ],
    )
    def test_others_are_refused(self, dcpc, tables, tiny_bert, tmp_path, trained, given, says) -> None:
        output = tmp_path / "adapter"
        assert dcpc("train", tables[trained], "--model", tiny_bert, "--output", output, *QUICK).code == 0
        task = json.loads((output / "task.json").read_text())
        assert "text" in task["inputs"]
        assert dcpc("predict", output, tables[trained], "--output", tmp_path / "p.csv").code == 0
        assert dcpc("evaluate", output, tables[trained]).code == 0
        refused = dcpc("predict", output, tables[given], "--output", tmp_path / "q.csv")
        assert (refused.code, says in refused.err) == (2, True), refused.err
        assert not (tmp_path / "q.csv").exists()
        if "preference" not in (trained, given):
            assert dcpc("evaluate", output, tables[given]).code == 2

    def test_an_adapter_that_does_not_say_takes_any(self, dcpc, tables, tiny_bert, tmp_path) -> None:
        output = tmp_path / "adapter"
        assert dcpc("train", tables["text"], "--model", tiny_bert, "--output", output, *QUICK).code == 0
        task = json.loads((output / "task.json").read_text())
        del task["inputs"], task["group_column"]
        (output / "task.json").write_text(json.dumps(task))
        assert dcpc("evaluate", output, tables["pair"]).code == 0


def test_unknown_annotators_are_predicted_as_their_group(dcpc, tiny_bert, tmp_path) -> None:
    """Two camps judge every item the opposite way; of the annotators to predict, none is known."""

    def table(prefix: str, items: range) -> pd.DataFrame:
        rows = [
            (i, f"the film was {'good' if i % 2 else 'bad'}", f"{prefix}{camp}{n}", camp, label)
            for i in items
            for n in range(3)
            for camp, label in (("strict", "no"), ("lenient", "yes"))
        ]
        return pd.DataFrame(rows, columns=["item_id", "text", "annotator_id", "camp", "label"])

    table("", range(20)).to_csv(tmp_path / "train.csv", index=False)
    strangers = table("new ", range(20, 30))
    strangers.to_csv(tmp_path / "camps.csv", index=False)
    strangers.drop(columns="camp").to_csv(tmp_path / "none.csv", index=False)
    strangers.assign(camp="elsewhere").to_csv(tmp_path / "other.csv", index=False)
    # Judgements without an annotator are left out of the note, as of the error.
    anonymous = strangers["annotator_id"].mask(strangers.index % 2 == 0)
    strangers.assign(camp="elsewhere", annotator_id=anonymous).to_csv(tmp_path / "some.csv", index=False)
    output = tmp_path / "adapter"
    trained = dcpc(
        "train", tmp_path / "train.csv", "--model", tiny_bert, "--output", output, "--group-column", "camp", *QUICK
    )  # fmt: skip
    assert trained.code == 0, trained.err
    errors, notes = {}, {}
    for name in ("camps", "none", "other"):
        result = dcpc("evaluate", output, tmp_path / f"{name}.csv", "--output", tmp_path / f"{name}.json")
        assert result.code == 0
        notes[name] = "6 of 6 annotators, with 60 of 60 judgements, were unknown in training" in result.err
        errors[name] = json.loads((tmp_path / f"{name}.json").read_text())["mean_annotator_error"]
    some = dcpc("evaluate", output, tmp_path / "some.csv").err
    assert "annotators, with 30 of 30 judgements, were unknown in training" in some
    assert errors == {"camps": 0.0, "none": 0.5, "other": 0.5}
    assert notes == {"camps": False, "none": True, "other": True}


def test_a_slider_value_that_training_never_saw_is_evaluated(dcpc, tiny_bert, tmp_path) -> None:
    rows = [f"{i},text {i},{who},{(i * 7 + len(who)) % 90}\n" for i in range(12) for who in ("ann", "robert")]
    (tmp_path / "train.csv").write_text("item_id,text,annotator_id,label\n" + "".join(rows))
    (tmp_path / "test.csv").write_text(
        "item_id,text,annotator_id,label\na,new text,ann,99\nb,other text,ann,3.0\n"
    )
    output = tmp_path / "adapter"
    trained = dcpc(
        "train", tmp_path / "train.csv", "--model", tiny_bert, "--output", output, "--range", 0, 100,
        "--set", "num_train_epochs=1",
    )  # fmt: skip
    assert trained.code == 0, trained.err
    evaluated = dcpc("evaluate", output, tmp_path / "test.csv")
    assert evaluated.code == 0, evaluated.err


def test_annotators_of_another_file_are_matched_by_number_unless_exact(dcpc, tiny_bert, tmp_path) -> None:
    def table(name: str, ids: dict[str, str], items: range) -> Path:
        rows = [
            f"{i},the film was {'good' if i % 2 else 'bad'},{who},{label}\n"
            for i in items
            for who, label in ids.items()
        ]
        path = tmp_path / name
        path.write_text("item_id,text,annotator_id,label\n" + "".join(rows))
        return path

    train = table("train.csv", {"1": "no", "2": "yes", "ann": "no"}, range(20))
    # Beside a word no id of the file is sure to be a number: it is compared with those of the training.
    test = table("test.csv", {"1.0": "no", "2.0": "yes", "ann": "no"}, range(20, 30))
    output = tmp_path / "adapter"
    trained = dcpc("train", train, "--model", tiny_bert, "--output", output, *QUICK)
    assert trained.code == 0, trained.err
    folded, exact = (dcpc("evaluate", output, test, *flags) for flags in ([], ["--exact"]))
    assert (folded.code, exact.code) == (0, 0)
    assert "unknown in training" not in folded.err
    assert "2 of 3 annotators, with 20 of 30 judgements, were unknown in training" in exact.err
