"""Reward models on the command line: trained on votes, evaluated, predicted from, and scoring single responses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from dcpc.preference import RaterModel
from preference.tiny_policy import simulated_votes, tiny_llama, tiny_tokenizer

TASTE = {"r": 1.0, "s": 1.0, "t": 1.0}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder, tokenizer = tmp_path_factory.mktemp("base") / "llama", tiny_tokenizer(chat=True)
    tiny_llama(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def votes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found, _ = simulated_votes(TASTE, dict.fromkeys(TASTE, 0.1), n_pairs=60, ties=0.2)
    path = tmp_path_factory.mktemp("data") / "votes.csv"
    found.table.assign(team=found.table["annotator_id"].map({"r": "x", "s": "x", "t": "y"})).to_csv(
        path, index=False
    )
    return path


def test_a_reward_model_from_votes_to_the_best_of_n(
    dcpc: Callable[..., Any], base: str, votes: Path, tmp_path: Path
) -> None:
    given = ["--task", "prefer", "--model", base, "--set", "num_train_epochs=2", "--set", "ties=0.7"]
    run = dcpc(
        "train", votes, "--output", tmp_path / "a", *given, "--method", "lora", "--group-column", "team"
    )
    assert run.code == 0, run.err
    assert "(preference)" in run.out
    run = dcpc("evaluate", tmp_path / "a", votes)
    assert run.code == 0, run.err
    assert "vote_log_loss" in run.out
    assert "side_accuracy" in run.out
    run = dcpc("predict", tmp_path / "a", votes, "--as", "annotators", "--output", tmp_path / "p.csv")
    assert run.code == 0, run.err
    assert set(pd.read_csv(tmp_path / "p.csv")["annotator_id"]) == set(TASTE)
    rows = [(f"ask{i}", reply) for i in range(3) for reply in ("please0 please1", "nope0", "nope1")]
    pd.DataFrame(rows, columns=["prompt", "completion"]).to_csv(tmp_path / "r.csv", index=False)
    named = ["--columns", "text=prompt,response=completion"]
    run = dcpc("reward", tmp_path / "a", tmp_path / "r.csv", "--output", tmp_path / "s.csv", *named)
    assert run.code == 0, run.err
    assert "Rewards of 9 responses to 3 prompts" in run.out
    scored = pd.read_csv(tmp_path / "s.csv")
    assert scored["response"].tolist() == [reply for _, reply in rows], "in the order of the file"
    assert scored.groupby("item_id")["rank"].apply(sorted).tolist() == [[1, 2, 3]] * 3
    run = dcpc("reward", tmp_path / "a", tmp_path / "r.csv", "--output", tmp_path / "b.csv", "--best", *named)
    best = pd.read_csv(tmp_path / "b.csv")
    assert best["reward"].tolist() == scored.groupby("item_id", sort=False)["reward"].max().tolist()


def test_a_new_rater_starts_from_the_group_whatever_its_column_is_called(
    dcpc: Callable[..., Any], base: str, votes: Path, tmp_path: Path
) -> None:
    given = ["--task", "prefer", "--model", base, "--method", "lora", "--set", "num_train_epochs=1"]
    assert dcpc("train", votes, "--output", tmp_path / "a", *given, "--group-column", "team").code == 0
    raters = RaterModel.load(tmp_path / "a")
    with torch.no_grad():
        raters.effects.group_mean.copy_(torch.tensor([[-3.0, 0.0], [3.0, 0.0]]))  # of "x" and "y"
    raters.save(tmp_path / "a")
    few = pd.read_csv(votes).head(1)
    rows = pd.concat([few.assign(annotator_id=f"of {team}", crew=team) for team in ("x", "y")])
    rows.drop(columns="team").to_csv(tmp_path / "few.csv", index=False)
    run = dcpc(
        "adapt", tmp_path / "a", tmp_path / "few.csv", "--output", tmp_path / "b", "--group-column", "crew"
    )
    assert run.code == 0, run.err
    more = RaterModel.load(tmp_path / "b")
    ties = more.effects.mean[more.index(["of x", "of y"]), 0]
    assert ties[0] < -2 < 2 < ties[1]
    run = dcpc("adapt", tmp_path / "a", tmp_path / "few.csv", "--output", tmp_path / "c")
    assert run.code == 0, run.err
    alike = RaterModel.load(tmp_path / "c")
    ties = alike.effects.mean[alike.index(["of x", "of y"]), 0]
    assert ties[0] == ties[1]
    for column, message in (
        ("squad", "no group column `squad`"),
        ("annotator_id", "knew no group of the column"),
    ):
        run = dcpc(
            "adapt",
            tmp_path / "a",
            tmp_path / "few.csv",
            "--output",
            tmp_path / "d",
            "--group-column",
            column,
        )
        assert run.code == 2, run.err
        assert message in run.err.replace("\n", " ")
        assert not (tmp_path / "d").exists()


def test_rewards_of_each_rater_where_they_have_tastes(
    dcpc: Callable[..., Any], base: str, votes: Path, tmp_path: Path
) -> None:
    given = ["--task", "prefer", "--model", base, "--method", "lora", "--set", "num_train_epochs=1"]
    assert dcpc("train", votes, "--output", tmp_path / "a", *given, "--set", "tastes=0.5").code == 0
    rows = [(f"ask{i}", reply, "me") for i in range(2) for reply in ("please0", "nope0", "nope1")]
    pd.DataFrame(rows, columns=["prompt", "completion", "annotator_id"]).to_csv(
        tmp_path / "r.csv", index=False
    )
    asked = ["reward", tmp_path / "a", tmp_path / "r.csv", "--as", "annotators"]
    run = dcpc(*asked, "--output", tmp_path / "s.csv")
    assert run.code == 0, run.err
    assert "Rewards of 6 responses to 2 prompts by 3 raters" in run.out
    assert "annotator_id was left out" in " ".join(run.err.split())
    scored = pd.read_csv(tmp_path / "s.csv")
    assert scored["annotator_id"].tolist() == sorted(TASTE) * 6
    ranks = scored.groupby(["item_id", "annotator_id"])["rank"].apply(sorted)
    assert ranks.tolist() == [[1, 2, 3]] * 6
    run = dcpc(*asked, "--output", tmp_path / "b.csv", "--best")
    assert len(pd.read_csv(tmp_path / "b.csv")) == 6
    assert dcpc("train", votes, "--output", tmp_path / "plain", *given).code == 0
    run = dcpc(
        "reward", tmp_path / "plain", tmp_path / "r.csv", "--as", "annotators", "--output", tmp_path / "x.csv"
    )
    assert run.code == 2
    assert "--set tastes=0.5" in run.err
    assert not (tmp_path / "x.csv").exists()


def test_a_classifier_gives_no_rewards(dcpc: Callable[..., Any], adapter: Path, tmp_path: Path) -> None:
    pd.DataFrame({"text": ["x"], "response": ["y"]}).to_csv(tmp_path / "r.csv", index=False)
    run = dcpc("reward", adapter, tmp_path / "r.csv", "--output", tmp_path / "s.csv")
    assert run.code == 2
    assert "gives no rewards" in run.err
    assert "--task prefer" in run.err


def test_votes_for_the_first_side_alone_make_rewards_and_no_classifier(
    dcpc: Callable[..., Any], base: str, votes: Path, tmp_path: Path
) -> None:
    pd.read_csv(votes).assign(label="a").to_csv(tmp_path / "a.csv", index=False)
    given = ["train", tmp_path / "a.csv", "--model", base, "--method", "lora", "--set", "num_train_epochs=1"]
    run = dcpc(*given, "--task", "prefer", "--output", tmp_path / "a")
    assert run.code == 0, run.err
    assert "All votes are for side a" in " ".join(run.err.split())
    assert "only one label was used" in " ".join(run.out.split())
    run = dcpc(*given, "--task", "classify", "--output", tmp_path / "b")
    assert run.code == 1
    assert "--task prefer" in run.err
    run = dcpc("inspect", tmp_path / "a.csv", "--output", tmp_path / "page", "--no-pairs")
    assert run.code == 0, run.err
    assert "divide by zero" not in run.err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "c"}, 'row 5, column "label": "c" is a vote for neither side'),
        ({"response_b": " "}, "the text is empty"),
    ],
)
def test_bad_votes_are_one_message(
    dcpc: Callable[..., Any], base: str, votes: Path, tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    table = pd.read_csv(votes)
    for column, value in changes.items():
        table.loc[3, column] = value
    table.to_csv(tmp_path / "bad.csv", index=False)
    run = dcpc("train", tmp_path / "bad.csv", "--task", "prefer", "--model", base, "--output", tmp_path / "a")
    assert run.code != 0
    assert message in run.err
