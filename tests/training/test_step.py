"""The loss of one batch: task loss, annotators in both modes, views, target correction, validation."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy, one_hot

from dcpc.models import load_base_model
from dcpc.objective import ObjectiveConfig, RunningConsensus, corrected_targets
from dcpc.training import ItemCollator, ItemDataset, LearningRule, training_loss
from dcpc.training.step import annotator_mode, task_loss
from dcpc.tuner import PassRecord
from dcpc.tuner.acting import dcpc_tuner
from tiny_models import judgements, save_tiny_bert, with_module

ANNOTATORS = ["ann", "bob", "eve"]
ROWS = [
    ("i1", "the film was good", "ann", "yes"),
    ("i1", "the film was good", "eve", "no"),
    ("i1", "the film was good", "bob", "yes"),
    ("i2", "a bad story", "bob", "no"),
    ("i3", "a very lovely room and a good meal", "eve", "yes"),
    ("i3", "a very lovely room and a good meal", "ann", "no"),
]
NONE = ObjectiveConfig.preset("none")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("base") / "model")


def build(folder, mode: str | None = None, config=None, **fields):
    """A PEFT model with random adapter weights, and the batch of all rows."""
    torch.manual_seed(1)
    base, tokenizer = load_base_model(folder, ["no", "yes"])
    annotators = {"annotators": ANNOTATORS, "annotator_mode": mode} if mode else {}
    config = config or with_module(task_type="SEQ_CLS", num_virtual_tokens=2, **annotators, **fields)
    model = get_peft_model(base, config)
    with torch.no_grad():
        for tensor in model.parameters():
            if tensor.requires_grad:
                tensor.add_(0.3 * torch.randn_like(tensor))
    index = {name: number for number, name in enumerate(ANNOTATORS)}
    dataset = ItemDataset(judgements(ROWS), tokenizer, index)
    return model, ItemCollator(tokenizer)([dataset[i] for i in range(len(dataset))])


def tokens_of(batch):
    return {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}


class TestTaskLoss:
    def test_is_the_cross_entropy_with_soft_labels(self):
        logits = torch.randn(3, 4)
        votes = [[0, 0, 1], [2], [3, 1]]
        item = torch.tensor([0, 0, 0, 1, 2, 2])
        labels = torch.tensor([label for item_votes in votes for label in item_votes])
        soft = torch.stack([one_hot(torch.tensor(v), 4).float().mean(0) for v in votes])
        loss = task_loss(logits[item], one_hot(labels, 4).float(), item, 3)
        torch.testing.assert_close(loss, cross_entropy(logits, soft))

    def test_is_the_ordinary_cross_entropy_with_one_label_each(self):
        logits, labels = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
        loss = task_loss(logits, one_hot(labels, 3).float(), torch.arange(5), 5)
        torch.testing.assert_close(loss, cross_entropy(logits, labels))


def test_without_annotators_the_loss_is_the_soft_label_cross_entropy_of_the_model(folder):
    model, batch = build(folder, config=LoraConfig(task_type="SEQ_CLS"))
    output = training_loss(model.eval(), batch, NONE, n_judgements=6)
    soft = torch.tensor([[1 / 3, 2 / 3], [1.0, 0.0], [0.5, 0.5]])
    torch.testing.assert_close(output.loss, cross_entropy(model(**tokens_of(batch)).logits, soft))
    assert set(output.terms) == {"task"}
    assert output.logits.shape == (3, 2)


def test_output_mode_shares_one_forward_pass_of_an_item(folder):
    model, batch = build(folder, "output")
    rows = []
    model.get_base_model().register_forward_hook(lambda *arguments: rows.append(len(arguments[2].logits)))
    training_loss(model, batch, NONE, n_judgements=6)
    assert rows == [3]


def test_prefix_mode_gives_every_judgement_its_own_row(folder):
    model, batch = build(folder, "prefix")
    rows = []
    model.get_base_model().register_forward_hook(lambda *arguments: rows.append(len(arguments[2].logits)))
    training_loss(model, batch, NONE, n_judgements=6)
    assert rows == [6]


@pytest.mark.parametrize("mode", ["output", "prefix"])
def test_each_judgement_is_predicted_for_its_own_annotator(folder, mode, monkeypatch):
    model, batch = build(folder, mode, annotator_dropout=0.0)
    monkeypatch.setattr(torch, "randn", lambda *shape, **_: torch.zeros(*shape))  # ε = 0
    loss = training_loss(model.eval(), batch, NONE, n_judgements=6).loss
    expected = []
    for item in range(3):
        mine = batch["item_index"] == item
        losses = []
        for label, annotator in zip(batch["labels"][mine], batch["annotator_ids"][mine], strict=True):
            one = {name: value[item : item + 1] for name, value in tokens_of(batch).items()}
            losses.append(model(**one, annotator_ids=annotator[None], labels=label[None]).loss)
        expected.append(torch.stack(losses).mean())
    torch.testing.assert_close(loss, torch.stack(expected).mean(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mode", ["output", "prefix"])
def test_annotators_kl_is_spread_over_the_judgements_of_the_training_set(folder, mode):
    model, batch = build(folder, mode)
    config = ObjectiveConfig(annotator_weight=0.5)
    terms = training_loss(model, batch, config, n_judgements=600).terms
    torch.testing.assert_close(terms["annotators"], 0.5 * dcpc_tuner(model).annotator_kl() / 600)


def test_annotator_mode_is_none_where_the_adapter_knows_no_annotators(folder):
    model, batch = build(folder)
    assert annotator_mode(dcpc_tuner(model)) == "none"
    assert "annotators" not in training_loss(model, batch, ObjectiveConfig(), n_judgements=6).terms


WEIGHED = {"ambiguity_weight": 0.1, "alignment_weight": 0.01, "preference_weight": 0.01}


@pytest.mark.parametrize("mode", [None, "output", "prefix"])
@pytest.mark.parametrize(("preset", "weights"), [("paper", {}), ("default", WEIGHED)])
def test_terms_add_up_and_every_trainable_tensor_is_reached(folder, mode, preset, weights):
    model, batch = build(folder, mode)
    config = ObjectiveConfig.preset(preset, similarity_threshold=-1.0, similarity_quantile=None, **weights)
    output = training_loss(model.train(), batch, config, n_judgements=6)
    assert {"task", "ambiguity", "alignment", "preference"} <= set(output.terms)
    assert all(output.terms[name] != 0 for name in ("ambiguity", "alignment", "preference"))
    torch.testing.assert_close(output.loss, sum(output.terms.values()))
    output.loss.backward()
    assert [n for n, t in model.named_parameters() if t.requires_grad and t.grad is None] == []


@pytest.mark.parametrize("mode", [None, "output", "prefix"])
def test_the_preset_default_reaches_every_trainable_tensor_without_pairs(folder, mode):
    model, batch = build(folder, mode)
    output = training_loss(model.train(), batch, ObjectiveConfig.preset("default"), n_judgements=6)
    assert set(output.terms) == ({"task"} if mode is None else {"task", "annotators"})
    output.loss.backward()
    assert [n for n, t in model.named_parameters() if t.requires_grad and t.grad is None] == []


def test_pair_terms_also_train_other_adapters(folder):
    model, batch = build(folder, config=LoraConfig(task_type="SEQ_CLS"))
    config = ObjectiveConfig.preset("paper", similarity_threshold=-1.0)
    terms = training_loss(model, batch, config, n_judgements=6).terms
    assert terms["ambiguity"] > 0
    assert terms["alignment"] == terms["preference"] == 0


@pytest.mark.parametrize("mode", [None, "output", "prefix"])
def test_two_views_of_one_input_differ_by_dropout_alone(folder, mode):
    model, batch = build(folder, mode)
    config = ObjectiveConfig(
        ambiguity_weight=1.0, alignment_weight=1.0, preference_weight=1.0, view_pairs=True
    )
    if mode == "prefix":
        model.eval()  # in training, u_a is drawn per row
    without = training_loss(model, batch, config, n_judgements=6)
    n_rows = 12 if mode == "prefix" else 6
    assert without.logits.shape == (n_rows, 2)
    first, second = without.logits.chunk(2)
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5)  # same ε, and this BERT has no dropout
    assert without.terms["ambiguity"].item() == pytest.approx(0, abs=1e-6)
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    with_dropout = training_loss(model, batch, config, n_judgements=6)
    assert with_dropout.terms["ambiguity"] > 0


def test_views_leave_the_task_loss_as_it_is(folder):
    model, batch = build(folder)
    model.eval()
    torch.manual_seed(3)
    once = training_loss(model, batch, NONE, n_judgements=6)
    torch.manual_seed(3)
    views = ObjectiveConfig(ambiguity_weight=1.0, view_pairs=True)
    twice = training_loss(model, batch, views, n_judgements=6)
    torch.testing.assert_close(once.terms["task"], twice.terms["task"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mode", [None, "output", "prefix"])
def test_the_running_consensus_holds_each_items_own_prediction(folder, mode):
    model, batch = build(folder, mode)
    batch["items"] = torch.tensor([5, 0, 3])
    consensus = RunningConsensus(6, 2)
    output = training_loss(
        model.eval(), batch, ObjectiveConfig(target_correction=0.5), n_judgements=6, consensus=consensus
    )
    assert consensus.visits.tolist() == [1, 0, 0, 1, 0, 1]
    predictions = output.logits.softmax(-1)
    if mode == "prefix":  # one row per judgement: the item's prediction is their mean
        predictions = torch.stack([predictions[batch["item_index"] == item].mean(0) for item in range(3)])
    torch.testing.assert_close(consensus.predictions[batch["items"]], predictions)


def test_corrected_targets_enter_the_task_loss(folder):
    model, batch = build(folder)
    config = ObjectiveConfig(target_correction=0.5)
    output = training_loss(model.eval(), batch, config, n_judgements=6, consensus=RunningConsensus(3, 2))
    item = batch["item_index"]
    targets = corrected_targets(one_hot(batch["labels"], 2).float(), output.logits.softmax(-1)[item], 0.5)
    torch.testing.assert_close(output.terms["task"], task_loss(output.logits[item], targets, item, 3))


class TestValidationLoss:
    def test_is_the_soft_label_cross_entropy_without_annotators(self, folder):
        model, batch = build(folder, config=LoraConfig(task_type="SEQ_CLS"))
        soft = torch.tensor([[1 / 3, 2 / 3], [1.0, 0.0], [0.5, 0.5]])
        expected = cross_entropy(model.eval()(**tokens_of(batch)).logits, soft)
        torch.testing.assert_close(LearningRule().validation_loss(model, batch), expected)

    def test_is_the_mean_of_a_judgement_as_anybodys_and_as_its_annotators(self, folder):
        model, batch = build(folder, "output")
        model.eval()
        record = PassRecord()
        logits = model(**tokens_of(batch), record=record).logits
        population = dcpc_tuner(model).population_probabilities(logits, record.styles)
        soft = torch.tensor([[1 / 3, 2 / 3], [1.0, 0.0], [0.5, 0.5]])
        anybodys = -(soft * population.log()).sum(-1).mean()
        who, item = batch["annotator_ids"], batch["item_index"]
        own = dcpc_tuner(model).annotator_logits(logits, who, item, record.styles)
        own = torch.where((who < 0)[:, None], population[item].log(), own)
        expected = (anybodys + task_loss(own, one_hot(batch["labels"], 2), item, 3)) / 2
        torch.testing.assert_close(LearningRule().validation_loss(model, batch), expected)

    def test_carries_no_graph_and_draws_no_noise(self, folder):
        model, batch = build(folder, "prefix")
        first = LearningRule().validation_loss(model.eval(), batch)
        assert not first.requires_grad
        assert first == LearningRule().validation_loss(model, batch)
