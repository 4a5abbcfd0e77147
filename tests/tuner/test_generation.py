"""Generation with an adapter: caches, beams and padding change nothing; preferences are those of the prompt."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from architectures import (
    GENERATORS,
    GENERATORS_WITH_MERGE,
    Architecture,
    adapted,
    inputs,
    label,
    padded,
    styles_of,
)
from peft import PeftModel
from torch import Tensor

matrix = pytest.mark.parametrize(("architecture", "merge"), GENERATORS_WITH_MERGE, ids=label)
STEPS = 6


def prompt(architecture: Architecture) -> dict[str, Tensor]:
    batch = inputs(architecture, rows=2, length=7)
    batch.pop("decoder_input_ids", None)
    return batch


def generate(model: PeftModel, batch: dict[str, Tensor], **settings: Any) -> Any:
    """New tokens and the scores [B,STEPS,V] from which greedy search chose them."""
    settings = {"max_new_tokens": STEPS, "min_new_tokens": STEPS, "do_sample": False, **settings}
    result = model.generate(**batch, **settings, output_logits=True, return_dict_in_generate=True)
    return result.sequences[:, -STEPS:], torch.stack(result.logits, dim=1)


@matrix
def test_cached_equals_uncached(architecture: Architecture, merge: str) -> None:
    model, batch = adapted(architecture, merge, generator=True), prompt(architecture)
    cached, cached_scores = generate(model, batch, use_cache=True)
    uncached, uncached_scores = generate(model, batch, use_cache=False)
    assert torch.equal(cached, uncached)
    torch.testing.assert_close(cached_scores, uncached_scores, atol=2e-4, rtol=1e-3)


@matrix
def test_static_cache_equals_dynamic(architecture: Architecture, merge: str) -> None:
    model, batch = adapted(architecture, merge, generator=True), prompt(architecture)
    dynamic, dynamic_scores = generate(model, batch, cache_implementation="dynamic")
    static, static_scores = generate(model, batch, cache_implementation="static")
    assert torch.equal(static, dynamic)
    torch.testing.assert_close(static_scores, dynamic_scores, atol=2e-4, rtol=1e-3)


@matrix
def test_beams_of_an_item_do_not_depend_on_its_batch_or_the_cache(
    architecture: Architecture, merge: str
) -> None:
    model, batch = adapted(architecture, merge, generator=True), prompt(architecture)
    settings = {"num_beams": 3, "max_new_tokens": STEPS, "min_new_tokens": STEPS, "do_sample": False}
    beams = model.generate(**batch, **settings)
    assert torch.equal(beams, model.generate(**batch, **settings, use_cache=False))
    second = {name: value[1:] for name, value in batch.items()}
    assert torch.equal(beams[1:], model.generate(**second, **settings))


@pytest.mark.parametrize(
    ("architecture", "merge"),
    [(architecture, merge) for architecture, merge in GENERATORS_WITH_MERGE],
    ids=label,
)
def test_padded_prompts_generate_the_same(architecture: Architecture, merge: str) -> None:
    model, batch = adapted(architecture, merge, generator=True), prompt(architecture)
    side = "left" if architecture.kind == "decoder" else "right"
    tokens, scores = generate(model, batch)
    for cache in ("dynamic", "static"):
        found, found_scores = generate(model, padded(batch, side), cache_implementation=cache)
        assert torch.equal(found, tokens)
        torch.testing.assert_close(found_scores, scores, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("architecture", GENERATORS, ids=label)
def test_padding_is_inferred_where_no_mask_is_given(architecture: Architecture) -> None:
    model, batch = adapted(architecture, generator=True), prompt(architecture)
    side = "left" if architecture.kind == "decoder" else "right"
    tokens, _ = generate(model, batch)
    found, _ = generate(model, {"input_ids": padded(batch, side)["input_ids"]}, cache_implementation="static")
    assert torch.equal(found, tokens)


@pytest.mark.parametrize(
    "architecture", [architecture for architecture in GENERATORS if architecture.kind == "decoder"], ids=label
)
def test_a_filled_cache_continues_the_pass_before(architecture: Architecture) -> None:
    model, batch = adapted(architecture, generator=True), prompt(architecture)
    with torch.no_grad():
        first = model(**batch, use_cache=True)
        token = first.logits[:, -1:].argmax(dim=-1)
        mask = torch.ones(2, 8, dtype=torch.long)
        second = model(input_ids=token, attention_mask=mask, past_key_values=first.past_key_values)
    _, scores = generate(model, batch)
    torch.testing.assert_close(second.logits[:, -1], scores[:, 1], atol=2e-4, rtol=1e-3)


def test_preferences_of_a_language_model_do_not_see_its_targets() -> None:
    llama = next(architecture for architecture in GENERATORS if architecture.name == "Llama")
    model, batch = adapted(llama, generator=True), prompt(llama)
    labels = batch["input_ids"].clone()
    labels[:, :4] = -100
    changed = {**batch, "input_ids": batch["input_ids"].clone()}
    changed["input_ids"][:, 4:] = 50
    # The first layer's preference: later layers see the prompt through causal attention only.
    probabilities = [styles_of(model, **inputs_, labels=labels).probabilities for inputs_ in (batch, changed)]
    torch.testing.assert_close(probabilities[0], probabilities[1])
    assert (styles_of(model, **changed).probabilities - probabilities[0]).abs().max() > 1e-3


def test_decoder_takes_the_preference_of_the_last_encoder_layer() -> None:
    t5 = next(architecture for architecture in GENERATORS if architecture.name == "T5")
    model = adapted(t5)
    probabilities = styles_of(model, **inputs(t5)).probabilities  # [L,B,K]: two encoder, two decoder layers
    assert torch.equal(probabilities[2], probabilities[1])
    assert torch.equal(probabilities[3], probabilities[1])


def test_encoder_outputs_can_be_reused() -> None:
    bart = next(architecture for architecture in GENERATORS if architecture.name == "BART")
    model, batch = adapted(bart), inputs(bart)
    with torch.no_grad():
        first = model(**batch)
        encoder = (first.encoder_last_hidden_state,)
        again = model(
            encoder_outputs=encoder,
            attention_mask=batch["attention_mask"],
            decoder_input_ids=batch["decoder_input_ids"],
        )
    torch.testing.assert_close(again.logits, first.logits)


def test_annotators_shape_what_is_generated() -> None:
    llama = next(architecture for architecture in GENERATORS if architecture.name == "Llama")
    model = adapted(llama, generator=True, annotators=["a", "b"], annotator_mode="prefix")
    batch = prompt(llama)
    _, plain = generate(model, batch)
    _, null = generate(model, batch, annotator_ids=torch.tensor([-1, -1]))
    _, known = generate(model, batch, annotator_ids=torch.tensor([0, -1]))
    assert torch.equal(null, plain)
    assert (known[0, 0] - plain[0, 0]).abs().max() > 1e-3
    torch.testing.assert_close(known[1], plain[1])
