"""A recipe that cannot be followed is refused with the line, what is wrong, and where the setting belongs."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcpc.errors import UsageError
from dcpc.recipe import check_recipe, read_recipe


def refused(folder: Path, content: str | bytes) -> str:
    path = folder / "recipe.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as caught:
        read_recipe(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "what", "fix"),
    [
        ("training: {max_steps: 2}\ntraining: {seed: 3}\n", "line 2, column 1: `training` stands twice", ""),
        ("training:\n  seed: 2\n  seed: 3\n", "line 3, column 3: `seed` stands twice, first in line 2", ""),
        ("modle: x\n", "no field `modle`", "Did you mean model"),
        ("max_steps: 2\n", "no field `max_steps`", "Write it under `training:`"),
        ("rank: 2\n", "no field `rank`", "Write it under `adapter:`"),
        ("ambiguity_weight: 2\n", "no field `ambiguity_weight`", "Write it under `objective:`"),
        ("labels: [no, yes]\n", "no field `labels`", "--labels gives them"),
        ("seed: 3\n", "no field `seed`", "`training:`"),
        ("1: 2\n", "no field `1`", "Fields are: model"),
        ("task: prefer\n", "`task`", "Write it as `task: {name: prefer}`"),
        ("training: [seed, 3]\n", "`training`", "Write its settings below `training:`"),
        ("method: [lora]\n", "`method`", "Fields are: model"),
        ("training:\n\tseed: 3\n", "line 2, column 1: found character '\\t'", "replace the tab"),
        ("training: {seed: 3\n", "line 2, column 1: expected ',' or '}'", "comments after `#`"),
        ('{"model": "m", // mine\n "method": "lora"}', "line 2, column 10", "comments after `#`"),
        ("method: lora\n---\nmodel: m\n", "line 2, column 1", "Remove the line `---`"),
        ("model: *nothing\n", "line 1, column 8: found undefined alias 'nothing'", ""),
        ("model: !!python/object:os.system x\n", "line 1, column 8: could not determine a constructor", ""),
        ("model: é\n".encode("latin-1"), "byte 8 is not UTF-8 text", "Save the recipe as UTF-8."),
        (b"model: m\n\x00", "line 2: special characters are not allowed ('\\x00')", ""),
    ],
)
def test_what_is_wrong_and_where_it_belongs(tmp_path: Path, content: str, what: str, fix: str) -> None:
    said = refused(tmp_path, content)
    assert "recipe.yaml" in said
    assert what in said
    assert fix in said
    assert "<unicode string>" not in said


def test_a_section_without_settings_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("model: m\ntraining:\nadapter: ~\n")
    assert read_recipe(path).training == {}
    assert read_recipe(path).adapter == {}


def test_merged_settings_may_be_overridden(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("training: {seed: 1, <<: {seed: 2, max_steps: 5}}\n")
    assert read_recipe(path).training == {"seed": 1, "max_steps": 5}


def test_json_is_a_recipe_too(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text('{"model": "m",\n "training": {"max_steps": 2}}')
    assert read_recipe(path).training == {"max_steps": 2}


@pytest.mark.parametrize(
    ("content", "what", "fix"),
    [
        ("adapter: {learning_rate: 1e-3}\n", "no field `learning_rate` under `adapter`", "under `training:`"),
        ("training: {rank: 2}\n", "no field `rank` under `training`", "under `adapter:`"),
        ("objective: {max_length: 9}\n", "no field `max_length` under `objective`", "at the top"),
        ("training: {learning_rat: 1}\n", "no field `learning_rat`", "Did you mean learning_rate?"),
    ],
)
def test_a_setting_in_another_section_is_told_where_it_belongs(
    tmp_path: Path, content: str, what: str, fix: str
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    with pytest.raises(UsageError) as caught:
        check_recipe(read_recipe(path), path)
    said = str(caught.value)
    assert "recipe.yaml" in said
    assert what in said
    assert fix in said
