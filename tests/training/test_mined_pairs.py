"""Mined conflict pairs in training: partners share a batch, the objective sees them with their weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from peft import get_peft_model
from torch.utils.data import BatchSampler

from dcpc import fit
from dcpc.data.pairs import JudgementPairs, mine_judgement_pairs
from dcpc.errors import UsageError
from dcpc.models import load_base_model
from dcpc.objective import ObjectiveConfig
from dcpc.training import (
    DCPCTrainer,
    DCPCTrainingArguments,
    ItemCollator,
    ItemDataset,
    step,
    training_loss,
)
from dcpc.training.partner_sampling import PartnerSampler
from tiny_models import judgements, save_tiny_bert, sentiment_judgements, with_module

pytest.importorskip("faiss")

MINED = ObjectiveConfig.preset("default", mined_pairs=True, similarity_threshold=-1.0)
ROWS = [
    ("i0", "good film", "ann", "yes"),
    ("i0", "good film", "bob", "no"),
    ("i1", "good film", "eve", "no"),
    ("i2", "bad room", "ann", "no"),
    ("i3", "bad room", "bob", "yes"),
    ("i3", "bad room", "eve", "no"),
]
# i0 ~ i1 and i2 ~ i3; within i0 and i3 two annotators differ.
VECTORS = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("base") / "model")


def adapted(folder, mode: str | None, annotators=("ann", "bob", "eve")):
    torch.manual_seed(0)
    base, tokenizer = load_base_model(folder, ["no", "yes"])
    known = {"annotators": list(annotators), "annotator_mode": mode} if mode else {}
    model = get_peft_model(base, with_module(task_type="SEQ_CLS", num_virtual_tokens=2, **known))
    return model, tokenizer, {name: i for i, name in enumerate(annotators if mode else ())}


def seen_pairs(monkeypatch, model, batch, config=MINED) -> dict[tuple[int, int], float]:
    """The pairs that the pair terms get, with their weights."""
    seen = []
    real = step.pair_terms
    monkeypatch.setattr(
        step, "pair_terms", lambda state, pairs, c: (seen.append(pairs), real(state, pairs, c))[1]
    )
    training_loss(model, batch, config, n_judgements=len(ROWS)).loss.backward()
    (pairs,) = seen
    return {
        (a, b): pytest.approx(w)
        for a, b, w in zip(pairs.a.tolist(), pairs.b.tolist(), pairs.weight.tolist(), strict=True)
    }


class TestObjective:
    def mined(self, annotations) -> tuple[JudgementPairs, dict[tuple[int, int], float]]:
        pairs = mine_judgement_pairs(annotations, embeddings=VECTORS, progress=False)
        posterior = np.nan_to_num(pairs.posterior, nan=0.5)
        return pairs, dict(
            zip(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True), posterior, strict=True)
        )

    def test_rows_of_judgements_see_exactly_the_mined_pairs_and_posteriors(self, folder, monkeypatch):
        annotations = judgements(ROWS)
        pairs, posterior = self.mined(annotations)
        assert posterior.keys() == {(0, 1), (0, 2), (3, 4), (4, 5)}
        model, tokenizer, index = adapted(folder, "prefix")
        data = ItemDataset(annotations, tokenizer, index, conflicts=pairs)
        batch = ItemCollator(tokenizer)([data[i] for i in range(4)])
        assert seen_pairs(monkeypatch, model, batch) == posterior

    def test_rows_of_items_weigh_a_pair_by_its_cross_judgements(self, folder, monkeypatch):
        annotations = judgements(ROWS)
        pairs, posterior = self.mined(annotations)
        model, tokenizer, index = adapted(folder, "output")
        data = ItemDataset(annotations, tokenizer, index, conflicts=pairs)
        batch = ItemCollator(tokenizer)(
            [data[i] for i in (3, 1, 2, 0)]
        )  # in another order than the data set's
        # i0 × i1 has two cross judgements, i2 × i3 two; one of each conflicts, and pairs within an item fall away.
        assert seen_pairs(monkeypatch, model, batch) == {
            (0, 2): posterior[3, 4] / 2,
            (1, 3): posterior[0, 2] / 2,
        }

    def test_a_pair_counts_only_with_both_sides_in_the_batch(self, folder, monkeypatch):
        annotations = judgements(ROWS)
        pairs, _ = self.mined(annotations)
        model, tokenizer, index = adapted(folder, "output")
        data = ItemDataset(annotations, tokenizer, index, conflicts=pairs)
        batch = ItemCollator(tokenizer)([data[0], data[2]])
        assert seen_pairs(monkeypatch, model, batch) == {}

    def test_without_annotators_near_duplicates_count_by_the_prior(self, folder, monkeypatch):
        annotations = judgements([(item, text, None, label) for item, text, _, label in ROWS])
        pairs, _ = self.mined(annotations)
        model, tokenizer, index = adapted(folder, None)
        data = ItemDataset(annotations, tokenizer, index, conflicts=pairs)
        batch = ItemCollator(tokenizer)([data[i] for i in range(4)])
        assert seen_pairs(monkeypatch, model, batch) == {(0, 1): 0.25, (2, 3): 0.25}

    def test_a_training_set_without_mined_pairs_is_refused(self, folder):
        model, tokenizer, index = adapted(folder, "output")
        data = ItemDataset(judgements(ROWS), tokenizer, index)
        with pytest.raises(UsageError, match="mined pairs"):
            training_loss(model, ItemCollator(tokenizer)([data[0], data[1]]), MINED, n_judgements=6)

    def test_presets_leave_other_candidates_out_unless_asked(self):
        assert not MINED.batch_pairs
        assert MINED.similarity_quantile is None
        both = ObjectiveConfig.preset("default", mined_pairs=True, batch_pairs=True, similarity_quantile=0.5)
        assert (both.batch_pairs, both.similarity_quantile) == (True, 0.5)
        assert ObjectiveConfig.preset("default").batch_pairs


def batches(sampler: PartnerSampler) -> list[list[int]]:
    order = list(sampler)
    return [order[i : i + sampler.batch_size] for i in range(0, len(order), sampler.batch_size)]


class TestSampler:
    @pytest.mark.parametrize(
        ("n_items", "batch_size"), [(40, 8), (41, 8), (47, 6), (9, 16), (50, 1), (16, 4)]
    )
    def test_every_item_comes_once_whatever_the_pairs(self, n_items, batch_size):
        rng = np.random.default_rng(n_items)
        for n_pairs in (0, 3, n_items, 5 * n_items):
            pairs = rng.integers(n_items, size=(n_pairs, 2))
            sampler = PartnerSampler(pairs, n_items, batch_size, 0, lambda: 1)
            assert sorted(sampler) == list(range(n_items)), n_pairs
            assert len(sampler) == n_items

    def test_partners_share_a_batch(self):
        pairs = np.array([[2 * i, 2 * i + 1] for i in range(15)] + [[30, 31], [31, 32]])
        for epoch in range(5):
            where = {
                item: number
                for number, batch in enumerate(batches(PartnerSampler(pairs, 50, 8, 0, lambda e=epoch: e)))
                for item in batch
            }
            assert all(where[a] == where[b] for a, b in pairs)

    def test_pairs_spread_over_the_batches(self):
        pairs = np.array([[2 * i, 2 * i + 1] for i in range(12)])
        counts = [
            sum(item < 24 for item in batch) for batch in batches(PartnerSampler(pairs, 48, 8, 0, lambda: 0))
        ]
        assert counts == [4] * 6

    def test_a_group_larger_than_a_batch_is_parted_otherwise_each_epoch(self):
        ring = np.array([[i, (i + 1) % 12] for i in range(12)])
        kept = []
        for epoch in range(8):
            parts = batches(PartnerSampler(ring, 12, 4, 0, lambda e=epoch: e))
            kept.append(frozenset(i for i, (a, b) in enumerate(ring) if any({a, b} <= set(p) for p in parts)))
        assert min(map(len, kept)) >= 4
        assert len(set(kept)) > 1
        assert len(frozenset().union(*kept)) == 12

    def test_the_order_depends_on_seed_and_epoch_alone(self):
        pairs = np.array([[0, 1], [4, 9]])
        order = {(s, e): list(PartnerSampler(pairs, 30, 4, s, lambda e=e: e)) for s in (0, 1) for e in (0, 1)}
        assert list(PartnerSampler(pairs, 30, 4, 1, lambda: 1)) == order[1, 1]
        assert len({tuple(o) for o in order.values()}) == 4

    def test_distributed_processes_deal_whole_batches_among_them(self):
        pairs = np.array([[2 * i, 2 * i + 1] for i in range(12)])
        sampler = BatchSampler(PartnerSampler(pairs, 48, 8, 0, lambda: 0), batch_size=8, drop_last=False)
        dealt = [list(BatchSamplerShard(sampler, num_processes=2, process_index=i)) for i in range(2)]
        assert [len(mine) for mine in dealt] == [3, 3]
        both = dealt[0] + dealt[1]
        assert sorted(item for batch in both for item in batch) == list(range(48))
        assert all((a in batch) == (b in batch) for a, b in pairs for batch in both)


class TestTrainer:
    def build(self, folder, output, **arguments):
        annotations = sentiment_judgements(18)
        rng = np.random.default_rng(0)
        near = np.repeat(rng.standard_normal((9, 8)), 2, axis=0)  # items 2i and 2i + 1 are near-duplicates
        near /= np.linalg.norm(near, axis=1, keepdims=True)
        conflicts = mine_judgement_pairs(annotations, embeddings=near.astype(np.float32), progress=False)
        model, tokenizer, index = adapted(folder, "output", ("ann", "bob"))
        settings = {
            "per_device_train_batch_size": 4,
            "max_steps": 12,
            "save_steps": 3,
            "save_strategy": "steps",
            "logging_steps": 1,
            "disable_tqdm": True,
            "use_cpu": True,
            "objective": {"mined_pairs": True, "similarity_threshold": -1.0},
        }
        return DCPCTrainer(
            model,
            DCPCTrainingArguments(output_dir=str(output), **{**settings, **arguments}),
            ItemDataset(annotations, tokenizer, index, conflicts=conflicts),
            processing_class=tokenizer,
        )

    def items_seen(self, trainer, monkeypatch) -> list[list[int]]:
        seen = []
        real = trainer.compute_loss

        def compute_loss(model, inputs, *args, **kwargs):
            seen.append(inputs["items"].tolist())
            return real(model, inputs, *args, **kwargs)

        monkeypatch.setattr(trainer, "compute_loss", compute_loss)
        return seen

    def test_partners_come_together_and_every_epoch_has_every_item_once(self, folder, tmp_path, monkeypatch):
        trainer = self.build(folder, tmp_path, save_strategy="no")
        seen = self.items_seen(trainer, monkeypatch)
        trainer.train()
        epochs = [seen[i : i + 5] for i in range(0, 10, 5)]  # 18 items: four batches of four, one of two
        for epoch in epochs:
            assert sorted(item for batch in epoch for item in batch) == list(range(18))
            assert all((item ^ 1) in batch for batch in epoch for item in batch)
        assert epochs[0] != epochs[1]
        assert any(entry.get("loss_ambiguity", 0) > 0 for entry in trainer.state.log_history)

    @pytest.mark.parametrize("at", [3, 5, 9])  # within the first epoch, at its end, within the second
    def test_a_resumed_training_sees_the_same_batches_and_ends_alike(self, folder, tmp_path, monkeypatch, at):
        straight = self.build(folder, tmp_path / "straight", save_steps=at)
        expected = self.items_seen(straight, monkeypatch)
        straight.train()
        resumed = self.build(folder, tmp_path / "resumed")
        seen = self.items_seen(resumed, monkeypatch)
        resumed.train(resume_from_checkpoint=str(tmp_path / "straight" / f"checkpoint-{at}"))
        assert seen == expected[at:]
        weights = (dict(trainer.model.named_parameters()) for trainer in (straight, resumed))
        torch.testing.assert_close(*weights, atol=1e-6, rtol=0)


def test_train_adapter_mines_where_the_switch_is_on(folder, tmp_path, monkeypatch):
    annotations, calls = sentiment_judgements(8), []
    vectors = np.repeat(np.eye(4, dtype=np.float32), 2, axis=0)
    real = fit.mine_judgement_pairs

    def mine(train, **settings):
        calls.append(len(train.table))
        return real(train, embeddings=vectors, progress=False)

    monkeypatch.setattr(fit, "mine_judgement_pairs", mine)
    training = {"max_steps": 2, "use_cpu": True, "per_device_train_batch_size": 4}
    for objective, expected in (({}, []), ({"mined_pairs": True}, [16])):
        fit.train_adapter(
            annotations,
            None,
            base_model=folder,
            training={**training, "objective": objective},
            checkpoints=tmp_path / str(len(expected)),
            progress=False,
        )
        assert calls == expected


def test_a_missing_extra_is_named_before_any_text_is_embedded(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(UsageError, match="faiss") as raised:
        mine_judgement_pairs(judgements(ROWS), encoder="nowhere/nothing", progress=False)
    assert "dcpc[pairs]" in (raised.value.fix or "")


def test_without_ray_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcpc.ray_cluster.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="ray, which is not installed") as caught:
        fit.train_adapter(
            sentiment_judgements(),
            base_model="minilm",
            training={"objective": {"mined_pairs": True}},
            ray="local",
        )
    assert "dcpc[ray]" in str(caught.value)


def test_a_training_that_mines_nothing_needs_no_ray() -> None:
    with pytest.raises(UsageError, match="compares none that are mined"):
        fit.train_adapter(sentiment_judgements(), base_model="minilm", ray="local")
