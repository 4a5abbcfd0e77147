"""A reward model as a classifier with one output, in software that knows nothing of dcpc."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcpc import TrainedAdapter, train_adapter
from dcpc.errors import UsageError
from dcpc.export import export_adapter
from preference.tiny_policy import simulated_votes, tiny_llama, tiny_tokenizer
from tiny_models import save_tiny_bert

PROMPTS, RESPONSES = ["ask1", "ask1", "ask2"], ["please0 please1", "nope0", "nope1 please2"]
RATERS = {"r": 1.0, "s": 1.0}

PLAIN = """
import json, re, sys
folder, prompts, responses = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
lines = re.search("```python\\n(.*?)```", open(folder + "/README.md").read(), re.S)[1]
rewards = []
for prompt, response in zip(prompts, responses):
    given = lines.replace("path/to/this/folder", folder).replace("a prompt", prompt).replace("a response", response)
    names = {}
    exec(given, names)
    rewards.append(float(names["reward"]))
assert "dcpc" not in sys.modules
print(json.dumps(rewards))
"""


def llama(folder: Path, chat: bool) -> str:
    tokenizer = tiny_tokenizer(chat=chat)
    tiny_llama(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


BASES: dict[str, Callable[[Path], str]] = {
    "causal, chat": lambda folder: llama(folder, chat=True),
    "causal, text": lambda folder: llama(folder, chat=False),
    "sentence encoder": lambda folder: save_tiny_bert(folder, mean_pooling=True),
}


def trained(base: str, **options: Any) -> TrainedAdapter:
    votes, _ = simulated_votes(RATERS, dict.fromkeys(RATERS, 0.1), n_pairs=12, ties=0.2)
    training = {"max_steps": 4, "learning_rate": 0.05}
    settings = {"training": training, "progress": False, **options}
    return train_adapter(votes, base_model=base, task={"name": "prefer"}, **settings)


@pytest.mark.parametrize("base", BASES)
def test_a_merged_reward_model_gives_the_adapters_rewards_by_the_lines_of_its_card(
    base: str, tmp_path: Path
) -> None:
    adapter = trained(BASES[base](tmp_path / "base"), adapter={"rank": 2})
    expected = adapter.reward(PROMPTS, RESPONSES)
    adapter.save(tmp_path / "adapter")
    done = export_adapter(tmp_path / "adapter", tmp_path / "merged", "merged")
    assert any("raters" in note for note in done.notes)
    given = [str(tmp_path / "merged"), json.dumps(PROMPTS), json.dumps(RESPONSES)]
    run = subprocess.run([sys.executable, "-c", PLAIN, *given], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    np.testing.assert_allclose(json.loads(run.stdout.splitlines()[-1]), expected, atol=1e-4)
    assert np.ptp(expected) > 1e-3


def test_what_a_reward_model_has_not_is_refused_with_what_works(tmp_path: Path) -> None:
    trained(llama(tmp_path / "base", chat=True)).save(tmp_path / "adapter")
    for form, options, why in (
        ("onnx", {}, "Use --as merged"),
        ("lora", {}, "Use --as merged"),
        ("merged", {"annotator": "r"}, "dcpc reward --as annotators"),
        ("merged", {}, "--set rank=8, or --method lora"),
    ):
        with pytest.raises(UsageError) as caught:
            export_adapter(tmp_path / "adapter", tmp_path / "out", form, **options)
        assert why in str(caught.value)
        assert not (tmp_path / "out").exists()
