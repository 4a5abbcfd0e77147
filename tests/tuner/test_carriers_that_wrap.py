"""Carriers that wrap linear layers leave attention, masks and kernels alone, and do what PEFT's layers do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, Architecture, adapted, base_model, inputs, randomise
from datasets import Dataset
from peft import get_peft_model
from torch import Tensor, nn
from transformers import AttentionInterface, Trainer, TrainingArguments, default_data_collator
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from dcpc.errors import ModelError, UsageError
from dcpc.tuner import DCPCConfig
from dcpc.tuner.low_rank import LowRankLayer
from dcpc.tuner.update_layer import UpdateLayer

BERT = next(a for a in ARCHITECTURES if a.name == "BERT")
GPT2 = next(a for a in ARCHITECTURES if a.name == "GPT-2")
LLAMA = next(a for a in ARCHITECTURES if a.name == "Llama")
LOW_RANK: dict[str, Any] = {"rank": 3, "readout": False}


def output(model: nn.Module, architecture: Architecture = BERT, **options: Any) -> Tensor:
    with torch.no_grad():
        return model(**inputs(architecture), **options).logits


def made(config: DCPCConfig, architecture: Architecture = BERT, **options: Any) -> nn.Module:
    model = get_peft_model(base_model(architecture, **options), config)
    randomise(model)
    return model.eval()


@pytest.mark.parametrize("carrier", [{"bottleneck": 4}, {"rank": 2}], ids=str)
def test_the_models_own_attention_function_runs_whatever_it_is(carrier: dict[str, int]) -> None:
    calls = []

    def own(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        calls.append(type(module).__name__)
        return sdpa_attention_forward(module, *args, **kwargs)

    AttentionInterface.register("somebody_elses", own)
    base = base_model(LLAMA)
    base.config._attn_implementation = "somebody_elses"
    model = get_peft_model(base, DCPCConfig(task_type="SEQ_CLS", readout=False, **carrier))
    output(model, LLAMA)
    assert calls == ["LlamaAttention"] * 2
    assert base.config._attn_implementation == "somebody_elses"
    assert model.base_model.machinery is None


def test_a_light_adapter_loads_none_of_the_papers_machinery() -> None:
    code = (
        "import sys, torch\n"
        "from transformers import BertConfig, BertForSequenceClassification\n"
        "from peft import get_peft_model\n"
        "from dcpc import DCPCConfig\n"
        "c = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)\n"
        "get_peft_model(BertForSequenceClassification(c), DCPCConfig(task_type='SEQ_CLS', rank=2))\n"
        "print([m for m in sys.modules if m.startswith('dcpc.tuner.paper')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize("architecture", [BERT, GPT2, LLAMA], ids=lambda a: a.name)
@pytest.mark.parametrize("safe", [False, True])
def test_low_rank_updates_merge_into_the_base(architecture: Architecture, safe: bool) -> None:
    model = made(DCPCConfig(task_type="SEQ_CLS", **LOW_RANK), architecture)
    plain, expected = output(base_model(architecture), architecture), output(model, architecture)
    model.merge_adapter(safe_merge=safe)
    torch.testing.assert_close(output(model, architecture), expected, atol=1e-4, rtol=1e-4)
    model.unmerge_adapter()
    torch.testing.assert_close(output(model, architecture), expected, atol=1e-4, rtol=1e-4)
    merged = model.merge_and_unload(safe_merge=safe)
    assert not any(isinstance(module, UpdateLayer) for module in merged.modules())
    assert type(merged) is architecture.model
    torch.testing.assert_close(output(merged, architecture), expected, atol=1e-4, rtol=1e-4)
    assert (expected - plain).abs().max() > 1e-2


def test_merged_weights_are_switched_off_with_the_adapter() -> None:
    model, expected = made(DCPCConfig(task_type="SEQ_CLS", **LOW_RANK)), output(base_model(BERT))
    model.merge_adapter()
    with model.disable_adapter():
        torch.testing.assert_close(output(model), expected, atol=1e-4, rtol=1e-4)


def test_weights_that_are_no_numbers_are_not_merged() -> None:
    model = made(DCPCConfig(task_type="SEQ_CLS", **LOW_RANK))
    layer = next(module for module in model.modules() if isinstance(module, LowRankLayer))
    with torch.no_grad():
        layer.dcpc_up["default"].fill_(float("nan"))
    before = layer.base_layer.weight.clone()
    with pytest.raises(ModelError, match="no numbers"):
        model.merge_adapter(safe_merge=True)
    assert torch.equal(layer.base_layer.weight, before)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"bottleneck": 3, "readout": False}, "bottlenecks are not linear"),
        ({"rank": 2, "readout": True}, "readout reads all layers"),
        ({"num_virtual_tokens": 2, "readout": False}, "prefix is no part of a weight"),
        ({"rank": 2, "correction": True, "readout": False}, "correction module depends on the input"),
    ],
)
def test_what_does_not_merge_says_why(fields: dict[str, Any], reason: str) -> None:
    model = made(DCPCConfig(task_type="SEQ_CLS", **fields))
    for merge in (model.merge_and_unload, model.merge_adapter):
        with pytest.raises(UsageError, match=reason):
            merge()


def test_merging_says_that_annotators_stay_behind() -> None:
    model = made(DCPCConfig(task_type="SEQ_CLS", annotators=["a", "b"], **LOW_RANK))
    expected = output(model)
    with pytest.warns(UserWarning, match="not part of the merged weights"):
        merged = model.merge_and_unload()
    torch.testing.assert_close(output(merged), expected, atol=1e-4, rtol=1e-4)


def test_what_peft_offers_and_this_method_cannot_do_is_refused_in_words() -> None:
    model = made(DCPCConfig(task_type="SEQ_CLS", **LOW_RANK))
    with pytest.raises(UsageError, match="cannot be added up"):
        model.add_weighted_adapter(["default"], [1.0], "sum")
    with pytest.raises(UsageError, match="adapter_names is not supported"):
        output(model, adapter_names=["default"] * 3)
    with pytest.raises(ValueError, match="compatible"):
        get_peft_model(base_model(BERT), DCPCConfig(task_type="SEQ_CLS"), mixed=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "fields",
    [
        {"readout": True, "annotators": ["a", "b"]},
        LOW_RANK,
        {"num_virtual_tokens": 3, "correction": True, "readout": False, "annotators": ["a", "b"]},
        {"num_virtual_tokens": 3, "merge": "concat", "readout": False},
    ],
    ids=["default", "low-rank", "module", "concat"],
)
def test_a_wrapped_model_can_be_cast(dtype: torch.dtype, fields: dict[str, Any]) -> None:
    model = made(DCPCConfig(task_type="SEQ_CLS", **fields))
    who = {"annotator_ids": torch.tensor([0, 1, -1])} if "annotators" in fields else {}
    expected = output(model, **who)
    found = output(model.to(dtype), **who)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found.float(), expected, atol=0.3, rtol=0.15)


@pytest.mark.parametrize("fields", [{}, LOW_RANK], ids=["default", "low-rank"])
def test_a_base_with_quantised_layers_is_adapted(fields: dict[str, Any]) -> None:
    base = torch.ao.quantization.quantize_dynamic(base_model(BERT), {nn.Linear}, dtype=torch.qint8)
    expected = output(base)
    model = get_peft_model(base, DCPCConfig(task_type=None, **fields)).eval()
    torch.testing.assert_close(output(model), expected)
    randomise(model)
    found = output(model)
    assert torch.isfinite(found).all()
    assert not torch.allclose(found, expected)
    if "rank" in fields:
        with pytest.raises(ModelError, match="quantised"):
            model.merge_and_unload()


@pytest.mark.parametrize("fields", [{"readout": False}, LOW_RANK], ids=["bottleneck", "low-rank"])
def test_a_compiled_model_predicts_the_same(fields: dict[str, Any]) -> None:
    model = made(DCPCConfig(task_type="SEQ_CLS", **fields))
    expected = output(model)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager")
    torch.testing.assert_close(output(compiled), expected)
    torch.testing.assert_close(output(compiled), expected)


def test_linear_layers_can_be_named_as_in_peft() -> None:
    model = made(DCPCConfig(task_type="SEQ_CLS", target_modules=["query", "value"], **LOW_RANK))
    wrapped = {name for name, module in model.named_modules() if isinstance(module, UpdateLayer)}
    assert {name.rpartition(".")[2] for name in wrapped} == {"query", "value"}
    with pytest.raises(ModelError, match="q_proj"):
        made(DCPCConfig(task_type="SEQ_CLS", target_modules=["q_proj"], **LOW_RANK))


def test_chunked_prefill_is_right_without_a_module_and_refused_with_one() -> None:
    prompt = {"input_ids": torch.arange(4, 13)[None]}
    settings = {"max_new_tokens": 5, "do_sample": False}
    for fields in ({"rank": 2}, {"num_virtual_tokens": 3, "correction": False}):
        model = adapted(LLAMA, generator=True, **{"num_virtual_tokens": 0, "correction": False, **fields})
        whole = model.generate(**prompt, **settings)
        assert torch.equal(model.generate(**prompt, **settings, prefill_chunk_size=4), whole)
    with pytest.raises(UsageError, match="prefill_chunk_size"):
        adapted(LLAMA, generator=True).generate(**prompt, **settings, prefill_chunk_size=4)


def test_assisted_generation_gives_the_same_tokens() -> None:
    prompt = {"input_ids": torch.arange(4, 13)[None], "attention_mask": torch.ones(1, 9, dtype=torch.long)}
    settings = {"max_new_tokens": 8, "do_sample": False}
    helper = base_model(LLAMA, generator=True)
    for fields in ({"rank": 2, "num_virtual_tokens": 0, "correction": False}, {"num_virtual_tokens": 3}):
        model = adapted(LLAMA, generator=True, **fields)
        whole = model.generate(**prompt, **settings)
        assert torch.equal(model.generate(**prompt, **settings, assistant_model=helper), whole)


def test_a_plain_trainer_trains_annotators_or_says_why_not(tmp_path: Path) -> None:
    rows = [
        {"input_ids": list(range(3, 9)), "attention_mask": [1] * 6, "labels": i % 3, "annotator_ids": i % 2}
        for i in range(12)
    ]

    def untrained(**settings: Any) -> list[str]:
        config = DCPCConfig(task_type="SEQ_CLS", annotators=["x", "y"], labels=["a", "b", "c"], readout=False)
        model = get_peft_model(base_model(BERT), config)
        before = {n: p.detach().clone() for n, p in model.named_parameters() if "annotators" in n}
        arguments = TrainingArguments(
            output_dir=str(tmp_path), use_cpu=True, save_strategy="no", report_to=[], max_steps=2,
            disable_tqdm=True, learning_rate=0.01, **settings,
        )  # fmt: skip
        data = Dataset.from_list(rows)
        Trainer(model, arguments, train_dataset=data, data_collator=default_data_collator).train()
        after = dict(model.named_parameters())
        return [name for name, value in before.items() if torch.equal(value, after[name])]

    with pytest.warns(UserWarning, match="remove_unused_columns=False"):
        assert untrained()
    assert not [
        name for name in untrained(remove_unused_columns=False) if not name.endswith("style_effect.default")
    ]
