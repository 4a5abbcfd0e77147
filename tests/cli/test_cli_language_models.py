"""Label words and candidates on the command line: trained, predicted, evaluated; bad input is refused beforehand."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from dcpc.recipe import check_recipe, read_recipe
from tiny_language_models import CHAT, save_tiny_language_model

RECIPES = Path(__file__).parents[2] / "recipes"
QUICK = ("--set", "num_train_epochs=1", "--set", "learning_rate=1e-3")


@pytest.fixture(scope="module")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_language_model(tmp_path_factory.mktemp("base") / "llama", chat=CHAT)


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        {
            "item_id": f"i{i}",
            "text": f"The man {i} lost his balance, so",
            "choice1": "he fell",
            "choice2": "he sang" if i % 2 else "it was winter",
            "annotator_id": who,
            "label": f"choice{1 + (i + (who == 'bob')) % 2}",
        }
        for i in range(12)
        for who in ("ann", "bob")
    ]
    path = tmp_path_factory.mktemp("data") / "stories.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def used(dcpc, adapter: Path, data: Path, tmp_path: Path) -> pd.DataFrame:
    """Distributions of a trained adapter, after the other commands have gone through."""
    evaluated = dcpc("evaluate", adapter, data)
    assert evaluated.code == 0, evaluated.err
    assert "judgement_error" in evaluated.out
    persons = tmp_path / "persons.csv"
    result = dcpc("predict", adapter, data, "--output", persons, "--as", "annotators")
    assert result.code == 0, result.err
    assert set(pd.read_csv(persons)["annotator_id"]) >= {"ann", "bob"}
    output = tmp_path / "shares.csv"
    result = dcpc("predict", adapter, data, "--output", output, "--as", "distribution")
    assert result.code == 0, result.err
    return pd.read_csv(output)


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_valid(recipe: Path) -> None:
    settings = read_recipe(recipe)
    if settings.task.get("name") == "write":  # its own settings are checked by tests of writing
        settings = settings.model_copy(update={"task": {}})
    check_recipe(settings)


def test_the_recipe_of_label_words_trains(dcpc, reviews, tiny_llama, tmp_path) -> None:
    adapter = tmp_path / "adapter"
    recipe = RECIPES / "label-words.yaml"
    result = dcpc("train", reviews, "--recipe", recipe, "--model", tiny_llama, "--output", adapter, *QUICK)
    assert result.code == 0, result.err
    assert json.loads((adapter / "task.json").read_text())["shape"]["words"] == {"no": ["no"], "yes": ["yes"]}
    shares = used(dcpc, adapter, reviews, tmp_path).select_dtypes("number")
    assert (shares.sum(axis=1) - 1).abs().max() < 1e-3


@pytest.mark.parametrize(("flags", "shape"), [((), "label-words"), (("--head",), "classify")])
def test_a_causal_model_answers_with_its_own_words_unless_a_head_is_asked_for(
    dcpc, reviews, tiny_llama, tmp_path, flags, shape
) -> None:
    adapter = tmp_path / "adapter"
    result = dcpc("train", reviews, "--model", tiny_llama, *flags, "--output", adapter, *QUICK)
    assert result.code == 0, result.err
    assert json.loads((adapter / "task.json").read_text())["shape"]["name"] == shape
    assert ("--head a new head" in result.err.replace("\n", " ")) == (not flags)


def test_words_and_template_are_kept_in_the_adapter(dcpc, reviews, tiny_llama, tmp_path) -> None:
    adapter, words = tmp_path / "adapter", "no=no|never so,yes=yes|indeed"
    flags = ("--words", words, "--template", r"Good? {text}\n({labels})")
    result = dcpc("train", reviews, "--model", tiny_llama, *flags, "--output", adapter, *QUICK)
    assert result.code == 0, result.err
    shape = json.loads((adapter / "task.json").read_text())["shape"]
    assert shape["words"] == {"no": ["no", "never so"], "yes": ["yes", "indeed"]}
    assert shape["template"] == "Good? {text}\n({labels})"


def test_the_recipe_of_choose_trains(dcpc, stories, tiny_llama, tmp_path) -> None:
    adapter, recipe = tmp_path / "adapter", RECIPES / "choose.yaml"
    result = dcpc("train", stories, "--recipe", recipe, "--model", tiny_llama, "--output", adapter, *QUICK)
    assert result.code == 0, result.err
    assert len(used(dcpc, adapter, stories, tmp_path)) == 12


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--words", "no=no,yes="], "has no tokens"),
        (["--words", "no=yes,yes=yes"], "are the same to the tokenizer"),
        (["--words", "no=no"], "words are given for the labels"),
        (["--words", "no"], "names no label"),
        (["--head", "--words", "no=no,yes=yes"], "--head reads no words"),
        (["--label-words", "--template", "Is it good?"], "has no slot {text}"),
        (["--label-words", "--template", "{text} {txt}"], "{txt} that nothing fills"),
        (["--label-words", "--set", "max_length=8"], "even without its passage"),
        (["--task", "choose"], "no candidates to choose from"),
    ],
)
def test_bad_input_is_refused_before_training(dcpc, reviews, tiny_llama, tmp_path, flags, says) -> None:
    adapter = tmp_path / "adapter"
    result = dcpc("train", reviews, "--model", tiny_llama, *flags, "--output", adapter)
    assert result.code != 0
    assert says in " ".join(result.err.split())
    assert not adapter.exists()


def test_an_encoder_has_no_label_words(dcpc, reviews, tiny_bert, tmp_path) -> None:
    result = dcpc("train", reviews, "--model", tiny_bert, "--label-words", "--output", tmp_path / "a")
    assert result.code != 0
    assert "head" in result.err


@pytest.mark.parametrize("flag", ["--head", "--label-words"])
def test_candidates_are_not_ignored(dcpc, stories, tiny_llama, tmp_path, flag) -> None:
    result = dcpc("train", stories, "--model", tiny_llama, flag, "--output", tmp_path / "a")
    assert result.code != 0
    assert "--task choose" in " ".join(result.err.split())
