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
prompts, responses, *folders = json.loads(sys.argv[1]), json.loads(sys.argv[2]), *sys.argv[3:]
for folder in folders:
    lines = re.search("```python\\n(.*?)```", open(folder + "/README.md").read(), re.S)[1]
    rewards = []
    for prompt, response in zip(prompts, responses):
        given = lines.replace("path/to/this/folder", folder)
        given = given.replace("a prompt", prompt).replace("a response", response)
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


@pytest.fixture(scope="module")
def rewards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[np.ndarray, list[float]]]:
    """Of each kind of base model: the adapter's rewards, and those of its merged export in one fresh process."""
    expected, folders = {}, []
    for name, make in BASES.items():
        folder = tmp_path_factory.mktemp("reward")
        adapter = trained(make(folder / "base"), adapter={"rank": 2})
        expected[name] = adapter.reward(PROMPTS, RESPONSES)
        adapter.save(folder / "adapter")
        done = export_adapter(folder / "adapter", folder / "merged", "merged")
        assert any("raters" in note for note in done.notes)
        folders.append(str(folder / "merged"))
    given = [json.dumps(PROMPTS), json.dumps(RESPONSES), *folders]
    run = subprocess.run([sys.executable, "-c", PLAIN, *given], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found = [json.loads(line) for line in run.stdout.splitlines()[-len(BASES) :]]
    return {name: (expected[name], each) for name, each in zip(BASES, found, strict=True)}


@pytest.mark.parametrize("base", BASES)
def test_a_merged_reward_model_gives_the_adapters_rewards_by_the_lines_of_its_card(
    base: str, rewards: dict[str, tuple[np.ndarray, list[float]]]
) -> None:
    expected, found = rewards[base]
    np.testing.assert_allclose(found, expected, atol=1e-4)
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
