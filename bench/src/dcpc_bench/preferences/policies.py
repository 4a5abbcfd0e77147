"""Policies trained on votes of simulated raters: two tastes, and flipped votes from none to four of ten.

Eight of twelve raters like polite replies and four dislike them; every pair has three of their votes. A tiny random
Llama is trained by each method, and the figure is how often its implicit reward prefers the reply that the larger
camp does, on pairs that nobody saw. So this is about losses, not about language. The setting of a method (the flips
that it reckons with, β, how much raters may differ) is that under which its margins predict noisy validation votes
best; the simulated share of flips is nowhere among what is tried, nor is it told.
"""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from peft import LoraConfig
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from torch.nn.functional import logsigmoid
from tqdm.auto import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from dcpc.data import Annotations
from dcpc.preference import RaterConfig, RaterModel
from dcpc.preference.fitting import start_raters
from dcpc.preference.policy_data import chosen_dataset, vote_dataset
from dcpc_bench.preferences.suite import read_cells

CELLS = "policies.jsonl"
FLIPS = (0.0, 0.1, 0.2, 0.3, 0.4)
SEEDS = 3
POLITE, CURT = [f"please{i}" for i in range(6)], [f"nope{i}" for i in range(6)]
ASKED = [f"ask{i}" for i in range(12)]
RATERS = {f"r{i}": 1 if i < 8 else -1 for i in range(12)}
"""+1 for those who like polite replies."""
PAIRS, VALIDATION, TEST, VOTES, STEPS, BATCH = 400, 150, 400, 3, 50, 32
NOISE = (0.08, 0.22, 0.37)
"""Flips that a method may reckon with; none is a share that is simulated."""
METHODS: dict[str, tuple[Mapping[str, Any], ...]] = {
    "dpo": ({},),
    "dpo-majority": ({},),
    "cdpo": tuple({"noise": noise} for noise in NOISE),
    "robust": tuple({"noise": noise} for noise in NOISE),
    "ipo": ({"beta": 0.1}, {"beta": 0.3}, {"beta": 1.0}),
    "raters": ({"errors": 0.5}, {"errors": 1.5}, {"errors": 3.0}),
}
"""What is tried for each."""
TITLES = {
    "dpo": "DPO",
    "dpo-majority": "DPO, majority",
    "cdpo": "cDPO",
    "robust": "robust DPO",
    "ipo": "IPO",
    "raters": "DPO with raters (this library)",
}


def run(output: Path, seeds: int = SEEDS) -> None:
    """Run all cells that `output` lacks: all shares of flips of a seed before the next seed."""
    output.mkdir(parents=True, exist_ok=True)
    store = output / CELLS
    done = {(cell["flips"], cell["seed"], cell["method"]) for cell in read_cells(store)}
    wanted = [(seed, flips) for seed in range(seeds) for flips in FLIPS]
    for seed, flips in tqdm(wanted, "policies", leave=False):
        for method in METHODS:
            if (flips, seed, method) in done:
                continue
            line = {"flips": flips, "seed": seed, "method": method, **cell(method, flips, seed)}
            with store.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def cell(method: str, flips: float, seed: int) -> dict[str, Any]:
    """The setting that validation votes choose, and the accuracy of its policy on clean pairs."""
    started = time.process_time()
    # A share of flips and a seed have votes of their own: nothing is seen twice.
    draw = np.random.SeedSequence([seed, round(100 * flips)]).spawn(3)
    train, held = (simulated(n, flips, rng) for n, rng in zip((PAIRS, VALIDATION), draw, strict=False))
    test = simulated(TEST, 0.0, draw[2], {"judge": 1})
    tried: list[dict[str, Any]] = []
    for setting in METHODS[method]:
        policy, tokenizer = trained(method, train, seed, setting)
        loss = vote_loss(margins(policy, held, tokenizer)[held.item_codes], _signs(held))
        right = (margins(policy, test, tokenizer) * _signs(test) > 0).float().mean().item()
        tried.append({"setting": dict(setting), "validation": loss, "accuracy": right})
    best = min(tried, key=lambda one: float(one["validation"]))
    return {**best, "tried": tried, "cpu_seconds": round(time.process_time() - started, 1)}


def simulated(
    n_pairs: int, flips: float, seed: np.random.SeedSequence, raters: Mapping[str, int] = RATERS
) -> Annotations:
    """Votes between replies with more and fewer polite words."""
    rng, rows = np.random.default_rng(seed), []
    for pair in range(n_pairs):
        shares = rng.permutation([rng.integers(3, 6), rng.integers(0, 3)])  # polite ones of five words
        replies = [
            " ".join(rng.permutation([*rng.choice(POLITE, polite), *rng.choice(CURT, 5 - polite)]))
            for polite in shares
        ]
        politer = 1 if shares[0] > shares[1] else -1
        prompt = f"{rng.choice(ASKED)} {rng.choice(ASKED)}"
        for who in rng.choice(list(raters), size=min(VOTES, len(raters)), replace=False):
            sign = politer * raters[who] * (-1 if rng.random() < flips else 1)
            rows.append((f"pair {pair}", prompt, *replies, str(who), "a" if sign > 0 else "b"))
    columns = ["item_id", "text", "response_a", "response_b", "annotator_id", "label"]
    return Annotations(pd.DataFrame(rows, columns=columns), ("a", "b"), "preference")


def _signs(votes: Annotations) -> Tensor:
    """+1 for votes for a, −1 for b [J]."""
    return torch.from_numpy(np.where(votes.table["label"] == "a", 1.0, -1.0)).float()


def trained(
    method: str, train: Annotations, seed: int, setting: Mapping[str, Any]
) -> tuple[torch.nn.Module, PreTrainedTokenizerFast]:
    """A policy with its adapter, and the tokenizer."""
    import trl

    from dcpc.preference.dpo import RaterDPOTrainer

    class ConservativeDPOTrainer(RaterDPOTrainer):
        """`− (1 − ε) log σ(m) − ε log σ(−m)` with the margin towards the vote, which TRL 1.16 has no option for."""

        def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
            sign = torch.tensor(self.raters.scale.sign)[inputs["votes"]]
            towards = sign * self.margins(model, inputs)  # [J]
            noise = setting["noise"]
            loss = -((1 - noise) * logsigmoid(towards) + noise * logsigmoid(-towards)).mean()
            return (loss, {"margins": towards}) if return_outputs else loss

    tokenizer = tiny_tokenizer()
    base = tiny_llama(tokenizer)
    torch.manual_seed(seed)
    by_vote = method in ("dpo", "robust", "ipo")  # a row per vote: as many rows per pair as there are votes
    with TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        arguments = trl.DPOConfig(
            output_dir=folder,
            seed=seed,
            max_steps=STEPS * (VOTES if by_vote else 1),
            per_device_train_batch_size=BATCH,
            learning_rate=3e-3,
            beta=setting.get("beta", 1.0),
            report_to=[],
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            save_strategy="no",
            disable_tqdm=True,
            **({"loss_type": [method]} if method in ("robust", "ipo") else {}),
            **({"label_smoothing": setting["noise"]} if method == "robust" else {}),
        )
        adapter = LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
        if method in ("raters", "cdpo"):
            config = RaterConfig.none(errors=setting.get("errors", 1.0), dropout=0.0)
            who = start_raters(RaterModel(list(train.annotators), train.labels, None, config), train)
            kind = RaterDPOTrainer if method == "raters" else ConservativeDPOTrainer
            trainer: Any = kind(
                base, who, arguments, vote_dataset(train, tokenizer), None, tokenizer, adapter
            )
        else:
            data = chosen_dataset(train, tokenizer, majority=method == "dpo-majority")
            trainer = trl.DPOTrainer(
                base, args=arguments, train_dataset=data, processing_class=tokenizer, peft_config=adapter
            )
        trainer.train()
    return trainer.model.eval(), tokenizer


@torch.no_grad()
def margins(policy: Any, votes: Annotations, tokenizer: PreTrainedTokenizerFast) -> Tensor:
    """Implicit margins of the pairs [P]: log-ratios of policy and reference, a less b."""
    items = votes.items
    found = []
    for side in ("response_a", "response_b"):
        prompts = [tokenizer(text)["input_ids"] for text in items["text"]]
        whole = [
            tokenizer(f"{text}\n{reply}{tokenizer.eos_token}")["input_ids"]
            for text, reply in zip(items["text"], items[side], strict=True)
        ]
        n = max(map(len, whole))
        ids = torch.tensor([[*each, *[0] * (n - len(each))] for each in whole])
        place = torch.arange(n - 1)
        counted = torch.stack(
            [(place >= len(p) - 1) & (place < len(w) - 1) for p, w in zip(prompts, whole, strict=True)]
        )
        ratio = _log_p(policy, ids, counted)
        with policy.disable_adapter():
            ratio = ratio - _log_p(policy, ids, counted)
        found.append(ratio)
    return found[0] - found[1]


def _log_p(model: Any, ids: Tensor, counted: Tensor) -> Tensor:
    """Log-probability of the tokens that count [P]; padding behind them is never looked at."""
    log_p = model(input_ids=ids).logits[:, :-1].float().log_softmax(dim=-1)
    return (log_p.gather(2, ids[:, 1:, None])[..., 0] * counted).sum(dim=1)


def vote_loss(margin: Tensor, sign: Tensor) -> float:
    """Cross-entropy of votes under Bradley and Terry's model, with the factor of the margins that fits them best.

    Args:
        margin: of each vote's pair [J].
        sign: of each vote [J].
    """
    towards = margin * sign / margin.abs().mean().clamp(min=1e-6)
    factors = torch.logspace(-3, 1.5, 40)
    losses = -logsigmoid(factors[:, None] * towards).mean(dim=1)
    return float(losses.min())


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Words, split at spaces."""
    words = ["<pad>", "<unk>", "<s>", "</s>", *ASKED, *POLITE, *CURT]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.add_special_tokens(words[:4])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def tiny_llama(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Two layers of width 16, the same whatever the seed of the training."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
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
    ).eval()
