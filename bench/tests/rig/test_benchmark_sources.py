"""What a cell trains and is tested on: labels as the suite wants them, no item on two sides, noise as asked for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_methods import fake_suite

from dcpc.data.annotations import Annotations
from dcpc.errors import DataError, UsageError
from dcpc_bench.rig.cell_data import CellData, cell_data
from dcpc_bench.rig.sources import Source, fingerprint, load_source, relabel
from dcpc_bench.rig.suite import Dataset
from dcpc_bench.shifts import POOLS, CleanItems
from dcpc_bench.shifts.calibration import calibrate

REVIEWS = Dataset(name="generated-reviews")


def case(condition: str, seed: int = 0, **changes: Any) -> CellData:
    return cell_data(load_source(REVIEWS, None), REVIEWS, condition, seed, fake_suite(**changes))


def ratings() -> Annotations:
    labels = ["1", "2", "3", "4", "1", "4"]
    table = pd.DataFrame(
        {"item_id": list("aabbcc"), "text": list("aabbcc"), "annotator_id": list("xyxyxy"), "label": labels}
    )
    return Annotations(table, ("1", "2", "3", "4"), "ordinal", "ratings.csv")


def test_labels_are_merged_in_the_order_of_the_suite_and_the_rest_left_out() -> None:
    merged = relabel(ratings(), Dataset(name="d", labels={"low": ["1"], "high": ["3", "4"]}))
    assert merged.labels == ("low", "high")
    assert merged.table["label"].tolist() == ["low", "high", "high", "low", "high"]
    assert merged.scale == "nominal"
    with pytest.raises(DataError, match='merges the label "5"'):
        relabel(ratings(), Dataset(name="d", labels={"low": ["1"], "high": ["5"]}))


def test_bins_hold_their_upper_edge() -> None:
    binned = relabel(ratings(), Dataset(name="d", bins=[1, 3]))
    assert binned.labels == ("up to 1", "above 1 to 3", "above 3")
    assert binned.label_codes.tolist() == [0, 1, 1, 2, 0, 2]
    assert binned.scale == "ordinal"
    words = Annotations(ratings().table.assign(label="bad"), ("bad", "good"))
    with pytest.raises(DataError, match="no numbers"):
        relabel(words, Dataset(name="d", bins=[1, 3]))


@pytest.mark.parametrize("condition", ["budget=1", "budget=all", "clean", "pool=thresholds@0.2"])
def test_sides_share_no_item_and_keep_to_their_caps(condition: str) -> None:
    sides = case(condition, pools={"thresholds": {"leniency": 2.0}}).split
    ids = [set(side.item_ids) for side in sides]
    assert [len(i) for i in ids] == [30, 10, 20]
    assert len(set.union(*ids)) == 60


def test_a_budget_shows_training_and_validation_one_judgement_and_the_test_all() -> None:
    one, every = case("budget=1").split, case("budget=all").split
    assert [s.n_judgements for s in one] == [30, 10, 60]
    assert [s.n_judgements for s in every] == [90, 30, 60]
    assert one.test.table.equals(every.test.table)
    assert list(one.train.item_ids) == list(every.train.item_ids)


def test_seeds_differ_and_repeat_themselves() -> None:
    first, again, other = (case("budget=1", seed).split.train.table for seed in (0, 0, 1))
    assert first.equals(again)
    assert set(first["item_id"]) != set(other["item_id"])


def test_simulated_annotators_train_and_clean_labels_test() -> None:
    shown = case("pool=confusion@0.3", caps={"train": 150, "validation": 40, "test": 60})
    source = load_source(REVIEWS, None).items
    gold = dict(zip(source.table["item_id"], source.codes, strict=True))

    def wrong(side: Annotations) -> float:
        return float(np.mean(side.label_codes != side.table["item_id"].map(gold).to_numpy()))

    assert shown.train_noise == wrong(shown.split.train) == pytest.approx(0.3, abs=0.06)
    assert wrong(shown.split.validation) > 0.1
    assert wrong(shown.split.test) == 0
    assert not shown.split.test.has_annotators
    assert len(shown.split.train.annotators) == 12
    assert all("clean_label" not in side.table for side in shown.split)


@pytest.mark.parametrize(
    ("side", "noisy"), [("", (True, False)), (":test", (False, True)), (":both", (True, True))]
)
def test_a_shift_stands_in_training_in_the_test_or_in_both(side: str, noisy: tuple[bool, bool]) -> None:
    shown = case(f"pool=confusion{side}@0.3", caps={"train": 150, "validation": 40, "test": 60})
    source = load_source(REVIEWS, None).items
    gold = dict(zip(source.table["item_id"], source.codes, strict=True))
    for judged, shifted in ((shown.split.train, noisy[0]), (shown.split.test, noisy[1])):
        wrong = np.mean(judged.label_codes != judged.table["item_id"].map(gold).to_numpy())
        assert (wrong > 0.15) if shifted else (wrong == 0)
    assert shown.split.test.has_annotators == noisy[1]
    assert all("clean_label" not in side.table for side in shown.split)
    assert shown.train_noise == (pytest.approx(0.3, abs=0.06) if noisy[0] else 0)


def grouped() -> Source:
    """Forty items, each judged by a woman and a man."""
    rows = [
        {"item_id": f"i{i}", "text": f"t{i}", "annotator_id": f"{who}{i % 5}", "label": label, "gender": who}
        for i in range(40)
        for who, label in (("female", "no"), ("male", "yes"))
    ]
    annotations = Annotations(pd.DataFrame(rows), ("no", "yes"), source="grouped.csv")
    return Source(annotations, CleanItems.from_annotations(annotations))


def test_one_group_trains_and_another_tests() -> None:
    caps = {"train": 20, "validation": 5, "test": 10}
    split = cell_data(grouped(), REVIEWS, "group=gender:female>male", 0, fake_suite(caps=caps)).split
    assert [side.n_judgements for side in split] == [20, 5, 10]
    assert [set(side.table["label"]) for side in split] == [{"no"}, {"no"}, {"yes"}]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("group=gender:female>other", r"nobody of the group `other`.*Groups in `gender` are: female, male"),
        ("group=sex:female>male", r"no column `sex`.*Columns are: item_id, text"),
    ],
)
def test_a_group_that_is_not_there_is_named_with_those_that_are(condition: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        cell_data(grouped(), REVIEWS, condition, 0, fake_suite())
    assert re.search(message, str(error.value).replace("\n", " "))


def record(folder: Path, **suite: object) -> CellData:
    rows = {
        "passage": [f"Ann met Bob in town {i}." for i in range(60)],
        "query": [f"It wasn't far, and @placeholder did not go {i}." for i in range(60)],
        "entities": [["Ann", "Bob"]] * 60,
        "answers": [["Ann"]] * 60,
    }
    pd.DataFrame(rows).to_parquet(folder / "record.parquet")
    dataset = Dataset(name="record", path="record.parquet", task={"name": "choose"})
    source = load_source(dataset, folder)
    return cell_data(source, dataset, "written=record-r", 0, fake_suite(**suite))


def test_queries_are_written_in_the_registers_of_who_asks_and_the_test_as_it_was(tmp_path: Path) -> None:
    split = record(tmp_path, caps={"train": 30, "validation": 9, "test": 12}).split
    assert split.test.items["text_pair"].str.startswith("It wasn't far, and @placeholder did not").all()
    train = split.train.table
    marks = {
        "plain": "was not far, .* did not",
        "informal": "wasn't far, .* didn't",
        "attributed": ": It wasn't",
    }
    assert set(train["register"]) == set(marks)
    for register, mark in marks.items():
        own = train[train["register"] == register]
        assert own["text_pair"].str.contains(mark).all()
    assert (train.groupby("annotator_id")["register"].nunique() == 1).all()
    assert "register" in split.validation.table


def test_an_item_that_is_rewritten_has_one_judgement(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="labels_per_item: 1"):
        record(tmp_path, labels_per_item=2, caps={"train": 30, "validation": 9, "test": 12})


def test_the_control_has_annotators_and_no_conflict() -> None:
    control = case("clean")
    assert control.train_noise == 0
    assert control.split.train.has_annotators


@pytest.mark.parametrize("noise", [0.1, 0.25, 0.4])
def test_the_dial_is_turned_until_the_noise_is_there(noise: float) -> None:
    rng = np.random.default_rng(0)
    items = CleanItems.from_labels([f"text {i}" for i in range(400)], rng.integers(0, 2, 400), ["no", "yes"])
    judged, report = calibrate(
        lambda strength: POOLS["confusion"](strength=strength, noise_rate=0.5),
        items, noise, n_annotators=12, labels_per_item=2, seed=0,
    )  # fmt: skip
    realised = (judged.table["label"] != judged.table["clean_label"]).mean()
    assert realised == pytest.approx(noise, abs=0.01)
    assert report.realised_noise == pytest.approx(realised)
    assert 0 < report.strength < 1


def test_more_noise_than_a_pool_has_is_refused() -> None:
    with pytest.raises(DataError, match="40% was asked for"):
        case("pool=group_bias@0.4")
    with pytest.raises(UsageError, match="settings of the pool thresholds"):
        case("pool=thresholds@0.2", pools={"thresholds": {"lenience": 2.0}})


def test_entailed_sentences_that_share_fewer_words_are_fainter(tmp_path: Path) -> None:
    """Strict annotators deny these first; without a score it would be any of them."""
    sentences = ["a dog barks", "a dog sleeps", "birds sing"]
    pd.DataFrame({"premise": ["a dog barks"] * 3, "hypothesis": sentences, "label": [0, 0, 0]}).to_csv(
        tmp_path / "rte.csv", index=False
    )
    items = load_source(Dataset(name="rte", path="rte.csv"), tmp_path).items
    position = items.latent_positions(np.random.default_rng(0))
    assert position.argsort().tolist() == [2, 1, 0]


def test_candidates_end_the_sentence_of_their_premise_and_lean_to_people(tmp_path: Path) -> None:
    rows = {
        "premise": ["The tree fell.", "I sneezed."],
        "choice1": ["The man cut it.", "I was ill."],
        "choice2": ["It rained.", "The cat woke up."],
        "question": ["cause", "effect"],
        "label": [1, 0],
    }
    pd.DataFrame(rows).to_csv(tmp_path / "copa.csv", index=False)
    items = load_source(Dataset(name="copa", path="copa.csv", task={"name": "choose"}), tmp_path).items
    assert items.table["text"].tolist() == ["The tree fell because", "I sneezed, so"]
    assert json.loads(items.table["choices"][0]) == ["the man cut it.", "it rained."]
    assert json.loads(items.table["choices"][1])[0] == "I was ill."
    assert items.table["leaning"].tolist() == [0, -1]  # an effect leans nowhere
    assert [items.labels[code] for code in items.codes] == ["choice2", "choice1"]


def test_entities_are_the_candidates_of_a_query(tmp_path: Path) -> None:
    row = {
        "passage": "Ann met Bob and Ann Lee.",
        "query": "It was @placeholder who left.",
        "entities": ["Ann", "Bob", "Ann Lee"],
        "answers": ["Ann Lee"],
    }
    pd.DataFrame([row, row | {"query": "No such mark."}, row | {"entities": None}]).to_json(
        tmp_path / "record.jsonl", orient="records", lines=True
    )
    task = {"name": "choose", "placeholder": "@placeholder"}
    items = load_source(Dataset(name="record", path="record.jsonl", task=task), tmp_path).items
    assert len(items) == 1  # the others have no place for an answer, or no entities
    assert json.loads(items.table["choices"][0]) == ["Ann Lee", "Bob"]  # `Ann` is a name of the answer
    assert items.labels[items.codes[0]] == "choice1"


def test_a_task_shape_changes_the_fingerprint_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("text,label\na,b\n")
    plain = Dataset(name="d", path="d.csv")
    assert fingerprint(plain, tmp_path) != fingerprint(
        plain.model_copy(update={"task": {"name": "label-words"}}), tmp_path
    )
    with pytest.raises(ValueError, match="label-wrods"):
        Dataset(name="d", task={"name": "label-wrods"})


def test_gold_labels_have_no_budget(tmp_path: Path) -> None:
    pd.DataFrame({"sentence": ["fine", "bad"] * 20, "label": [1, 0] * 20}).to_csv(
        tmp_path / "t.csv", index=False
    )
    dataset = Dataset(name="t", path="t.csv")
    source = load_source(dataset, tmp_path)
    with pytest.raises(DataError, match="gold labels"):
        cell_data(source, dataset, "budget=1", 0, fake_suite())
    assert cell_data(source, dataset, "clean", 0, fake_suite()).split.test.n_items == 10


def test_the_fingerprint_follows_the_data_and_their_labels(tmp_path: Path) -> None:
    ratings().table.to_csv(tmp_path / "r.csv", index=False)
    dataset = Dataset(name="r", path="r.csv")
    first = fingerprint(dataset, tmp_path)
    assert first == fingerprint(dataset.model_copy(update={"path": str(tmp_path / "r.csv")}), None)
    assert first != fingerprint(dataset.model_copy(update={"bins": [1.0]}), tmp_path)
    with (tmp_path / "r.csv").open("a") as file:
        file.write("d,d,x,1\n")
    assert first != fingerprint(dataset, tmp_path)


def test_a_missing_set_says_how_to_name_the_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--data-folder or the variable DCPC_DATA"):
        load_source(Dataset(name="hs_brexit"), tmp_path)
