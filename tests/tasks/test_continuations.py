"""Scoring several continuations of a prompt that is read once equals scoring each by itself."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, PrefixTuningConfig, get_peft_model

from dcpc import DCPCConfig
from dcpc.tasks.continuations import (
    NEVER,
    left_padded,
    padded_continuations,
    right_padded,
    score_continuations,
)
from dcpc.tuner.acting import dcpc_tuner
from tiny_language_models import tiny_language_model

CAUSAL = ["llama", "gpt2", "mistral", "qwen2", "qwen3", "phi3", "gemma3"]
LONG = [[[5, 9, 14], [7], [8, 20]], [[5, 9, 14], [7], [8, 20]], [[5, 9, 14], [7], [8, 20]]]
SINGLE = [[[5], [7], [8]]] * 3
RAGGED = [[[5, 9], [7, 30, 4, 6]], [[11]], [[5, 9, 14], [7], [8, 20]]]
CARRIERS = {
    "prefix": {"num_virtual_tokens": 3},
    "prefix in one softmax": {
        "num_virtual_tokens": 3,
        "merge": "concat",
        "gate": False,
        "num_corrected_tokens": 3,
    },
    "low-rank": {"num_virtual_tokens": 0, "rank": 2},
    "bottleneck": {"num_virtual_tokens": 0, "bottleneck": 4},
}


def prompts(side: str):
    """Three prompts of 9, 5 and 2 tokens, padded on one side."""
    generator = torch.Generator().manual_seed(3)
    ids, mask = torch.zeros(3, 9, dtype=torch.long), torch.zeros(3, 9, dtype=torch.long)
    for row, length in enumerate((9, 5, 2)):
        where = slice(9 - length, 9) if side == "left" else slice(0, length)
        ids[row, where] = torch.randint(3, 250, (length,), generator=generator)
        mask[row, where] = 1
    return ids, mask


def batch(continuations, side="right"):
    ids, mask = prompts(side)
    return {"input_ids": ids, "attention_mask": mask, "continuations": padded_continuations(continuations)}


def adapted(model, seed=1, **fields):
    """The model with a DCPC adapter whose weights are random, as after training."""
    task = "SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM"
    settings = {"correction": True, "carrier_dropout": 0.0, **fields}
    model = get_peft_model(model, DCPCConfig(task_type=task, **settings)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "dcpc" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return model


@torch.no_grad()
def each_by_itself(model, continuations, normalise=False, **preference):
    """Scores from one unpadded pass for every prompt and continuation."""
    ids, mask = right_padded(*prompts("right"))
    tuner, scores = dcpc_tuner(model), []
    for row, each in enumerate(continuations):
        prompt = ids[row][mask[row].bool()]
        own = {name: value[row : row + 1] for name, value in preference.items()}
        for continuation in each:
            target = torch.tensor(continuation)
            if model.config.is_encoder_decoder:
                start = torch.tensor([model.config.decoder_start_token_id])
                decoder = torch.cat([start, target[:-1]])[None]
                logits = model(input_ids=prompt[None], decoder_input_ids=decoder, **own).logits[0]
            else:
                whole = torch.cat([prompt, target[:-1]])[None]
                if tuner is not None:
                    own["prompt_mask"] = (torch.arange(whole.shape[1]) < len(prompt))[None]
                logits = model(input_ids=whole, use_cache=False, **own).logits[0, -len(target) :]
            score = logits.log_softmax(-1).gather(1, target[:, None]).sum().item()
            scores.append(score / len(target) if normalise else score)
    return scores


def listed(scores, continuations):
    return [
        scores[row, column].item() for row, each in enumerate(continuations) for column in range(len(each))
    ]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("continuations", [SINGLE, LONG, RAGGED], ids=["single", "long", "ragged"])
@pytest.mark.parametrize("kind", [*CAUSAL, "t5", "mamba"])
def test_scores_equal_those_of_each_continuation_by_itself(kind, continuations, side):
    model = tiny_language_model(kind)
    with torch.no_grad():
        found = score_continuations(model, batch(continuations, side)).scores
    assert listed(found, continuations) == pytest.approx(
        each_by_itself(model, continuations), abs=1e-5, rel=1e-5
    )


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3", "t5"])
def test_adapters_that_read_the_prompt_read_it_alone(kind, carrier):
    model = adapted(tiny_language_model(kind), **CARRIERS[carrier])
    with torch.no_grad():
        found = score_continuations(model, batch(RAGGED, "left"))
    assert listed(found.scores, RAGGED) == pytest.approx(each_by_itself(model, RAGGED), abs=1e-5, rel=1e-5)
    assert found.styles.mean.shape[1] == 3  # one row of styles per item, however many continuations
    plain = tiny_language_model(kind)
    assert listed(found.scores, RAGGED) != pytest.approx(each_by_itself(plain, RAGGED), abs=1e-2)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3"])
def test_eager_attention_gives_the_same(kind):
    model = adapted(tiny_language_model(kind, "eager"), **CARRIERS["prefix"])
    with torch.no_grad():
        found = score_continuations(model, batch(RAGGED, "left")).scores
    assert listed(found, RAGGED) == pytest.approx(each_by_itself(model, RAGGED), abs=1e-5, rel=1e-5)


@pytest.mark.parametrize("continuations", [SINGLE, RAGGED], ids=["single", "ragged"])
@pytest.mark.parametrize("config", [LoraConfig, PrefixTuningConfig], ids=["lora", "prefix"])
def test_pefts_own_adapters_are_scored_too(config, continuations):
    fields = {"num_virtual_tokens": 2} if config is PrefixTuningConfig else {"init_lora_weights": False}
    model = get_peft_model(tiny_language_model(), config(task_type="CAUSAL_LM", **fields)).eval()
    with torch.no_grad():
        found = score_continuations(model, batch(continuations, "left")).scores
    assert listed(found, continuations) == pytest.approx(
        each_by_itself(model, continuations), abs=1e-5, rel=1e-5
    )


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_a_persons_styles_act_on_their_row(kind):
    model = adapted(
        tiny_language_model(kind), num_virtual_tokens=3, annotators=["a", "b"], annotator_mode="prefix"
    )
    who = torch.tensor([0, 1, -1])
    with torch.no_grad():
        found = score_continuations(model, batch(LONG), annotator_ids=who).scores
        others = score_continuations(model, batch(LONG)).scores
    expected = each_by_itself(model, LONG, annotator_ids=who)
    assert listed(found, LONG) == pytest.approx(expected, abs=1e-5, rel=1e-5)
    assert not torch.allclose(found[:2], others[:2], atol=1e-3)
    torch.testing.assert_close(found[2], others[2])


def test_normalised_scores_are_means_over_tokens():
    model = tiny_language_model()
    with torch.no_grad():
        found = score_continuations(model, batch(RAGGED), normalise=True).scores
    assert listed(found, RAGGED) == pytest.approx(
        each_by_itself(model, RAGGED, normalise=True), abs=1e-5, rel=1e-5
    )


def test_a_candidate_that_is_not_there_has_probability_zero():
    with torch.no_grad():
        found = score_continuations(tiny_language_model(), batch(RAGGED)).scores
    assert (found[1, 1:] == NEVER).all()
    assert found[1].softmax(-1)[1:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("kind", ["llama", "t5"])
@pytest.mark.parametrize("continuations", [SINGLE, LONG])
def test_states_are_pooled_over_the_prompt(kind, continuations):
    model = tiny_language_model(kind)
    with torch.no_grad():
        found = score_continuations(model, batch(continuations, "left"), states=True).states
        ids, mask = right_padded(*prompts("right"))
        for row in range(3):
            one = ids[row][mask[row].bool()][None]
            if kind == "t5":
                hidden = model.get_encoder()(input_ids=one, output_hidden_states=True).hidden_states
            else:
                hidden = model(input_ids=one, output_hidden_states=True).hidden_states
            expected = torch.stack([layer[0].mean(dim=0) for layer in hidden])
            torch.testing.assert_close(found[:, row], expected[-len(found) :], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "t5", "mamba"])
def test_the_prompt_goes_through_the_model_once(kind):
    model, seen = tiny_language_model(kind), []
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding) and module.num_embeddings == model.config.vocab_size:
            module.register_forward_hook(lambda module, args, output: seen.append(args[0].numel()))
    with torch.no_grad():
        score_continuations(model, batch(LONG))
    prompt, branches = 3 * 9, 3 * 3 * 2
    decoder = 3 * 1 + 3 * 3 * 3  # the start alone, then the start and two tokens of each continuation
    expected = {"t5": prompt + decoder, "mamba": 3 * 3 * (9 + 2)}.get(kind, prompt + branches)
    assert sum(seen) == expected


def test_words_of_one_token_cost_one_prompt_also_where_every_continuation_has_its_own():
    seen = []
    config = PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    model = get_peft_model(tiny_language_model(), config).eval()
    model.get_input_embeddings().register_forward_hook(
        lambda module, args, output: seen.append(tuple(args[0].shape))
    )
    with torch.no_grad():
        score_continuations(model, batch(SINGLE))
    assert seen == [(3, 9)]


def test_single_tokens_cost_the_logits_of_one_position():
    model, sizes = tiny_language_model(), []
    model.lm_head.register_forward_hook(lambda module, args, output: sizes.append(output.shape[1]))
    with torch.no_grad():
        score_continuations(model, batch(SINGLE))
    assert sizes == [1]


@pytest.mark.parametrize("carrier", [*CARRIERS, "lora"])
@pytest.mark.parametrize("continuations", [SINGLE, LONG])
def test_checkpointing_changes_no_gradient(carrier, continuations):
    def gradients(checkpointing):
        base = tiny_language_model()
        if carrier == "lora":
            torch.manual_seed(0)
            model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False))
        else:
            model = adapted(base, **CARRIERS[carrier])
        if checkpointing:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.train()
        noise = {} if carrier == "lora" else {"noise": torch.zeros(3, 4)}
        score_continuations(model, batch(continuations), **noise).scores.logsumexp(-1).sum().backward()
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    plain, again = gradients(False), gradients(True)
    assert plain
    torch.testing.assert_close(again, plain, atol=1e-5, rtol=1e-4)


def test_bfloat16_autocast_stays_near_float32():
    model = adapted(tiny_language_model(), **CARRIERS["prefix"])
    with torch.no_grad():
        exact = score_continuations(model, batch(LONG)).scores
        with torch.autocast("cpu", dtype=torch.bfloat16):
            near = score_continuations(model, batch(LONG)).scores
    assert near.dtype == torch.float32
    torch.testing.assert_close(near, exact, atol=0.5, rtol=0.05)


def test_padding_moves_as_asked():
    ids, mask = prompts("right")
    assert torch.equal(left_padded(ids, mask)[0], prompts("left")[0])
    assert torch.equal(right_padded(*prompts("left"))[0], ids)
