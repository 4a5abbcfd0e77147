"""Every registered method trains and predicts through one path, and says when it does not fit the data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc.tuner.acting import dcpc_tuner
from dcpc_bench.fitted import FittedAdapter
from dcpc_bench.method import Method, TrainingSettings
from dcpc_bench.methods import FORMS, METHODS
from tiny_language_models import save_tiny_language_model
from tiny_models import save_tiny_bert, sentiment_judgements

NAMES = (
    *(
        "full",
        "lora",
        "dora",
        "adalora",
        "ia3",
        "bitfit",
        "prompt-tuning",
        "p-tuning-v2",
        "bottleneck-adapter",
    ),
    *("linear-probe", "linear-probe-annotators", "rater-icl"),
    *("majority-vote", "soft-labels", "disaggregated", "dawid-skene", "crowdlab"),
    *("gce", "elr", "co-teaching", "ncr", "similar-inputs-kl", "clear"),
    *("crowd-layer", "annotator-embeddings", "annotator-heads"),
    *("dcpc", "dcpc-paper", "dcpc-low-rank", "dcpc-readout"),
    *("dcpc-no-annotators", "dcpc-no-readout"),
    *("dcpc-paper-no-pcm", "dcpc-paper-no-alignment", "dcpc-paper-no-ambiguity"),
    *(
        "dcpc-with-pcm",
        "dcpc-with-ambiguity",
        "dcpc-with-alignment",
        "dcpc-with-style-kl",
        "dcpc-with-target-correction",
        "dcpc-with-average",
    ),
)
CLOSED_FORM = {"linear-probe", "linear-probe-annotators", "all-layer-probe", "rater-icl", "dcpc-readout"}
OWN_TRAINING = {*CLOSED_FORM, "setfit"}
TRAINED = [name for name in METHODS if name not in OWN_TRAINING and not METHODS[name].needs_reader]
KNOW_ANNOTATORS = {
    "linear-probe-annotators",
    "rater-icl",
    "crowd-layer",
    "annotator-embeddings",
    "annotator-heads",
}
KNOW_ANNOTATORS |= {
    name
    for name, method in METHODS.items()
    if name.startswith("dcpc")
    and method.training.get("preset") != "paper"
    and "annotators" not in method.adapter  # which is None there
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> TrainingSettings:
    model = save_tiny_bert(tmp_path_factory.mktemp("base") / "model", mean_pooling=True)
    return TrainingSettings(base_model=model, epochs=2, batch_size=8, max_length=16)


@pytest.fixture(scope="module")
def split() -> tuple[Annotations, Annotations]:
    judged = sentiment_judgements(32)
    return judged.of_items(judged.item_ids[:24]), judged.of_items(judged.item_ids[24:])


def middle(method: Method) -> dict:
    """The point in the middle of a method's grid."""
    return {axis: values[len(values) // 2] for axis, values in method.grid.items()}


def in_two_passes(method: Method) -> Method:
    """With the readout by which epochs are compared: that of the frozen model."""
    if method.carrier != "dcpc" or method.rule is not None:
        return method
    objective = {**method.training.get("objective", {}), "one_pass": False}
    return replace(method, training={**method.training, "objective": objective})


def test_the_registry_has_the_methods_of_the_protocol() -> None:
    assert set(NAMES) <= set(METHODS)  # a new one is a new file, and nothing here
    assert all(name == method.name and method.source and method.what for name, method in METHODS.items())
    assert set(FORMS) == {name for name in METHODS if name.startswith("dcpc")}


def test_every_trained_method_is_searched_as_widely() -> None:
    for name in TRAINED:
        rates, decays = METHODS[name].grid["learning_rate"], METHODS[name].grid["weight_decay"]
        assert len(rates) == 5, name
        assert 2 <= np.log10(rates[-1] / rates[0]) <= 3, name
        assert decays == METHODS["full"].grid["weight_decay"], name
        assert rates[-1] * decays[-1] < 1, f"{name}: AdamW would overshoot"


@pytest.mark.parametrize("name", METHODS)
def test_trains_and_predicts(
    name: str,
    settings: TrainingSettings,
    split: tuple[Annotations, Annotations],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    method, (train, validation) = in_two_passes(METHODS[name]), split
    if name == "setfit":
        pytest.importorskip("setfit")
        monkeypatch.setattr("dcpc_bench.methods.setfit.STEPS", 2)
    if method.on == "prompt":
        settings = settings.model_copy(update={"base_model": save_tiny_language_model(tmp_path)})
    if method.needs_reader:
        task = {"name": "label-words", "template": "{text}:"}
        settings = settings.model_copy(
            update={"base_model": save_tiny_language_model(tmp_path), "task": task}
        )
        settings = settings.model_copy(update={"max_length": 64})
        method = replace(method, training={**method.training, "demonstrations": 2})
    fitted = method.train(train, validation, settings, middle(method), seed=0)
    tuner = dcpc_tuner(fitted.adapter.model) if isinstance(fitted, FittedAdapter) else None
    if tuner is not None and tuner.readout is not None and fitted.adapter.rule.shares is None:
        tuner.readout.shares.fill_(0.5)  # as epochs are validated; the two are weighed after the last
    p = fitted.probabilities(validation.items)
    assert p.shape == (8, 2)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    loss = -(validation.soft_labels * np.log(p)).sum(axis=1).mean()  # as anybody's
    if name in KNOW_ANNOTATORS and method.fit is None:
        codes, names = validation.item_codes, validation.annotators[validation.annotator_codes].tolist()
        _, own = fitted.judged_probabilities(validation.items, codes, names)
        weights = 1 / np.bincount(codes)[codes] / len(p)
        rows = np.arange(len(codes))
        loss = (loss - (weights * np.log(own[rows, validation.label_codes])).sum()) / 2
    assert fitted.validation_loss == pytest.approx(loss, abs=1e-4)
    assert fitted.parameters > 0
    steps = method.training.get("max_steps", 6)
    assert name in OWN_TRAINING or (fitted.steps, len(fitted.history) > 0) == (steps, True)

    codes, who = np.array([0, 0, 3]), ["ann", "nobody", "bob"]
    again, each = fitted.judged_probabilities(validation.items, codes, who)
    np.testing.assert_allclose(again, p, atol=1e-6)
    assert (each is not None) == (name in KNOW_ANNOTATORS)
    if each is not None:
        np.testing.assert_allclose(each.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(each[1], p[0], atol=1e-5)  # unknown: the consensus


def test_adalora_moves_its_ranks_within_the_budget(
    settings: TrainingSettings, split: tuple[Annotations, Annotations]
) -> None:
    method = METHODS["adalora"]
    fitted = method.train(*split, settings, middle(method), seed=0)
    pattern = fitted.adapter.model.peft_config["default"].rank_pattern
    kept = [sum(alive) for alive in pattern.values()]
    assert kept, "no ranks were allocated"
    assert sum(kept) == 4 * len(kept)  # on average the rank of lora
    assert all(len(alive) == 6 for alive in pattern.values())


@pytest.mark.parametrize("name", ["soft-labels", "clear", "crowd-layer", "co-teaching"])
def test_rules_also_run_on_the_other_backbone(
    name: str, settings: TrainingSettings, split: tuple[Annotations, Annotations]
) -> None:
    other = settings.model_copy(update={"backbone": "p-tuning-v2"})
    fitted = METHODS[name].train(*split, other, {"learning_rate": 1e-2}, seed=0)
    assert fitted.adapter.model.peft_config["default"].peft_type == "PREFIX_TUNING"
    _, validation = split
    p = fitted.probabilities(validation.items)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    if METHODS[name].needs_annotators:
        return  # their loss is of persons as well
    loss = -(validation.soft_labels * np.log(p)).sum(axis=1).mean()
    assert fitted.validation_loss == pytest.approx(loss, abs=1e-4)


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.needs_annotators])
def test_methods_that_need_annotators_say_so(
    name: str, settings: TrainingSettings, split: tuple[Annotations, Annotations]
) -> None:
    train, validation = split
    nameless = Annotations(train.table.drop(columns="annotator_id"), train.labels)
    alone = train.where((train.table["annotator_id"] == "ann").to_numpy())
    for unfit in (nameless, alone):
        with pytest.raises(UsageError, match="two or more"):
            METHODS[name].train(unfit, validation, settings, {}, seed=0)


def test_methods_that_need_overlap_say_so(
    settings: TrainingSettings, split: tuple[Annotations, Annotations]
) -> None:
    train, validation = split
    once = train.where(~train.table["item_id"].duplicated().to_numpy() ^ (train.item_codes % 2 == 1))
    assert once.counts.sum(axis=1).max() == 1
    assert len(once.annotators) == 2
    with pytest.raises(UsageError, match="two judgements"):
        METHODS["crowdlab"].train(once, validation, settings, {}, seed=0)


def test_the_readout_alone_and_the_adapter_alone_are_one_method_taken_apart(
    settings: TrainingSettings, split: tuple[Annotations, Annotations]
) -> None:
    """Both have the regression's annotators; one counts the readout and does not train, the other the adapter."""
    shares, effects = {}, {}
    for name in ("dcpc-readout", "dcpc-no-readout"):
        fitted = METHODS[name].train(*split, settings, middle(METHODS[name]), seed=0)
        tuner = dcpc_tuner(fitted.adapter.model)
        shares[name] = tuner.readout.shares.tolist()  # adapter, readout
        effects[name] = tuner.annotators.mean.detach().numpy()
        assert fitted.steps == {"dcpc-readout": 1, "dcpc-no-readout": 6}[name]
    assert shares == {"dcpc-readout": [0.0, 1.0], "dcpc-no-readout": [1.0, 0.0]}
    np.testing.assert_allclose(effects["dcpc-readout"], effects["dcpc-no-readout"], atol=1e-5)
    assert effects["dcpc-readout"].any()


def test_the_paper_without_its_module_trains_less_and_without_a_term_as_much(
    settings: TrainingSettings, split: tuple[Annotations, Annotations]
) -> None:
    trained = {
        name: METHODS[name].train(*split, settings.model_copy(update={"epochs": 4}), {}, seed=0)
        for name in FORMS
        if name.startswith("dcpc-paper")
    }
    sizes = {name: fitted.parameters for name, fitted in trained.items()}
    assert sizes["dcpc-paper-no-pcm"] < sizes["dcpc-paper"]
    assert sizes["dcpc-paper-no-alignment"] == sizes["dcpc-paper-no-ambiguity"] == sizes["dcpc-paper"]

    def term(form: str, name: str) -> float:
        return max(float(entry[f"loss_{name}"]) for entry in trained[form].history if "loss" in entry)

    assert term("dcpc-paper", "alignment") > 0
    assert term("dcpc-paper-no-alignment", "alignment") == 0
    assert term("dcpc-paper-no-pcm", "alignment") == term("dcpc-paper-no-pcm", "preference") == 0
    assert term("dcpc-paper-no-ambiguity", "preference") > 0
