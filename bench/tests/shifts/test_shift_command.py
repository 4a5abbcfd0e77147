"""`dcpc-bench shift`: writes what it says, atomically, and names what it does not know."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner, Result

from dcpc.data.readers import read_annotations
from dcpc.errors import DCPCError, UsageError
from dcpc_bench.cli import shift


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(shift.command)
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def sst2(tmp_path: Path) -> Path:
    folder = tmp_path / "sst2"
    folder.mkdir()
    rows = [
        {"sentence": f"film number {i} is {'fine' if i % 2 else 'dull'}", "label": i % 2} for i in range(60)
    ]
    pd.DataFrame(rows[:40]).to_parquet(folder / "train.parquet")
    pd.DataFrame(rows[40:]).to_parquet(folder / "validation.parquet")
    return folder


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("name", ["sst-2-p", "confusion"])
def test_the_output_is_a_table_of_annotations(name: str, suffix: str, sst2: Path, tmp_path: Path) -> None:
    output = tmp_path / f"out{suffix}"
    result = run(name, sst2, "--output", output, "--labels-per-item", 2, "--annotators", 5)
    assert result.exit_code == 0, result.output
    assert "realised noise" in result.output
    annotations = read_annotations(output)
    assert annotations.n_judgements == 120
    assert set(annotations.labels) == {"negative", "positive"}
    assert len(annotations.annotators) == 5


def test_a_pool_takes_annotations_and_strength_zero_keeps_their_majority(sst2: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    run("flips", sst2, "--output", first, "--labels-per-item", 3)
    result = run("style", first, "--output", second, "--strength", 0)
    assert result.exit_code == 0, result.output
    majority = pd.read_csv(first).groupby("item_id")["label"].agg(lambda s: s.mode()[0])
    assert pd.read_csv(second).set_index("item_id")["label"].to_dict() == majority.to_dict()


def test_only_the_named_split_is_shifted(sst2: Path, tmp_path: Path) -> None:
    run("sst-2-p", sst2, "--output", tmp_path / "o.csv", "--split", "validation")
    assert set(pd.read_csv(tmp_path / "o.csv")["split"]) == {"validation"}


def test_names_are_understood_and_the_nearest_is_offered() -> None:
    assert shift._known("SST2-P", ["sst-2-p", "style"]) == "sst-2-p"
    with pytest.raises(UsageError, match="Did you mean thresholds"):
        shift._known("treshold", ["thresholds", "sst-2-p"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nonsense", "SOURCE", "--output", "o.csv"), "no pool"),
        (("style", "SOURCE", "--output", "o.xyz"), "xyz"),
        (("style", "SOURCE", "--output", "o.csv", "--strength", "2"), "outside 0 to 1"),
        (("style", "SOURCE", "--output", "o.csv", "--split", "dev"), "Splits are: train, validation"),
        (("style", "SOURCE", "--output", "o"), "no ending"),
        (("rte-e", "SOURCE", "--output", "o.csv"), "premise"),
    ],
)
def test_wrong_usage_is_one_message_and_writes_nothing(
    arguments: tuple[str, ...], message: str, sst2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*(sst2 if a == "SOURCE" else a for a in arguments))
    assert isinstance(result.exception, DCPCError)
    assert message in str(result.exception)
    assert not list(tmp_path.glob("*o.*"))


def test_an_existing_output_is_kept_without_force(sst2: Path, tmp_path: Path) -> None:
    output = tmp_path / "o.csv"
    output.write_text("mine")
    assert isinstance(run("style", sst2, "--output", output).exception, UsageError)
    assert output.read_text() == "mine"
    assert run("style", sst2, "--output", output, "--force").exit_code == 0


def test_a_split_of_annotations_without_splits_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("text,label\na film,yes\nan evening,no\n")
    result = run("flips", data, "--output", tmp_path / "o.csv", "--split", "train")
    assert isinstance(result.exception, UsageError)
    assert "no `split` column" in str(result.exception)


def test_a_task_file_with_one_name_too_few_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("sentence,label\n1,a film,1\n2,an evening,0\n")
    result = run("sst-2-p", data, "--output", tmp_path / "o.csv")
    assert isinstance(result.exception, DCPCError)
    assert "a name is missing in the header" in str(result.exception)


def test_items_without_a_majority_are_told(tmp_path: Path) -> None:
    rows = [
        f"{i},the film,{who},{label}"
        for i in range(10)
        for who, label in (("ann", "yes"), ("bob", "no" if i < 4 else "yes"))
    ]
    (tmp_path / "judged.csv").write_text("\n".join(["item_id,text,annotator_id,label", *rows]) + "\n")
    result = run("confusion", tmp_path / "judged.csv", "--output", tmp_path / "out.csv")
    assert result.exit_code == 0, result.output
    assert "4 of 10 items have no majority; the first of their labels" in result.output


def test_a_negative_seed_is_wrong_usage(tmp_path: Path) -> None:
    result = run("flips", "data.csv", "--output", tmp_path / "out.csv", "--seed", -1)
    assert result.exit_code == 2
    assert "--seed" in result.output
