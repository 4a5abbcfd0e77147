"""A tiny random Llama with a tokenizer of words, built offline, and votes of simulated raters between its replies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from dcpc.data import Annotations

ASKED = [f"ask{i}" for i in range(12)]
POLITE, CURT = [f"please{i}" for i in range(4)], [f"nope{i}" for i in range(4)]
CHAT_TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }} </s> {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)


def tiny_tokenizer(
    *, chat: bool = False, words: Sequence[str] = (*ASKED, *POLITE, *CURT, "filler")
) -> PreTrainedTokenizerFast:
    """Words, split at spaces."""
    words = ["<pad>", "<unk>", "<s>", "</s>", "<user>", "<assistant>", *words]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    inner.add_special_tokens(["<pad>", "<unk>", "<s>", "</s>", "<user>", "<assistant>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        model_max_length=64,
        chat_template=CHAT_TEMPLATE if chat else None,
    )


def tiny_llama(tokenizer: PreTrainedTokenizerFast, seed: int = 0) -> LlamaForCausalLM:
    """Two layers of width 16."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.3,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).eval()


def simulated_votes(
    taste: dict[str, float],
    errors: dict[str, float],
    n_pairs: int = 60,
    votes_per_pair: int = 3,
    ties: float = 0.0,
    seed: int = 0,
) -> tuple[Annotations, np.ndarray]:
    """Votes between replies with more and fewer polite words.

    Args:
        taste: +1 for raters who like polite words, −1 for those who dislike them, by rater.
        errors: probability that a rater's vote is flipped, by rater.
        ties: probability of a tie, whatever the responses.

    Returns:
        The votes, and for each pair, in order, +1 where a is the more polite [P].
    """
    rng = np.random.default_rng(seed)
    names: Sequence[str] = list(taste)
    rows, politer = [], []
    for pair in range(n_pairs):
        share = rng.permutation([rng.integers(3, 6), rng.integers(0, 3)])  # of five words
        replies = []
        for polite in share:
            words = [*rng.choice(POLITE, polite), *rng.choice(CURT, 5 - polite)]
            replies.append(" ".join(rng.permutation(words)))
        better = 1 if share[0] > share[1] else -1
        politer.append(better)
        prompt = f"{rng.choice(ASKED)} {rng.choice(ASKED)} {pair}"
        for who in rng.choice(names, size=min(votes_per_pair, len(names)), replace=False):
            sign = better * taste[who] * (-1 if rng.random() < errors[who] else 1)
            label = "tie" if rng.random() < ties else ("a" if sign > 0 else "b")
            rows.append((f"pair {pair}", prompt, *replies, str(who), label))
    columns = ["item_id", "text", "response_a", "response_b", "annotator_id", "label"]
    labels = ("a", "b", "tie") if ties else ("a", "b")
    return Annotations(pd.DataFrame(rows, columns=columns), labels, "preference"), np.array(politer)
