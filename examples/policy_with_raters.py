"""A language model learns the manners that most of six people like, from noisy votes, and says who likes others.

Two writers answer the same requests, one formally and one casually. Four people prefer one of them, two the other,
and one vote of five is given by mistake. Needs `pip install 'dcpc[trl]'`; some minutes on one core with `smollm2`.

Run: python examples/policy_with_raters.py [formal|casual] [BASE_MODEL]
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from peft import LoraConfig

from dcpc.data import Annotations
from dcpc.models import load_language_model
from dcpc.preference.policy import TrainedPolicy, train_policy

ASKED = {
    "How do I boil an egg?": "place it in boiling water for nine minutes",
    "How can I sleep better?": "keep regular hours and switch the phone off",
    "How do I remove a coffee stain?": "rinse it with cold water and a little soap",
    "What should I take to a picnic?": "take a blanket, some fruit and a bottle of water",
    "How do I keep flowers fresh?": "cut the stems and change the water every day",
    "How can I save money?": "write down what you spend for a month",
    "How do I train for a run?": "start slowly and add a little every week",
    "How do I clean a window?": "use warm water, vinegar and an old newspaper",
    "What can I do against hiccups?": "hold your breath and drink a glass of water",
    "How do I learn new words?": "write five on a card and read them twice a day",
    "How do I stop a door from squeaking?": "put a drop of oil on the hinges",
    "What should I cook for guests?": "make a soup and a large salad",
}
HELD_OUT = {
    "How do I wash a sweater?": "wash it by hand in cool water",
    "How can I remember names?": "repeat the name when you hear it",
    "How do I cool a room?": "close the shutters and open the windows at night",
    "What should I give a friend?": "give a book that you like",
}
MANNERS = {
    "formal": "Certainly. I would respectfully advise you to {}.",
    "casual": "Hey, sure thing! Just {}, easy peasy!",
}
PEOPLE = {"ana": True, "ben": True, "cem": True, "dov": True, "eva": False, "fay": False}
"""Whether each likes the manners that most like."""
MISTAKES, VOTES = 0.2, 3


def votes(asked: dict[str, str], liked: str, seed: int, pairs_each: int = 1) -> Annotations:
    """Votes of three people drawn for every pair of a request; the sides are drawn, too."""
    rng, rows = np.random.default_rng(seed), []
    for number, (request, advice) in enumerate(list(asked.items()) * pairs_each):
        sides = rng.permutation(list(MANNERS))
        replies = [MANNERS[side].format(advice) for side in sides]
        for who in rng.choice(list(PEOPLE), VOTES, replace=False):
            likes_a = (sides[0] == liked) == PEOPLE[who]
            vote = "a" if likes_a != (rng.random() < MISTAKES) else "b"
            rows.append((f"pair {number}", request, *replies, str(who), vote))
    columns = ["item_id", "text", "response_a", "response_b", "annotator_id", "label"]
    return Annotations(pd.DataFrame(rows, columns=columns), ("a", "b"), "preference")


def disagreeing(policy: TrainedPolicy) -> dict[str, float]:
    """How often each person is expected to vote against what the policy takes to be better."""
    raters = policy.raters
    assert raters.effects is not None
    assert raters.error_log_odds is not None
    column = sum(value > 0 for value in (raters.config.ties, raters.config.sides))
    odds = raters.error_log_odds + raters.effects.mean[:, column] * raters.scales[column]
    return dict(zip(raters.raters, odds.sigmoid().tolist(), strict=True))


def main(liked: str, base_model: str, **training: Any) -> TrainedPolicy:
    """Train, and print replies before and after, the log's figures, and who votes against the others."""
    model, tokenizer = load_language_model(base_model)
    with TemporaryDirectory() as folder:
        settings = {
            "output_dir": str(Path(folder)),
            "num_train_epochs": 4,
            "per_device_train_batch_size": 4,
            "learning_rate": 2e-3,
            "beta": 0.03,
            "warmup_steps": 2,
            "eval_strategy": "steps",
            "eval_steps": 24,
            "samples": 2,
            "sample_tokens": 24,
            "save_strategy": "no",
            "gradient_checkpointing": False,
            "disable_tqdm": True,
            "report_to": [],
        }
        policy = train_policy(
            votes(ASKED, liked, seed=0, pairs_each=2),
            votes(HELD_OUT, liked, seed=1),
            model=model,
            tokenizer=tokenizer,
            adapter=LoraConfig(r=8, task_type="CAUSAL_LM"),
            training={**settings, **training},
        )
    print(policy.samples)
    print()
    print(policy.about.text())
    for who, share in disagreeing(policy).items():
        print(f"{who} is expected to vote against it in {share:.0%} of the votes")
    return policy


if __name__ == "__main__":
    main(
        sys.argv[1] if len(sys.argv) > 1 else "formal",
        sys.argv[2] if len(sys.argv) > 2 else "smollm2",
    )
