"""Read, train, predict, evaluate, save and load in Python: what a notebook needs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dcpc
from dcpc.adapter import TrainedAdapter
from dcpc.errors import DataError, LabelError, UsageError
from dcpc.evaluation import decide_labels
from dcpc.prediction import predict_distribution, predict_parts
from tiny_models import save_tiny_bert, sentiment_judgements

TEXTS = ["the film was good", "a meal was awful", "the film was good"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_bert(tmp_path_factory.mktemp("base") / "tiny", mean_pooling=True)


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    sentiment_judgements(100, ("ann", "bob", "cem")).table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def adapter(base: str, reviews: Path) -> TrainedAdapter:
    return dcpc.train_adapter(
        dcpc.read_annotations(reviews), base_model=base, training={"num_train_epochs": 1}, progress=False
    )


def test_a_tenth_is_held_out_as_by_the_command_and_gives_the_rule(adapter: TrainedAdapter) -> None:
    rule = adapter.task.decision
    assert rule is not None
    assert (rule.items, rule.judgements) == (10, 30)


def test_training_on_everything_gives_no_rule(base: str, reviews: Path) -> None:
    annotations = dcpc.read_annotations(reviews)
    trained = dcpc.train_adapter(
        annotations, None, base_model=base, training={"max_steps": 1}, progress=False
    )
    assert trained.task.decision is None
    labels = trained.predict(TEXTS)["label"].tolist()
    assert labels == trained.predict(TEXTS, decide="accuracy")["label"].tolist()
    with pytest.raises(UsageError, match="no decision rule"):
        trained.predict(TEXTS, decide="macro-f1")


def test_a_saved_adapter_predicts_the_same(adapter: TrainedAdapter, tmp_path: Path) -> None:
    adapter.save(tmp_path / "adapter")
    loaded = dcpc.load_adapter(tmp_path / "adapter")
    assert loaded.task.decision == adapter.task.decision
    for form in ("consensus", "distribution", "annotators"):
        pd.testing.assert_frame_equal(loaded.predict(TEXTS, as_=form), adapter.predict(TEXTS, as_=form))
    with pytest.raises(UsageError, match="not empty"):
        adapter.save(tmp_path / "adapter")
    adapter.save(tmp_path / "adapter", force=True)


def test_labels_are_decided_by_the_rule_or_are_the_most_probable(adapter: TrainedAdapter) -> None:
    adapter.task = adapter.task.model_copy(
        update={"decision": adapter.task.decision.model_copy(update={"offsets": [3.0, -3.0]})}
    )
    items = pd.DataFrame({"item_id": ["x", "y"], "text": TEXTS[:2]})
    p = predict_distribution(adapter, items)
    for goal in (None, "macro-f1", "accuracy"):
        table = adapter.predict(items, decide=goal)
        codes = decide_labels(p, adapter.task.decision, goal)
        assert table["label"].tolist() == [adapter.task.labels[c] for c in codes]
        np.testing.assert_allclose(table["probability"], p[[0, 1], codes])
    assert adapter.predict(items)["label"].tolist() == ["no", "no"]
    own = adapter.predict(items, as_="annotators")
    assert len(own) == 2 * 3
    assert own["probability"].min() >= 0.5  # of two labels, the most probable
    with pytest.raises(UsageError, match="most probable"):
        adapter.predict(items, as_="annotators", decide="macro-f1")


def test_what_can_be_predicted(adapter: TrainedAdapter, reviews: Path) -> None:
    table = adapter.predict(TEXTS, as_="distribution")
    assert table["row"].tolist() == [0, 1, 2]
    assert table.loc[0, "p_yes"] == table.loc[2, "p_yes"]
    annotations = dcpc.read_annotations(reviews)
    assert adapter.predict(annotations)["item_id"].tolist() == annotations.item_ids.tolist()
    assert len(adapter.predict(dcpc.read_items(reviews))) == 100
    with pytest.raises(UsageError, match="one string"):
        adapter.predict("reviews.csv")
    with pytest.raises(UsageError, match="no form"):
        adapter.predict(TEXTS, as_="votes")
    with pytest.raises(UsageError, match="nothing called"):
        adapter.predict(TEXTS, decide="recall")
    with pytest.raises(DataError):
        adapter.predict([])
    with pytest.raises(DataError, match="row 1"):
        adapter.predict(["a film", ""])


def test_figures_of_items_of_one_label_in_any_order(adapter: TrainedAdapter, reviews: Path) -> None:
    annotations = dcpc.read_annotations(reviews)
    positive = annotations.table[annotations.table["label"] == "yes"]
    held_out = dcpc.Annotations(positive.reset_index(drop=True), ("yes",))
    figures = adapter.evaluate(held_out, decide="accuracy")
    assert figures["accuracy"] == figures["accuracy_argmax"] == 1 - figures["consensus_judgement_error"]
    unknown = dcpc.Annotations(held_out.table.assign(label="maybe"), ("maybe",))
    with pytest.raises(LabelError, match="maybe"):
        adapter.evaluate(unknown)


def test_the_two_errors_of_persons_weigh_differently(adapter: TrainedAdapter, reviews: Path) -> None:
    annotations = dcpc.read_annotations(reviews)
    table = annotations.table
    # cem judged a fifth of what the others did.
    few = annotations.where(((table["annotator_id"] != "cem") | (table.index % 5 == 0)).to_numpy())
    figures = adapter.evaluate(few)
    own = adapter.predict(few, as_="annotators").set_index(["item_id", "annotator_id"])["label"]
    given = few.table.set_index(["item_id", "annotator_id"])["label"]
    wrong = own.loc[given.index] != given
    assert figures["judgement_error"] == pytest.approx(wrong.mean())
    assert figures["mean_annotator_error"] == pytest.approx(wrong.groupby("annotator_id").mean().mean())
    assert figures["judgement_error"] != figures["mean_annotator_error"]


def test_a_rule_for_other_labels_or_of_a_newer_format_is_refused(
    adapter: TrainedAdapter, tmp_path: Path
) -> None:
    adapter.save(tmp_path / "adapter")
    path = tmp_path / "adapter" / "task.json"
    task = json.loads(path.read_text())
    for change, says in (
        ({"decision": {**task["decision"], "offsets": [0.1, 0.2, -0.3]}}, "3 offsets for 2 labels"),
        ({"version": 99}, "newer dcpc"),
        ({"labels": ["yes", "no"]}, "another order"),
    ):
        path.write_text(json.dumps({**task, **change}))
        with pytest.raises(dcpc.errors.ModelError, match=says):
            dcpc.load_adapter(tmp_path / "adapter")


@pytest.mark.parametrize("form", ["consensus", "distribution", "annotators"])
@pytest.mark.parametrize("with_ids", [True, False])
def test_predictions_in_parts_are_the_table(adapter: TrainedAdapter, form: str, with_ids: bool) -> None:
    items = pd.DataFrame({"text": [f"the film was number {i % 5} and good" for i in range(11)]})
    if with_ids:
        items = items.drop_duplicates().assign(item_id=list("edcba"))
    parts = list(predict_parts(adapter, items, form, batch_size=3, at_once=4))
    assert len(parts) > 1
    rows = 4 if form != "annotators" else 3  # of a part: of annotators those of one item at least
    assert max(len(part) for part in parts) <= rows
    whole = adapter.predict(items, form)
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole, atol=1e-6, rtol=0)


def test_what_cannot_be_predicted_is_refused_before_the_first_part(adapter: TrainedAdapter) -> None:
    with pytest.raises(UsageError, match="there is no form"):
        predict_parts(adapter, TEXTS, "mood")
    with pytest.raises(DataError):
        predict_parts(adapter, pd.DataFrame({"text": [""]}))
