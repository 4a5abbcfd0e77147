"""Examples in a prompt are the annotator's own, the nearest last, and as many as fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc_bench.method import TrainingSettings
from dcpc_bench.methods import METHODS
from dcpc_bench.methods.parts.shared_prefix import answers_behind
from dcpc_bench.methods.rater_icl import ExamplePrompts, FittedExamples, calibrated, fit_calibration
from tiny_language_models import save_tiny_language_model, tiny_language_model, tiny_tokenizer

NEAREST = {"examples": 2, "nearest": True}
SAMPLED = {"examples": 2, "nearest": False}


def judged() -> Annotations:
    """Three films and three rooms; ann and bob label all of them, and never alike; labels begin one another."""
    texts = ["a good film", "a bad film", "the film was lovely", "a good room", "an awful room", "the room"]
    rows = [
        (f"i{i}", text, who, ("good", "good,lovely")[(i + (who == "bob")) % 2])
        for i, text in enumerate(texts)
        for who in ("ann", "bob")
    ]
    table = pd.DataFrame(rows, columns=["item_id", "text", "annotator_id", "label"])
    return Annotations(table, ("good", "good,lovely"))


def prompts(context: int = 256, **settings: object) -> ExamplePrompts:
    return ExamplePrompts(judged(), tiny_tokenizer(), TrainingSettings(**settings), context, seed=0)


def asked(made: ExamplePrompts, item: int, who: str, way: dict) -> list[str]:
    """The parts of one prompt, the question last."""
    ((examples, question),) = made.ids(judged().items, np.array([item]), [who], way)
    return made.prompt.tokenizer.decode([*examples, *question]).split("\n\n")


def test_examples_are_the_annotators_own_the_nearest_and_never_the_item_itself() -> None:
    first, second, question = asked(prompts(), 0, "bob", NEAREST)
    assert question == "a good film\nAnswer:"
    assert {first.split("\n")[0], second.split("\n")[0]} <= {
        "a bad film",
        "the film was lovely",
        "a good room",
    }
    given = {row.text: row.label for row in judged().table.itertuples() if row.annotator_id == "bob"}
    for example in (first, second):
        text, answer = example.split("\nAnswer: ")
        assert answer == given[text]


def test_a_draw_is_the_same_for_every_item_and_follows_the_seed() -> None:
    made = prompts()
    drawn = {tuple(asked(made, item, "ann", SAMPLED)[:-1]) for item in range(6)}
    assert 1 <= len(drawn) <= 3  # another one only where the item itself was drawn
    assert asked(made, 0, "ann", SAMPLED) == asked(made, 0, "ann", SAMPLED)


def test_who_is_not_known_gets_examples_of_all() -> None:
    whole = asked(prompts(context=1000), 0, "nobody", {"examples": 10, "nearest": True})
    assert len(whole) == 11  # two judgements of the five other items


def test_the_farthest_examples_are_left_out_where_a_prompt_is_full() -> None:
    many = {"examples": 5, "nearest": True}
    whole, cut = asked(prompts(), 0, "ann", many), asked(prompts(context=100), 0, "ann", many)
    assert 1 < len(cut) < len(whole)
    assert cut == whole[-len(cut) :]


@pytest.mark.parametrize("kind", ["llama", "qwen3", "mistral", "gemma3", "gpt2", "mamba"])
def test_a_shared_beginning_changes_no_score(kind: str) -> None:
    model, tokenizer = tiny_language_model(kind), tiny_tokenizer()
    prefix, questions, answers = (
        range(5, 45),
        [[7, 8, 9], [50], [60, 61, 62, 63]],
        [[9, 4], [30, 31, 4], [11]],
    )
    found = answers_behind(model, tokenizer, prefix, questions, answers, tokens=12)
    for row, question in zip(found, questions, strict=True):
        for score, answer in zip(row.tolist(), answers, strict=True):
            whole = torch.tensor([[*prefix, *question, *answer]])
            with torch.no_grad():
                log_p = model(input_ids=whole).logits[0].log_softmax(-1)
            at = range(len(prefix) + len(question) - 1, whole.shape[1] - 1)
            assert score == pytest.approx(sum(float(log_p[t, whole[0, t + 1]]) for t in at), abs=1e-4)


def test_calibration_gives_base_rates_where_scores_say_nothing() -> None:
    labels = np.array([0] * 150 + [1] * 50)
    scores = np.tile([-9.0, -1.0], (200, 1))
    shifted = np.exp(calibrated(scores, fit_calibration(scores, labels))[0])
    np.testing.assert_allclose(shifted / shifted.sum(), [0.75, 0.25], atol=0.03)


def test_persons_are_asked_one_by_one_and_the_consensus_is_their_mean(tmp_path: Path) -> None:
    settings = TrainingSettings(base_model=save_tiny_language_model(tmp_path), max_length=16)
    fitted = FittedExamples(judged(), judged(), settings, seed=0)
    items, codes = judged().items, np.arange(6)
    p, of_ann = fitted.judged_probabilities(items, codes, ["ann"] * 6)
    _, of_bob = fitted.judged_probabilities(items, codes, ["bob"] * 6)
    assert of_ann is not None
    assert of_bob is not None
    assert not np.allclose(of_ann, of_bob)
    np.testing.assert_allclose((of_ann + of_bob) / 2, p, atol=1e-6)


def test_other_tasks_and_encoder_decoders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="label words"):
        prompts(task={"name": "choose"})
    settings = TrainingSettings(base_model=save_tiny_language_model(tmp_path, "t5"), max_length=16)
    with pytest.raises(UsageError, match="causal"):
        METHODS["rater-icl"].train(judged(), judged(), settings, {}, seed=0)
