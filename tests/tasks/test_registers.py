"""Answers in registers: labels add up over them, and each person's own register is learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dcpc import load_adapter
from dcpc.adapter import TrainedAdapter
from dcpc.data import Annotations
from dcpc.errors import DataError, DCPCError, LabelError, UsageError
from dcpc.fit import train_adapter
from dcpc.prediction import predict_judgements, predict_registers
from dcpc.tasks import task_shape
from tiny_language_models import save_tiny_language_model
from tiny_models import sentiment_judgements

REGISTERS = {
    "casual": {"no": ["nah", "nope"], "yes": ["yeah"]},
    "formal": {"no": ["never so"], "yes": ["indeed", "truly so"]},
}
TASK = {"name": "label-words", "registers": REGISTERS, "end_token": True, "template": "{text}?"}
OWN = {"ann": "casual", "bob": "formal"}


def judged() -> Annotations:
    data = sentiment_judgements(24)
    return Annotations(data.table.assign(register=data.table["annotator_id"].map(OWN)), data.labels)


def trained(folder: str, **how: object) -> TrainedAdapter:
    training = {"num_train_epochs": 12, "per_device_train_batch_size": 8, "learning_rate": 0.1, "seed": 1}
    settings = {"task": TASK, "training": training, "progress": False, **how}
    return train_adapter(judged(), 0.25, base_model=folder, max_length=64, **settings)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_language_model(tmp_path_factory.mktemp("base") / "llama")


@pytest.fixture(scope="module")
def adapter(llama: str) -> TrainedAdapter:
    return trained(llama)


def test_each_person_answers_in_their_own_register(adapter: TrainedAdapter) -> None:
    table = adapter.predict(judged(), "annotators")
    assert set(table["label"]) <= {"no", "yes"}
    assert (table["register"] == table["annotator_id"].map(OWN)).all()
    assert table["register_probability"].mean() > 0.8  # at the start both are as likely for everybody


def test_answers_add_up_over_registers(adapter: TrainedAdapter) -> None:
    data = judged()
    who = data.annotators[data.annotator_codes].tolist()
    consensus, own = predict_judgements(adapter, data.items, data.item_codes, who)
    pairs = predict_registers(adapter, data.items, data.item_codes, who)
    assert pairs.shape == (data.n_judgements, 2, 2)
    np.testing.assert_allclose(pairs.sum(axis=2), own, atol=1e-6)
    np.testing.assert_allclose(consensus.sum(axis=1), 1, atol=1e-6)


def test_what_is_saved_says_the_same(adapter: TrainedAdapter, tmp_path: Path) -> None:
    adapter.save(tmp_path / "adapter")
    again = load_adapter(tmp_path / "adapter")
    assert again.task.labels == ["no", "yes"]
    before, after = adapter.predict(judged(), "annotators"), again.predict(judged(), "annotators")
    pd.testing.assert_frame_equal(before, after, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("method", ["lora", "dcpc"])
def test_methods_without_annotators_predict_answers(llama: str, method: str) -> None:
    preset = {"preset": "paper"} if method == "dcpc" else {}
    found = trained(llama, method=method, training={"max_steps": 2, **preset})
    assert set(found.predict(judged())["label"]) <= {"no", "yes"}
    with pytest.raises(UsageError, match="knows no annotators"):
        found.predict(judged(), "annotators")


def test_annotators_inside_the_model_have_registers_as_well(llama: str) -> None:
    found = trained(llama, adapter={"annotator_mode": "prefix", "rank": 2}, training={"max_steps": 2})
    table = found.predict(judged(), "annotators")
    assert set(table["register"]) <= set(REGISTERS)


def test_a_new_annotators_register_is_learned_from_a_few_answers(
    adapter: TrainedAdapter, tmp_path: Path
) -> None:
    adapter.save(tmp_path / "adapter")
    again, data = load_adapter(tmp_path / "adapter"), judged()
    before = again.predict(data, "annotators")
    rows = data.table[data.table["annotator_id"] == "bob"]
    new = pd.concat([rows.iloc[:6].assign(annotator_id="carl"), rows.iloc[6:8].assign(annotator_id="dora")])
    with pytest.raises(DataError, match="no column `register`"):
        again.adapt(Annotations(new.drop(columns="register"), ("no", "yes")))
    assert again.adapt(Annotations(new, ("no", "yes"))).judgements == [6, 2]
    again.save(tmp_path / "more")
    found = load_adapter(tmp_path / "more").predict(data, "annotators")
    kept = found[found["annotator_id"].isin(list(OWN))].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before, atol=1e-5, rtol=1e-4)
    shares = found[found["register"] == "formal"].groupby("annotator_id")["register_probability"].mean()
    assert (found.loc[found["annotator_id"] == "carl", "register"] == "formal").all()
    assert shares["carl"] >= shares["dora"] > 0.5, "more answers, surer"


def without_formal_yes() -> dict:
    return {**REGISTERS, "formal": {"no": ["never so"]}}


@pytest.mark.parametrize(
    ("table", "registers", "error", "message"),
    [
        (judged().table.drop(columns="register"), REGISTERS, DataError, "no column `register`"),
        (judged().table.assign(register="loud"), REGISTERS, DataError, '48 of 48 .* "loud"'),
        (judged().table.assign(register=None), REGISTERS, DataError, "48 of 48"),
        (judged().table, without_formal_yes(), LabelError, "`formal` has words for no"),
        (judged().table, {"casual": REGISTERS["casual"]}, UsageError, "one register"),
    ],
)
def test_what_does_not_fit_is_refused(
    table: pd.DataFrame, registers: dict, error: type[DCPCError], message: str
) -> None:
    with pytest.raises(error, match=message):
        task_shape({**TASK, "registers": registers}).check(Annotations(table, ("no", "yes")))
