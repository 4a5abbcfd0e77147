"""What any PEFT user may expect of an adapter: saving, loading, switching, disabling, unloading, precision."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from architectures import ARCHITECTURES, Architecture, adapted, base_model, inputs, randomise, styles_of
from peft import AutoPeftModelForSequenceClassification, PeftModel, get_peft_model
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import BertConfig, BertModel, ViTConfig, ViTForImageClassification

from dcpc.errors import ModelError, UsageError
from dcpc.tuner import PassRecord
from tiny_models import with_module


def architecture(name: str) -> Architecture:
    return next(architecture for architecture in ARCHITECTURES if architecture.name == name)


BERT = architecture("BERT")


def logits(model: nn.Module, **extra: Tensor) -> Tensor:
    with torch.no_grad():
        return model(**inputs(BERT), **extra).logits


def test_saved_folder_holds_config_and_exactly_these_tensors(tmp_path: Path) -> None:
    adapted(BERT, annotators=["ann", "bob"], annotator_groups={"ann": "g"}).save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} >= {"adapter_config.json", "adapter_model.safetensors"}
    assert not list(tmp_path.glob("*.bin"))
    layer = "base_model.model.bert.encoder.layer.{}.attention.self.dcpc.dcpc_{}"
    parts = ("key", "value", "meta_key", "meta_value")
    annotators = ("mean", "log_std", "group_mean", "style_effect", "direct_effect")
    assert set(load_file(tmp_path / "adapter_model.safetensors")) == {
        *(layer.format(index, part) for index in (0, 1) for part in parts),
        *(f"base_model.dcpc_annotators.{name}" for name in annotators),
        *(
            f"base_model.dcpc_correction.networks.32.{linear}.{part}"
            for linear in (0, 2)
            for part in ("weight", "bias")
        ),
        "base_model.model.classifier.weight",
        "base_model.model.classifier.bias",
    }
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["peft_type"] == "DCPC"
    assert config["annotators"] == ["ann", "bob"]


@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
def test_loading_restores_shared_modules_and_head(tmp_path: Path, low_cpu_mem_usage: bool) -> None:
    model = adapted(BERT, annotators=["ann", "bob"])
    with torch.no_grad():
        model.base_model.model.classifier.weight.add_(1)
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(base_model(BERT), tmp_path, low_cpu_mem_usage=low_cpu_mem_usage)
    ids = torch.tensor([0, 1, -1])
    assert torch.equal(logits(loaded.eval(), annotator_ids=ids), logits(model, annotator_ids=ids))
    assert not any(parameter.is_meta for parameter in loaded.parameters())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_auto_class_loads_the_base_model_and_the_adapter(tmp_path: Path) -> None:
    base_model(BERT).save_pretrained(tmp_path / "base")
    model = adapted(BERT)
    model.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
    model.save_pretrained(tmp_path / "adapter")
    loaded = AutoPeftModelForSequenceClassification.from_pretrained(tmp_path / "adapter", num_labels=3).eval()
    torch.testing.assert_close(logits(loaded), logits(model))


def test_state_dict_round_trip_into_an_adapter_of_another_name() -> None:
    model = adapted(BERT, annotators=["ann"])
    other = get_peft_model(
        base_model(BERT),
        with_module(task_type="SEQ_CLS", num_virtual_tokens=3, annotators=["ann"]),
        adapter_name="other",
    ).eval()
    result = set_peft_model_state_dict(other, get_peft_model_state_dict(model), adapter_name="other")
    assert result.unexpected_keys == []
    assert torch.equal(
        logits(other, annotator_ids=torch.zeros(3).long()), logits(model, annotator_ids=torch.zeros(3).long())
    )


def test_two_adapters_switch_and_delete(tmp_path: Path) -> None:
    first = adapted(BERT)
    expected_first = logits(first)
    second = adapted(BERT, num_virtual_tokens=5, correction=False)
    randomise(second, seed=7)
    expected_second = logits(second)
    second.save_pretrained(tmp_path)
    first.load_adapter(tmp_path, adapter_name="second", is_trainable=True)
    assert torch.equal(logits(first), expected_first)
    first.set_adapter("second")
    assert torch.equal(logits(first), expected_second)
    record = PassRecord()
    first(**inputs(BERT), record=record)
    assert record.styles is None
    trainable = {name for name, parameter in first.named_parameters() if parameter.requires_grad}
    assert trainable
    assert all(".second" in name for name in trainable)
    first.set_adapter("default")
    assert torch.equal(logits(first), expected_first)
    first.delete_adapter("second")
    assert torch.equal(logits(first), expected_first)
    assert not any(".second" in name for name in first.state_dict())


def test_deleting_the_acting_adapter_activates_the_other() -> None:
    model = adapted(BERT)
    expected = logits(model)
    model.add_adapter("second", with_module(task_type="SEQ_CLS", annotators=["ann"]))
    model.set_adapter("second")
    assert not torch.equal(logits(model), expected)
    with pytest.warns(UserWarning, match="Setting active adapter to default"):
        model.delete_adapter("second")
    assert torch.equal(logits(model), expected)


def test_a_second_adapter_does_not_save_the_first(tmp_path: Path) -> None:
    model = adapted(BERT)
    model.add_adapter("second", with_module(task_type="SEQ_CLS", annotators=["ann"]))
    model.save_pretrained(tmp_path)
    names = load_file(tmp_path / "second" / "adapter_model.safetensors")
    assert "base_model.dcpc_annotators.mean" in names
    assert len(names) == 18
    assert "base_model.dcpc_annotators.mean" not in load_file(tmp_path / "adapter_model.safetensors")


def test_disabled_adapter_is_the_base_model_also_with_annotators() -> None:
    expected = logits(base_model(BERT))
    model = adapted(BERT, annotators=["ann"])
    with model.disable_adapter():
        assert torch.equal(logits(model, annotator_ids=torch.zeros(3).long()), expected)


def test_unloaded_model_can_be_checkpointed_and_adapted_again() -> None:
    model = adapted(BERT)
    model.train()
    model.gradient_checkpointing_enable()
    model(**inputs(BERT), labels=torch.tensor([0, 1, 2])).loss.backward()
    base = model.unload()
    base.train()
    base.requires_grad_(True)
    base(**inputs(BERT), labels=torch.tensor([0, 1, 2])).loss.backward()
    again = get_peft_model(base.eval(), with_module(task_type="SEQ_CLS"))
    assert torch.isfinite(logits(again)).all()


def test_further_modules_to_save_are_trained_and_saved(tmp_path: Path) -> None:
    model = adapted(BERT, modules_to_save=["pooler"])
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert any("pooler" in name for name in trainable)
    assert any("classifier" in name for name in trainable)
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(base_model(BERT), tmp_path).eval()
    assert torch.equal(logits(loaded), logits(model))


@pytest.mark.parametrize("merge", ["parallel", "concat"])
def test_half_precision_base_keeps_its_precision_and_the_adapters(merge: str) -> None:
    base = base_model(BERT).to(torch.bfloat16)
    model = get_peft_model(base, with_module(task_type="SEQ_CLS", merge=merge, num_virtual_tokens=3))
    randomise(model)
    model.train()
    output = model(**inputs(BERT), labels=torch.tensor([0, 1, 2]))
    output.loss.backward()
    gradients = {n: p for n, p in model.named_parameters() if "dcpc" in n}
    assert all(parameter.dtype == torch.float32 for parameter in gradients.values())
    assert all(torch.isfinite(parameter.grad).all() for parameter in gradients.values())
    reference = adapted(BERT, merge)
    torch.testing.assert_close(logits(model.eval()).float(), logits(reference), atol=0.15, rtol=0.1)


def test_target_modules_restrict_the_layers() -> None:
    by_name = adapted(BERT, target_modules=["layer.1.attention.self"])
    by_pattern = adapted(BERT, target_modules=r".*layer\.1\.attention\.self")
    for model in (by_name, by_pattern):
        assert model.base_model.targeted_module_names == ["bert.encoder.layer.1.attention.self"]
        assert styles_of(model, **inputs(BERT)).mean.shape == (1, 3, 4)
    with pytest.raises(ModelError, match=r"bert\.encoder\.layer\.0\.attention\.self"):
        adapted(BERT, target_modules=["query"])


def test_model_without_task_type_is_adapted_too() -> None:
    # PEFT then calls the base model past the tuner.
    base = BertModel(
        BertConfig(vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=4)
    ).eval()
    batch = inputs(BERT)
    with torch.no_grad():
        expected = base(**batch).last_hidden_state
        model = get_peft_model(base, with_module())
        torch.testing.assert_close(model(**batch).last_hidden_state, expected)
        randomise(model)
        assert (model(**batch).last_hidden_state - expected).abs().max() > 1e-3
    assert styles_of(model, **batch).mean.shape == (2, 3, 4)


def test_copy_of_a_trained_model_is_independent() -> None:
    model = adapted(BERT)
    model(**inputs(BERT))  # leaves nothing behind that could not be copied
    twin = copy.deepcopy(model)
    expected = logits(model)
    assert torch.equal(logits(twin), expected)
    randomise(twin, seed=9)
    assert torch.equal(logits(model), expected)
    assert not torch.equal(logits(twin), expected)


def test_trainable_parameters_are_counted() -> None:
    model = adapted(BERT, num_virtual_tokens=16)
    layer = 16 * 2 * 32 + 4 * 1 * 2 * 32
    correction = 32 * 32 + 32 + 32 * 8 + 8
    assert model.get_nb_trainable_parameters()[0] == 2 * layer + correction + 33 * 3


def test_model_without_token_ids_is_refused_by_name() -> None:
    vit = ViTForImageClassification(
        ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=32)
    )
    with pytest.raises(ModelError, match=r"ViTForImageClassification \(vit\).*[\s\S]*BERT"):
        get_peft_model(vit, with_module())
    assert not vit.config._attn_implementation.startswith("dcpc")


def test_model_without_attention_is_refused() -> None:
    class Bag(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(99, 8)

        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
            return self.embedding(input_ids).mean(dim=1)

    with pytest.raises(ModelError, match="no self-attention"):
        get_peft_model(Bag(), with_module())


@pytest.mark.parametrize("merge", ["parallel", "concat"])
def test_other_attention_kernels_are_refused(merge: str) -> None:
    base = base_model(BERT)
    base.config._attn_implementation = "flash_attention_2"
    with pytest.raises(ModelError, match="flash_attention_2"):
        get_peft_model(base, with_module(task_type="SEQ_CLS", merge=merge))


def test_deberta_refuses_concat_and_keeps_working() -> None:
    base = base_model(architecture("DeBERTa-v2"))
    with pytest.raises(ModelError, match="parallel"):
        get_peft_model(base, with_module(task_type="SEQ_CLS", merge="concat"))


def test_changed_attention_implementation_is_noticed() -> None:
    model = adapted(BERT)
    model.base_model.model.config._attn_implementation = "sdpa"
    with pytest.raises(ModelError, match="did not read"):
        logits(model)


def test_models_that_share_a_config_object_are_independent() -> None:
    base = base_model(BERT)
    twin = type(base)(base.config).eval()
    plain = logits(twin)
    expected = logits(get_peft_model(twin, with_module(task_type="SEQ_CLS")))
    first = get_peft_model(base, with_module(task_type="SEQ_CLS"))
    randomise(first)
    assert torch.equal(expected, plain)
    assert not torch.equal(logits(first), plain)


def test_adapting_an_adapted_base_model_again_is_refused() -> None:
    model = adapted(BERT)
    with pytest.raises(ModelError, match="already"):
        get_peft_model(model.base_model.model, with_module(task_type="SEQ_CLS"))
    assert torch.isfinite(logits(model)).all()


def test_weights_can_be_loaded_into_an_existing_adapter(tmp_path: Path) -> None:
    # What a Trainer does to resume.
    trained = adapted(BERT, annotators=["ann"])
    trained.save_pretrained(tmp_path)
    model = adapted(BERT, annotators=["ann"])
    randomise(model, seed=5)
    model.load_adapter(tmp_path, "default", is_trainable=True)
    assert torch.equal(logits(model), logits(trained))
    assert all(p.requires_grad for n, p in model.named_parameters() if "dcpc" in n)


def test_a_fresh_adapter_learns() -> None:
    model = get_peft_model(base_model(BERT), with_module(task_type="SEQ_CLS"))
    model.train()
    start = {n: p.detach().clone() for n, p in model.named_parameters() if "dcpc" in n}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
    losses = []
    for _ in range(30):
        loss = model(**inputs(BERT), labels=torch.tensor([0, 1, 2])).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4
    assert [n for n, p in model.named_parameters() if n in start and torch.equal(p, start[n])] == []


def test_merging_and_two_adapters_at_once_are_refused() -> None:
    model = adapted(BERT)
    with pytest.raises(UsageError, match="cannot be merged"):
        model.merge_and_unload()
    model.add_adapter("second", with_module(task_type="SEQ_CLS"))
    with pytest.raises(UsageError, match="at once"):
        model.base_model.set_adapter(["default", "second"])
    with pytest.raises(UsageError, match="merge"):
        model.add_adapter("third", with_module(task_type="SEQ_CLS", merge="concat"))
