"""Tiny random language models with a byte-level tokenizer and, on request, a chat template, built offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

TEXTS = [
    "the film was good and very lovely",
    "a bad story, an awful room",
    "Which label fits: yes, no? Answer:",
]
SPECIAL = ["<|pad|>", "<|start|>", "<|end|>"]
CHAT = (
    "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
CHAT_WITHOUT_SYSTEM = CHAT.replace("messages %}", "messages if m['role'] != 'system' %}", 1)
CHAT_AGAINST_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + CHAT
)
WIDTH = 32
LLAMA = {
    "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 48, "head_dim": 8, "max_position_embeddings": 256, "initializer_range": 0.3,
}  # fmt: skip

WITHOUT_HEAD_DIM = {name: value for name, value in LLAMA.items() if name != "head_dim"}


def tiny_tokenizer(chat: str | None = None) -> PreTrainedTokenizerFast:
    """Byte-level BPE of about 300 tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=SPECIAL[0], bos_token=SPECIAL[1], eos_token=SPECIAL[2],
        model_max_length=256,
    )  # fmt: skip
    fast.chat_template = chat
    return fast


def tiny_language_model(kind: str = "llama", implementation: str = "sdpa", seed: int = 0) -> PreTrainedModel:
    """A two-layer random model for `tiny_tokenizer`, in evaluation mode."""
    size = len(tiny_tokenizer())
    tokens: dict[str, Any] = {"vocab_size": size, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    layers = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 128}
    makers = {
        "llama": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**tokens, **LLAMA)),
        "mistral": lambda: tf.MistralForCausalLM(tf.MistralConfig(**tokens, **LLAMA, sliding_window=128)),
        "qwen2": lambda: tf.Qwen2ForCausalLM(tf.Qwen2Config(**tokens, **WITHOUT_HEAD_DIM)),
        "qwen3": lambda: tf.Qwen3ForCausalLM(tf.Qwen3Config(**tokens, **LLAMA)),
        "phi3": lambda: tf.Phi3ForCausalLM(tf.Phi3Config(**tokens, **WITHOUT_HEAD_DIM)),
        "gemma3": lambda: tf.Gemma3ForCausalLM(
            tf.Gemma3TextConfig(**tokens, **LLAMA, **layers, query_pre_attn_scalar=8)
        ),
        "gpt2": lambda: tf.GPT2LMHeadModel(
            tf.GPT2Config(**tokens, n_embd=WIDTH, n_layer=2, n_head=4, n_positions=256, initializer_range=0.3)
        ),
        "mamba": lambda: tf.MambaForCausalLM(
            tf.MambaConfig(**tokens, hidden_size=WIDTH, num_hidden_layers=2, state_size=4, initializer_range=0.3)
        ),
        "t5": lambda: tf.T5ForConditionalGeneration(
            tf.T5Config(
                vocab_size=size, d_model=WIDTH, d_kv=8, d_ff=48, num_layers=2, num_heads=4, pad_token_id=0,
                eos_token_id=2, decoder_start_token_id=0, dropout_rate=0.0, initializer_factor=3.0,
            )
        ),
    }  # fmt: skip
    torch.manual_seed(seed)
    model = makers[kind]()
    if implementation != "sdpa":
        model.set_attn_implementation(implementation)
    return model.eval()


def save_tiny_language_model(folder: Path, kind: str = "llama", chat: str | None = None) -> str:
    """Model and tokenizer in one folder."""
    tiny_language_model(kind).save_pretrained(folder)
    tiny_tokenizer(chat).save_pretrained(folder)
    return str(folder)
