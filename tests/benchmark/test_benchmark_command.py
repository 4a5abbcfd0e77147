"""`dcpc benchmark` on a CSV file, and its messages for options that make no sense."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from dcpc.cli.benchmark import command
from dcpc.errors import UsageError
from tiny_models import save_tiny_bert, sentiment_judgements

app = typer.Typer()
app.command()(command)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_a_csv_becomes_a_table(tmp_path: Path) -> None:
    model = save_tiny_bert(tmp_path / "model", mean_pooling=True)
    sentiment_judgements(40).table.to_csv(tmp_path / "data.csv", index=False)
    methods = "linear-probe,linear-probe-annotators"
    options = ["--model", model, "--methods", methods, "--budgets", "1", "--seeds", 2]
    shown = run(tmp_path / "data.csv", "--output", tmp_path / "out", *options)
    assert "Trained on one annotation per item" in shown
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 2 * 2 * 10


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--budgets", "2", "is no budget"),
        ("--learning-rates", "fast", "no list of learning rates"),
        ("--learning-rates", "0", "above 0"),
        ("--methods", "lorra", "Did you mean lora"),
    ],
)
def test_options_that_make_no_sense_are_explained(
    tmp_path: Path, option: str, value: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run("missing.csv", "--output", tmp_path / "out", option, value)
    assert not (tmp_path / "out").exists()
