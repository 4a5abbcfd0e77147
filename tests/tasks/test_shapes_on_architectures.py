"""Every task shape on every generating architecture with every carrier: right numbers, and all tensors learn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from architectures import GENERATORS, VOCABULARY, Architecture, base_model, label, randomise
from peft import PeftModel, get_peft_model
from torch import Tensor

from dcpc.tasks.continuations import padded_continuations, score_continuations
from dcpc.tasks.write.loss import reply_log_likelihoods, reply_loss
from tiny_models import with_module

CARRIERS: dict[str, dict[str, Any]] = {
    "prefix": {"num_virtual_tokens": 3},
    "prefix, one softmax": {"num_virtual_tokens": 3, "merge": "concat"},
    "low-rank": {"num_virtual_tokens": 0, "rank": 2},
    "bottleneck": {"num_virtual_tokens": 0, "bottleneck": 3},
}
CASES = [
    (architecture, carrier)
    for architecture in GENERATORS
    for carrier in CARRIERS
    if carrier != "bottleneck" or architecture.bottleneck
]
cases = pytest.mark.parametrize(("architecture", "carrier"), CASES, ids=label)
LENGTHS = (7, 4)
SHAPES = {
    "label words of one token": [[[5], [7]], [[5], [7]]],
    "label words": [[[5, 9, 14], [7]], [[5, 9, 14], [7]]],
    "choose": [[[11, 6]], [[5, 9], [7, 30, 4, 6]]],
}


def language_model(architecture: Architecture, carrier: str) -> PeftModel:
    """With a correction module whose weights are random, as after training."""
    task = "SEQ_2_SEQ_LM" if architecture.kind == "encoder-decoder" else "CAUSAL_LM"
    config = with_module(task_type=task, carrier_dropout=0.0, **CARRIERS[carrier])
    model = get_peft_model(base_model(architecture, generator=True), config)
    randomise(model)
    return model.eval()


def prompts() -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(3, VOCABULARY, (length,), generator=generator) for length in LENGTHS]


def batch(continuations: list[list[list[int]]]) -> dict[str, Tensor]:
    ids = torch.zeros(len(LENGTHS), max(LENGTHS), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts()):
        ids[row, : len(prompt)], mask[row, : len(prompt)] = prompt, 1
    return {"input_ids": ids, "attention_mask": mask, "continuations": padded_continuations(continuations)}


@torch.no_grad()
def naive(model: PeftModel, prompt: Tensor, continuation: list[int]) -> float:
    """The log-likelihood from one unpadded pass of its own."""
    target = torch.tensor(continuation)
    if model.config.is_encoder_decoder:
        start = torch.tensor([model.config.decoder_start_token_id])
        decoder = torch.cat([start, target[:-1]])[None]
        logits = model(input_ids=prompt[None], decoder_input_ids=decoder).logits[0]
    else:
        whole = torch.cat([prompt, target[:-1]])[None]
        read = (torch.arange(whole.shape[1]) < len(prompt))[None]
        logits = model(input_ids=whole, use_cache=False, prompt_mask=read).logits[0, -len(target) :]
    return float(logits.log_softmax(-1).gather(1, target[:, None]).sum())


@cases
@pytest.mark.parametrize("shape", SHAPES)
def test_scores_equal_those_of_each_continuation_by_itself(
    architecture: Architecture, carrier: str, shape: str
) -> None:
    model, continuations = language_model(architecture, carrier), SHAPES[shape]
    with torch.no_grad():
        scores = score_continuations(model, batch(continuations)).scores
    for row, (prompt, each) in enumerate(zip(prompts(), continuations, strict=True)):
        for column, continuation in enumerate(each):
            assert scores[row, column].item() == pytest.approx(
                naive(model, prompt, continuation), abs=2e-4, rel=1e-5
            )


@cases
def test_every_tensor_learns_from_scores(architecture: Architecture, carrier: str) -> None:
    model = language_model(architecture, carrier).train()
    score_continuations(model, batch(SHAPES["label words"])).scores.logsumexp(dim=1).sum().backward()
    assert without_gradient(model) == []


@cases
def test_written_replies_are_scored_alone_and_every_tensor_learns(
    architecture: Architecture, carrier: str
) -> None:
    if architecture.kind == "encoder-decoder":
        pytest.skip("refused: writing needs a causal model")
    model, replies = language_model(architecture, carrier), ([9, 14, 2], [7, 2])
    ids = torch.zeros(2, max(LENGTHS) + 3, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, (prompt, reply) in enumerate(zip(prompts(), replies, strict=True)):
        end = len(prompt) + len(reply)
        ids[row, :end] = torch.cat([prompt, torch.tensor(reply)])
        labels[row, len(prompt) : end] = torch.tensor(reply)
        mask[row, :end] = 1
    given = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    found, lengths = reply_log_likelihoods(model, given)
    assert lengths.tolist() == [3, 2]
    for row, (prompt, reply) in enumerate(zip(prompts(), replies, strict=True)):
        assert found[row].item() == pytest.approx(naive(model, prompt, reply), abs=2e-4, rel=1e-5)
    loss = reply_loss(model, given)
    assert loss.item() == pytest.approx(-found.sum().item() / 5, rel=1e-4)
    loss.backward()
    assert without_gradient(model) == []


def without_gradient(model: PeftModel) -> list[str]:
    """Names of trainable tensors that got no gradient."""
    return [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
