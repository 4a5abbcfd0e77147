"""The architectures that the tuner is tested on: the one list behind the tests and docs/architectures.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers as tf
from peft import PeftModel, get_peft_model
from torch import Tensor, nn

from dcpc.tuner import PassRecord, Styles
from tiny_models import with_module

VOCABULARY, WIDTH, LABELS = 99, 32, 3
TINY = {"vocab_size": VOCABULARY, "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4}
TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
BERT = {**TINY, "intermediate_size": 48, "max_position_embeddings": 40, "pad_token_id": 0}
LLAMA = {**TINY, **TOKENS, "intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 8}
WITHOUT_HEAD_DIM = {name: value for name, value in LLAMA.items() if name != "head_dim"}
EXPERTS = {"num_experts_per_tok": 2, "output_router_logits": False}
DEEPSEEK = {
    **WITHOUT_HEAD_DIM, "num_key_value_heads": 4, "moe_intermediate_size": 16, "n_routed_experts": 4,
    "num_experts_per_tok": 2, "n_shared_experts": 1, "first_k_dense_replace": 1, "q_lora_rank": 16,
    "kv_lora_rank": 16, "qk_rope_head_dim": 4, "qk_nope_head_dim": 8, "v_head_dim": 8, "n_group": 1,
    "topk_group": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Architecture:
    """One architecture of the matrix.

    Attributes:
        name: as in docs.
        kind: `encoder`, `decoder` or `encoder-decoder`.
        config: makes a tiny configuration.
        model: class for the tests of forward and backward passes.
        generator: class for the tests of generation, None where the architecture does not generate.
        merges: the forms of `merge` that work.
        implementations: the attention implementations that the base model has.
        padding: sides on which the base model itself ignores padding.
        bottleneck: whether it has feed-forward layers that a bottleneck can stand behind; fused experts are none.
        attentions: layers with self-attention, of the two that every stack has.
        exercises: what this architecture tests beyond the others.
    """

    name: str
    kind: str
    config: Callable[..., Any]
    model: type
    generator: type | None = None
    merges: tuple[str, ...] = ("parallel", "concat")
    implementations: tuple[str, ...] = ("sdpa", "eager")
    padding: tuple[str, ...] = ("right",)
    bottleneck: bool = True
    attentions: int = 2
    exercises: str = ""

    @property
    def task(self) -> str:
        return "SEQ_2_SEQ_LM" if self.kind == "encoder-decoder" else "SEQ_CLS"


ARCHITECTURES = [
    Architecture(
        "BERT", "encoder", lambda: tf.BertConfig(**BERT), tf.BertForSequenceClassification,
        exercises="absolute positions",
    ),
    Architecture(
        "RoBERTa", "encoder", lambda: tf.RobertaConfig(**BERT), tf.RobertaForSequenceClassification,
        exercises="positions counted over real tokens",
    ),
    Architecture(
        "DistilBERT", "encoder",
        lambda: tf.DistilBertConfig(
            vocab_size=VOCABULARY, dim=WIDTH, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=40
        ),
        tf.DistilBertForSequenceClassification, exercises="its own names of sizes",
    ),
    Architecture(
        "ELECTRA", "encoder", lambda: tf.ElectraConfig(**BERT, embedding_size=16),
        tf.ElectraForSequenceClassification, exercises="embeddings narrower than layers",
    ),
    Architecture(
        "ModernBERT", "encoder",
        lambda: tf.ModernBertConfig(
            **TINY, intermediate_size=48, pad_token_id=0, cls_token_id=1, sep_token_id=2, bos_token_id=1,
            eos_token_id=2, local_attention=4, layer_types=["full_attention", "sliding_attention"],
            classifier_pooling="mean",
        ),
        tf.ModernBertForSequenceClassification, padding=("right", "left"),
        exercises="rotary positions, local attention in both directions",
    ),
    Architecture(
        "DeBERTa-v2", "encoder",
        lambda: tf.DebertaV2Config(
            **BERT, relative_attention=True, pos_att_type=["p2c", "c2p"], position_buckets=4,
            share_att_key=True, norm_rel_ebd="layer_norm", type_vocab_size=0, position_biased_input=False,
        ),
        tf.DebertaV2ForSequenceClassification, merges=("parallel",), implementations=("eager",),
        exercises="attention outside transformers' attention interface",
    ),
    Architecture(
        "GPT-2", "decoder",
        lambda: tf.GPT2Config(**TOKENS, vocab_size=VOCABULARY, n_embd=WIDTH, n_layer=2, n_head=4, n_positions=64),
        tf.GPT2ForSequenceClassification, tf.GPT2LMHeadModel, exercises="queries, keys and values in one matrix",
    ),
    Architecture(
        "Llama", "decoder", lambda: tf.LlamaConfig(**LLAMA), tf.LlamaForSequenceClassification,
        tf.LlamaForCausalLM, padding=("right", "left"), exercises="rotary positions, grouped queries",
    ),
    Architecture(
        "Mistral", "decoder", lambda: tf.MistralConfig(**LLAMA, sliding_window=4),
        tf.MistralForSequenceClassification, tf.MistralForCausalLM, padding=("right", "left"),
        exercises="a sliding window shorter than the text",
    ),
    Architecture(
        "Qwen3", "decoder", lambda: tf.Qwen3Config(**LLAMA), tf.Qwen3ForSequenceClassification,
        tf.Qwen3ForCausalLM, padding=("right", "left"), exercises="normalised queries and keys",
    ),
    Architecture(
        "Gemma3", "decoder",
        lambda: tf.Gemma3TextConfig(
            **LLAMA, sliding_window=4, layer_types=["sliding_attention", "full_attention"],
            query_pre_attn_scalar=8,
        ),
        tf.Gemma3TextForSequenceClassification, tf.Gemma3ForCausalLM, padding=("right", "left"),
        exercises="sliding and full layers in one model, its own scaling",
    ),
    Architecture(
        "Phi-3", "decoder", lambda: tf.Phi3Config(**{k: v for k, v in LLAMA.items() if k != "head_dim"}),
        tf.Phi3ForSequenceClassification, tf.Phi3ForCausalLM, padding=("right", "left"),
        exercises="one matrix with grouped queries",
    ),
    Architecture(
        "Qwen2", "decoder", lambda: tf.Qwen2Config(**WITHOUT_HEAD_DIM), tf.Qwen2ForSequenceClassification,
        tf.Qwen2ForCausalLM, padding=("right", "left"), exercises="biases on queries, keys and values",
    ),
    Architecture(
        "DeepSeek-V2", "decoder", lambda: tf.DeepseekV2Config(**DEEPSEEK),
        tf.DeepseekV2ForSequenceClassification, tf.DeepseekV2ForCausalLM, padding=("right", "left"),
        exercises="latent attention, keys wider than values, experts behind a dense layer",
    ),
    Architecture(
        "DeepSeek-V3", "decoder", lambda: tf.DeepseekV3Config(**DEEPSEEK),
        tf.DeepseekV3ForSequenceClassification, tf.DeepseekV3ForCausalLM, padding=("right", "left"),
        exercises="latent attention, grouped experts with a shared one",
    ),
    Architecture(
        "Mixtral", "decoder", lambda: tf.MixtralConfig(**LLAMA, **EXPERTS, num_local_experts=4),
        tf.MixtralForSequenceClassification, tf.MixtralForCausalLM, padding=("right", "left"),
        bottleneck=False, exercises="fused experts in every layer",
    ),
    Architecture(
        "Qwen3-MoE", "decoder",
        lambda: tf.Qwen3MoeConfig(
            **LLAMA, **EXPERTS, num_experts=4, moe_intermediate_size=16, decoder_sparse_step=1
        ),
        tf.Qwen3MoeForSequenceClassification, tf.Qwen3MoeForCausalLM, padding=("right", "left"),
        bottleneck=False, exercises="fused experts, normalised queries and keys",
    ),
    Architecture(
        "gpt-oss", "decoder",
        lambda: tf.GptOssConfig(
            **LLAMA, **EXPERTS, num_local_experts=4, sliding_window=4,
            layer_types=["sliding_attention", "full_attention"],
        ),
        tf.GptOssForSequenceClassification, tf.GptOssForCausalLM, implementations=("eager",),
        padding=("right", "left"), bottleneck=False, exercises="attention sinks, a sliding window",
    ),
    Architecture(
        "Jamba", "decoder",
        lambda: tf.JambaConfig(
            **WITHOUT_HEAD_DIM, num_experts=2, num_experts_per_tok=1, attn_layer_period=2, attn_layer_offset=1,
            expert_layer_period=2, expert_layer_offset=0, mamba_d_state=4, mamba_d_conv=2,
        ),
        tf.JambaForSequenceClassification, tf.JambaForCausalLM, padding=("right", "left"),
        attentions=1, exercises="a hybrid: Mamba layers, which no carrier touches, between those with attention",
    ),
    Architecture(
        "T5", "encoder-decoder",
        lambda: tf.T5Config(
            vocab_size=VOCABULARY, d_model=WIDTH, d_kv=8, d_ff=48, num_layers=2, num_heads=4,
            pad_token_id=0, eos_token_id=2, decoder_start_token_id=0,
        ),
        tf.T5ForConditionalGeneration, tf.T5ForConditionalGeneration, padding=("right", "left"),
        exercises="relative position bias, no scaling, cross-attention left alone",
    ),
    Architecture(
        "BART", "encoder-decoder",
        lambda: tf.BartConfig(
            **TOKENS, vocab_size=VOCABULARY, d_model=WIDTH, encoder_layers=2, decoder_layers=2,
            encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48,
            max_position_embeddings=64, decoder_start_token_id=2, forced_eos_token_id=None,
        ),
        tf.BartForConditionalGeneration, tf.BartForConditionalGeneration,
        exercises="absolute positions on both sides",
    ),
]  # fmt: skip
GENERATORS = [architecture for architecture in ARCHITECTURES if architecture.generator is not None]
WITH_MERGE = [(architecture, merge) for architecture in ARCHITECTURES for merge in architecture.merges]
GENERATORS_WITH_MERGE = [
    (architecture, merge) for architecture, merge in WITH_MERGE if architecture.generator
]


def label(value: Any) -> str:
    """Test id of a parameter."""
    return value.name if isinstance(value, Architecture) else str(value)


def base_model(architecture: Architecture, implementation: str = "", generator: bool = False) -> nn.Module:
    """A tiny base model with random weights, the same at every call."""
    torch.manual_seed(0)
    config = architecture.config()
    config.num_labels = LABELS
    for name in ("attention_dropout", "hidden_dropout_prob", "attention_probs_dropout_prob", "dropout",
                 "dropout_rate", "activation_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop",
                 "classifier_dropout", "seq_classif_dropout", "resid_dropout"):  # fmt: skip
        if hasattr(config, name):
            setattr(config, name, 0.0)
    kind = architecture.generator if generator else architecture.model
    assert kind is not None
    config._attn_implementation = implementation or architecture.implementations[0]
    model = kind(config).eval()
    with torch.no_grad():  # the usual initialisation is so small that attention would hardly matter
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embed" not in name and "shared" not in name and "wte" not in name:
                parameter.mul_(4)
    return model


def adapted(
    architecture: Architecture,
    merge: str = "parallel",
    implementation: str = "",
    generator: bool = False,
    **settings: Any,
) -> PeftModel:
    """A base model with an adapter whose weights are random, as after training; with a correction module."""
    task = "CAUSAL_LM" if generator and architecture.kind == "decoder" else architecture.task
    config = with_module(task_type=task, merge=merge, **{"num_virtual_tokens": 3, **settings})
    model = get_peft_model(base_model(architecture, implementation, generator), config)
    randomise(model)
    return model.eval()


def randomise(model: nn.Module, seed: int = 1) -> None:
    """Give every adapter weight a random value that is not small."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "dcpc" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.7)


def inputs(architecture: Architecture, rows: int = 3, length: int = 9, seed: int = 2) -> dict[str, Tensor]:
    """Token ids without padding, and the decoder's where there is one."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, VOCABULARY, (rows, length), generator=generator)
    result = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if architecture.kind == "encoder-decoder":
        result["decoder_input_ids"] = torch.randint(3, VOCABULARY, (rows, 5), generator=generator)
    return result


def styles_of(model: nn.Module, **batch: Any) -> Styles:
    """What the correction module makes of a batch."""
    record = PassRecord()
    model(**batch, record=record)
    assert record.styles is not None
    return record.styles


def padded(batch: dict[str, Tensor], side: str, by: int = 4) -> dict[str, Tensor]:
    """The same texts with padding on one side."""
    widths = (by, 0) if side == "left" else (0, by)
    names = ("input_ids", "attention_mask")
    return {**batch, **{name: nn.functional.pad(batch[name], widths) for name in names}}
