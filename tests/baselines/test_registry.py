"""The registry names every baseline and says when one does not fit the data; BitFit and adapters train little."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
)

from dcpc.baselines.bitfit import train_only_biases
from dcpc.baselines.bottleneck import add_bottleneck_adapters
from dcpc.baselines.peft_methods import CONFIGS
from dcpc.baselines.registry import BASELINES, check_baseline, find_baseline
from dcpc.data.annotations import Annotations
from dcpc.errors import ModelError, UsageError

SMALL = {
    "vocab_size": 50,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_labels": 2,
}


@pytest.fixture
def bert() -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(**SMALL)).eval()


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    ids = torch.randint(1, 50, (4, 7), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "labels": torch.tensor([0, 1, 1, 0])}


def table(rows: list[tuple[str, str]]) -> Annotations:
    frame = pd.DataFrame(rows, columns=["item_id", "annotator_id"])
    return Annotations(frame.assign(text="t", label="a"), labels=("a", "b"))


def test_every_adapter_method_is_registered() -> None:
    assert {name for name, baseline in BASELINES.items() if baseline.part == "adapter"} == set(CONFIGS)


def test_registered_adapters_build_their_own_configuration(bert: BertForSequenceClassification) -> None:
    config = find_baseline("dora").build(bert, ["a", "b"])
    assert config.use_dora
    assert find_baseline("p-tuning-v2").build(bert, ["a", "b"]).peft_type == "PREFIX_TUNING"


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UsageError, match="crowd-layer"):
        find_baseline("crowdlayer")
    with pytest.raises(UsageError, match="Choose one of"):
        find_baseline("??")


def test_baselines_that_do_not_fit_the_data_are_refused() -> None:
    alone, single, overlapping = (
        table([("i", "x"), ("j", "x")]),
        table([("i", "x"), ("j", "y")]),
        table([("i", "x"), ("i", "y")]),
    )
    with pytest.raises(UsageError, match="1 named"):
        check_baseline("annotator-heads", alone)
    with pytest.raises(UsageError, match="two judgements"):
        check_baseline("crowdlab", single)
    for name in BASELINES:
        check_baseline(name, overlapping)


def test_bitfit_trains_biases_and_head_only(
    bert: BertForSequenceClassification, batch: dict[str, torch.Tensor]
) -> None:
    n = train_only_biases(bert)
    trained = {name: p for name, p in bert.named_parameters() if p.requires_grad}
    assert n == sum(p.numel() for p in trained.values())
    assert all(name.endswith("bias") or name.startswith("classifier.") for name in trained)
    bert(**batch).loss.backward()
    assert all(p.grad is not None for p in trained.values())


def test_bitfit_refuses_a_model_without_biases() -> None:
    with pytest.raises(ModelError, match="has none"):
        train_only_biases(LlamaForSequenceClassification(LlamaConfig(**SMALL, pad_token_id=0)))


def test_bottleneck_adapters_start_as_a_no_op_and_train_themselves_and_the_head(
    bert: BertForSequenceClassification, batch: dict[str, torch.Tensor]
) -> None:
    before = bert(**batch).logits
    n = add_bottleneck_adapters(bert, width=4)
    torch.testing.assert_close(bert(**batch).logits, before)
    per_layer = 16 * 4 + 4 + 4 * 16 + 16
    assert n == 2 * per_layer + 16 * 2 + 2
    bert(**batch).loss.backward()
    for name, parameter in bert.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        assert parameter.requires_grad == (
            ".down." in name or ".up." in name or name.startswith("classifier.")
        )


def test_bottleneck_adapters_learn(
    bert: BertForSequenceClassification, batch: dict[str, torch.Tensor]
) -> None:
    add_bottleneck_adapters(bert)
    optimizer = torch.optim.Adam((p for p in bert.parameters() if p.requires_grad), lr=0.02)
    first = bert(**batch).loss.item()
    for _ in range(100):
        optimizer.zero_grad()
        loss = bert(**batch).loss
        loss.backward()
        optimizer.step()
    assert loss.item() < first / 2
