"""A tiny random Llama with a byte tokenizer and a chat template, built offline, and replies of two styles."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from dcpc.tasks.write import Replies

TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ("<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<|eos|>")


def tiny_tokenizer(template: str | None = TEMPLATE, pad: str | None = "<|end|>") -> PreTrainedTokenizerFast:
    """Bytes as tokens, and marks of turns; the padding is the token that ends a turn, as in SmolLM2."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({byte: number for number, byte in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|eos|>")
    made.add_special_tokens({"additional_special_tokens": [mark for mark in SPECIAL if mark != "<|eos|>"]})
    made.pad_token, made.chat_template = pad, template
    return made


def save_tiny_llama(folder: Path, template: str | None = TEMPLATE, positions: int = 256) -> str:
    """Write a two-layer random Llama of width 32 and its tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_tokenizer(template)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=positions,
        initializer_range=0.2,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


def two_styles(n_items: int = 6) -> Replies:
    """Every prompt is answered by two writers: one shouts briefly, the other speaks softly and at length."""
    rows = []
    for number in range(n_items):
        prompt = [{"role": "user", "content": f"say {number}"}]
        for name, reply in (("loud", f"{number}!!"), ("soft", f"well, {number}, dear")):
            rows.append((f"item {number}", prompt, reply, name))
    return Replies(pd.DataFrame(rows, columns=["item_id", "prompt", "response", "annotator_id"]))
