"""Learning rules equal their formula on small batches, and differ from plain training only where they say so."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from carrier_configs import adapter_config
from peft import get_peft_model
from torch.nn.functional import cross_entropy

from dcpc.errors import UsageError
from dcpc.models import load_base_model
from dcpc.objective import ObjectiveConfig
from dcpc.training import ItemCollator, ItemDataset, training_loss
from dcpc.training.carriers import carrier_of
from dcpc.training.rule import LearningRule, tokens_of
from dcpc_bench.methods.adalora import AdaLoraCarrier
from dcpc_bench.methods.annotator_embeddings import AnnotatorEmbeddings
from dcpc_bench.methods.annotator_heads import AnnotatorHeads
from dcpc_bench.methods.clear import MOST, CleanRouting, clean_probabilities
from dcpc_bench.methods.co_teaching import CoTeaching, coteaching_losses
from dcpc_bench.methods.crowd_layer import CrowdLayer
from dcpc_bench.methods.disaggregated import JudgementRows
from dcpc_bench.methods.elr import EarlyLearning
from dcpc_bench.methods.gce import GeneralisedCrossEntropy, generalised_cross_entropy
from dcpc_bench.methods.ncr import NeighbourConsistency, neighbour_consistency
from dcpc_bench.methods.parts.annotator_head import AnnotatorHead
from dcpc_bench.methods.parts.features import PooledFeatures, last_linear
from dcpc_bench.methods.parts.item_targets import ItemTargets, Targets, unweighted
from dcpc_bench.methods.similar_inputs_kl import SimilarInputs, similar_inputs_kl
from tiny_models import judgements, save_tiny_bert

ROWS: list[tuple[str, str, str | None, str]] = [
    ("i1", "the film was good", "ann", "yes"),
    ("i1", "the film was good", "eve", "no"),
    ("i1", "the film was good", "bob", "yes"),
    ("i2", "a bad story", "bob", "no"),
    ("i3", "a very lovely room and a good meal", "eve", "yes"),
    ("i3", "a very lovely room and a good meal", "ann", "no"),
]
SOFT = torch.tensor([[1 / 3, 2 / 3], [1.0, 0.0], [0.5, 0.5]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_bert(tmp_path_factory.mktemp("base") / "model")


def setup(folder: str, rows=ROWS, method: str = "lora", **settings):  # type: ignore[no-untyped-def]
    """A PEFT model with random adapter weights, the data, and the batch of all items."""
    torch.manual_seed(1)
    base, tokenizer = load_base_model(folder, ["no", "yes"])
    model = get_peft_model(base, adapter_config(method, base, ["no", "yes"], **settings)).eval()
    with torch.no_grad():
        for tensor in model.parameters():
            if tensor.requires_grad:
                tensor.add_(0.3 * torch.randn_like(tensor))
    annotations = judgements(rows)
    index = {name: number for number, name in enumerate(annotations.annotators)}
    data = ItemDataset(annotations, tokenizer, index)
    return model, data, ItemCollator(tokenizer)([data[i] for i in range(len(data))])


def loss_of(rule: LearningRule, model, data, batch, epoch: float = 0.0) -> torch.Tensor:  # type: ignore[no-untyped-def]
    rule.prepare(model, data)
    return rule.loss(model, batch, epoch).loss


class TestTargets:
    def test_soft_labels_are_the_cross_entropy_with_soft_targets(self, folder: str) -> None:
        model, data, batch = setup(folder)
        loss = loss_of(ItemTargets(lambda a: unweighted(a.soft_labels)), model, data, batch)
        torch.testing.assert_close(loss, cross_entropy(model(**tokens_of(batch)).logits, SOFT))

    def test_targets_follow_the_items_and_weights_count(self, folder: str) -> None:
        model, data, batch = setup(folder)
        targets = Targets(np.array([[0, 1], [1, 0], [1, 0]]), np.array([1.0, 0.0, 3.0]))
        loss = loss_of(ItemTargets(lambda a: targets), model, data, batch)
        each = cross_entropy(model(**tokens_of(batch)).logits, torch.tensor([1, 0, 0]), reduction="none")
        torch.testing.assert_close(loss, (each[0] + 3 * each[2]) / 4)

    def test_rows_of_judgements_are_the_mean_over_judgements(self, folder: str) -> None:
        model, data, batch = setup(folder)
        logits = model(**tokens_of(batch)).logits
        expected = cross_entropy(logits[torch.tensor([0, 0, 0, 1, 2, 2])], torch.tensor([1, 0, 1, 0, 1, 0]))
        torch.testing.assert_close(loss_of(JudgementRows(), model, data, batch), expected)

    def test_with_equally_many_judgements_rows_are_plain_training(self, folder: str) -> None:
        model, data, batch = setup(folder, [row for row in ROWS if row[0] != "i2" and row[2] != "bob"])
        plain = training_loss(model, batch, ObjectiveConfig.preset("none"), n_judgements=4).loss
        torch.testing.assert_close(loss_of(JudgementRows(), model, data, batch), plain)


class TestLosses:
    def test_gce_sees_the_votes(self, folder: str) -> None:
        model, data, batch = setup(folder)
        expected = generalised_cross_entropy(model(**tokens_of(batch)).logits, SOFT, 0.4)
        torch.testing.assert_close(loss_of(GeneralisedCrossEntropy(0.4), model, data, batch), expected)

    def test_elr_remembers_by_item_and_through_a_checkpoint(self, folder: str) -> None:
        model, data, batch = setup(folder)
        rule = EarlyLearning(strength=1.0)
        first = loss_of(rule, model, data, batch)
        state = {name: tensor.clone() for name, tensor in rule.state().items()}
        second = rule.loss(model, batch, 1.0).loss
        assert first != second
        resumed = EarlyLearning(strength=1.0)
        resumed.prepare(model, data)
        resumed.load_state(state)
        torch.testing.assert_close(resumed.loss(model, batch, 1.0).loss, second)

    def test_the_control_adds_its_penalty_to_plain_training(self, folder: str) -> None:
        model, data, batch = setup(folder)
        rule = SimilarInputs(strength=2.0)
        rule.prepare(model, data)
        found = rule.loss(model, batch, 0.0)
        logits = model(**tokens_of(batch)).logits
        features = rule.features.of(batch["attention_mask"])
        penalty = similar_inputs_kl(logits, features)
        assert penalty > 0
        torch.testing.assert_close(found.loss, cross_entropy(logits, SOFT) + 2.0 * penalty)

    def test_ncr_waits_for_its_start_and_then_splits_the_loss(self, folder: str) -> None:
        model, data, batch = setup(folder)
        rule = NeighbourConsistency(strength=0.3, start=0.5)
        before = loss_of(rule, model, data, batch, 0.4)
        logits = model(**tokens_of(batch)).logits
        torch.testing.assert_close(before, cross_entropy(logits, SOFT))
        penalty = neighbour_consistency(logits, rule.features.of(batch["attention_mask"]))
        torch.testing.assert_close(rule.loss(model, batch, 0.5).loss, 0.7 * before + 0.3 * penalty)

    def test_coteaching_trains_two_models_that_start_apart(self, folder: str) -> None:
        model, data, batch = setup(folder)
        rule = CoTeaching(noise_rate=0.4, warmup_epochs=1.0)
        rule.make_peer = lambda: setup(folder, r=2)[0]
        rule.prepare(model, data)
        output = rule.loss(model, batch, 2.0)
        logits, other = (m(**tokens_of(batch)).logits for m in (model, model.peer))
        torch.testing.assert_close(output.loss, sum(coteaching_losses(logits, other, SOFT, 0.6)))
        output.loss.backward()
        peer = {n: t for n, t in model.named_parameters() if n.startswith("peer.") and t.requires_grad}
        assert peer
        assert all(tensor.grad is not None for tensor in peer.values())


class TestHeads:
    @pytest.mark.parametrize(("head", "near"), [(CrowdLayer, 1e-6), (AnnotatorEmbeddings, 0.02)])
    def test_items_start_with_the_base_models_own_prediction(
        self, folder: str, head: Callable[[int, int, int], torch.nn.Module], near: float
    ) -> None:
        model, data, batch = setup(folder)
        plain = model(**tokens_of(batch)).logits.log_softmax(-1)
        rule = AnnotatorHead(head)
        rule.prepare(model, data)
        items = rule.predict(model, tokens_of(batch)).items
        torch.testing.assert_close(items, plain, atol=near, rtol=0)

    @pytest.mark.parametrize("head", [CrowdLayer, AnnotatorEmbeddings, AnnotatorHeads])
    def test_the_loss_is_the_cross_entropy_of_each_judgement_under_its_own_annotator(
        self, folder: str, head: Callable[[int, int, int], torch.nn.Module]
    ) -> None:
        model, data, batch = setup(folder)
        rule = AnnotatorHead(head)
        loss = loss_of(rule, model, data, batch)
        item, who = batch["item_index"], batch["annotator_ids"]
        log_p = rule.predict(model, tokens_of(batch), who, item).judgements
        each = -log_p[torch.arange(6), batch["labels"]]
        torch.testing.assert_close(loss, (each[:3].mean() + each[3] + each[4:].mean()) / 3)
        loss.backward()
        assert [n for n, t in model.named_parameters() if t.requires_grad and t.grad is None] == []

    def test_judgements_of_unknown_annotators_train_the_consensus(self, folder: str) -> None:
        model, data, batch = setup(folder)
        rule = AnnotatorHead(AnnotatorHeads)
        rule.prepare(model, data)
        batch["annotator_ids"] = torch.full((6,), -1)
        expected = -(SOFT * rule.predict(model, tokens_of(batch)).items).sum(-1).mean()
        torch.testing.assert_close(rule.loss(model, batch, 0.0).loss, expected)

    def test_validation_predicts_every_judgement_as_anybodys_and_as_its_annotators(self, folder: str) -> None:
        model, data, batch = setup(folder)
        rule = AnnotatorHead(AnnotatorHeads)
        rule.prepare(model, data)
        own = rule.loss(model, batch, 0.0).loss
        anybodys = -(SOFT * rule.predict(model, tokens_of(batch)).items).sum(-1).mean()
        torch.testing.assert_close(rule.validation_loss(model, batch), (own + anybodys).detach() / 2)

    def test_data_without_annotators_are_refused(self, folder: str) -> None:
        model, data, _ = setup(folder, [(item, text, None, label) for item, text, _, label in ROWS])
        with pytest.raises(UsageError, match="two or more; there are 0"):
            AnnotatorHead(CrowdLayer).prepare(model, data)


class TestFeatures:
    def test_they_are_what_the_last_layer_reads(self, folder: str) -> None:
        model, _, batch = setup(folder)
        features = PooledFeatures(model)
        logits = model(**tokens_of(batch)).logits
        read = features.of(batch["attention_mask"])
        torch.testing.assert_close(last_linear(model)(read), logits)

    def test_a_decoders_are_those_of_the_last_real_token(self, folder: str) -> None:
        model, _, _ = setup(folder)
        features = PooledFeatures(model)
        states = torch.arange(12.0).view(2, 3, 2)
        features._features = states
        mask = torch.tensor([[1, 1, 0], [0, 1, 1]])  # padded on the right, and on the left
        torch.testing.assert_close(features.of(mask), torch.stack([states[0, 1], states[1, 2]]))


class TestCleanRouting:
    def test_high_losses_are_doubted(self) -> None:
        rng = np.random.default_rng(0)
        losses = np.concatenate([rng.normal(0.2, 0.05, 80), rng.normal(2.0, 0.2, 20)])
        clean = clean_probabilities(losses)
        assert clean[:80].min() > 0.9
        assert clean[80:].max() < 0.1
        np.testing.assert_array_equal(clean_probabilities(np.full(5, 0.7)), 1)

    @pytest.mark.parametrize("method", ["lora", "p-tuning-v2"])
    def test_a_doubted_item_passes_the_frozen_model_and_a_clean_one_the_adapter(
        self, folder: str, method: str
    ) -> None:
        model, data, batch = setup(folder, method=method)
        adapted = model(**tokens_of(batch)).logits
        rule = CleanRouting()
        rule.prepare(model, data)
        torch.testing.assert_close(model(**tokens_of(batch)).logits, adapted)  # no routing at prediction
        rule.masks = [torch.tensor([1.0, 0.0, 1.0])] * rule.n_groups
        routed = model(**tokens_of(batch)).logits
        torch.testing.assert_close(routed[[0, 2]], adapted[[0, 2]])
        if method == "lora":
            for name, tensor in model.named_parameters():
                if "lora_B" in name:
                    tensor.data.zero_()  # the base model, with the trained head
        else:
            rule.masks = [torch.zeros(3)]
        bare = model(**tokens_of(batch)).logits
        torch.testing.assert_close(routed[1], bare[1])
        assert not torch.allclose(routed[0], bare[0])

    def test_each_layer_is_routed_by_itself_as_often_as_its_item_is_clean(self, folder: str) -> None:
        model, data, batch = setup(folder)
        rule = CleanRouting()
        rule.prepare(model, data)
        assert rule.n_groups == 2  # layers, each with four low-rank products
        seen = []
        model.register_forward_pre_hook(lambda *_: seen.append(torch.stack(rule.masks)))  # type: ignore[arg-type]
        for _ in range(300):
            rule._routed(model, batch, torch.tensor([1.0, 0.5, 0.0]))
        masks = torch.stack(seen)  # [300, layers, B]
        expected = MOST * torch.tensor([1.0, 0.5, 0.0])
        torch.testing.assert_close(masks.mean(dim=(0, 1)), expected, atol=0.06, rtol=0)
        assert (masks[:, 0] != masks[:, 1]).any()

    def test_after_the_warm_up_it_is_held_to_the_teacher(self, folder: str) -> None:
        model, data, batch = setup(folder)
        rule = CleanRouting(strength=2.0, warmup_epochs=1.0)
        rule.prepare(model, data)
        rule.start_epoch(model, lambda: [batch], 0.0)
        assert set(rule.loss(model, batch, 0.5).terms) == {"task"}
        assert (rule.clean == 1).all()
        rule.start_epoch(model, lambda: [batch], 1.0)
        torch.testing.assert_close(rule.teacher.sum(1), torch.ones(3))
        output = rule.loss(model, batch, 1.0)
        taught = cross_entropy(output.logits, rule.teacher)
        torch.testing.assert_close(
            output.loss, cross_entropy(output.logits, votes(batch)) + 2 * taught, atol=1e-5, rtol=1e-5
        )

    def test_other_adapters_are_refused(self, folder: str) -> None:
        model, data, _ = setup(folder, method="ia3")
        with pytest.raises(UsageError, match="low-rank"):
            CleanRouting().prepare(model, data)


def votes(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    assert batch["items"].tolist() == [0, 1, 2]
    return SOFT


class TestAdaLora:
    def test_the_penalty_is_what_peft_adds_to_a_loss_of_its_own(self, folder: str) -> None:
        model, _, batch = setup(folder, method="adalora")
        labels = torch.tensor([1, 0, 1])
        with_penalty = model(**tokens_of(batch), labels=labels)
        penalty = AdaLoraCarrier().penalties(model)["orthogonality"]
        plain = cross_entropy(with_penalty.logits, labels)
        torch.testing.assert_close(with_penalty.loss, plain + penalty)
        assert math.isfinite(penalty.item())

    def test_other_adapters_have_none(self, folder: str) -> None:
        assert carrier_of("lora").penalties(setup(folder)[0]) == {}
