"""`dcpc-bench run` on one's own file and on a suite, and its messages for options that make no sense."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from fake_methods import FakeMethod, install
from typer.testing import CliRunner

from dcpc.errors import UsageError
from dcpc_bench.cli import run as benchmark
from dcpc_bench.rig import runner
from dcpc_bench.rig.store import Record
from dcpc_bench.rig.suite import Suite, load_suite
from tiny_models import save_tiny_bert, sentiment_judgements

app = typer.Typer()
app.command()(benchmark.command)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def records(folder: Path) -> list[Record]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


def test_a_csv_becomes_tables_and_a_report(tmp_path: Path) -> None:
    model = save_tiny_bert(tmp_path / "model", mean_pooling=True)
    sentiment_judgements(40).table.rename(columns={"text": "comment"}).to_csv(
        tmp_path / "my data.csv", index=False
    )
    out = tmp_path / "out"
    shown = run(
        *("--data", tmp_path / "my data.csv", "--columns", "text=comment", "--output", out, "--model", model),
        *("--methods", "linear-probe,linear-probe-annotators", "--conditions", "budget=all", "--seeds", 1),
        *("--workers", 2),
    )  # fmt: skip
    assert "2 cells, 2 searches" in shown
    cells = [r for r in records(out) if r["kind"] == "cell"]
    assert [c["status"] for c in cells] == ["done", "done"], [c["reason"] for c in cells]
    assert {c["dataset"] for c in cells} == {"my-data"}
    assert all("ridge" in c["setting"] and c["commit"] for c in cells)
    for name in ("results.parquet", "results.md", "report.html"):
        assert (out / name).stat().st_size > 0


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> list[Suite]:
    """Run cells here, with methods that take no time; the suites that were run."""
    install(monkeypatch, *(FakeMethod(name) for name in (*load_suite("smoke").methods, "elr")))
    real, seen = runner.run_suite, []

    def here(suite: Suite, output: Path, **options: object) -> object:
        seen.append(suite)
        return real(suite, output, **{**options, "workers": 0, "progress": False})  # type: ignore[arg-type]

    monkeypatch.setattr(runner, "run_suite", here)
    return seen


def test_options_narrow_a_suite(tmp_path: Path, in_this_process: list[Suite]) -> None:
    options = ("--methods", "elr,lora", "--seeds", 1, "--conditions", "budget=1", "--epochs", 3)
    run("smoke", "--output", tmp_path / "out", *options)
    suite = in_this_process[0]
    assert (suite.methods, suite.reference, suite.seeds) == (["elr", "lora"], "elr", 1)
    assert suite.training.epochs == 3
    assert {(r["kind"], r["condition"]) for r in records(tmp_path / "out")} == {
        (kind, "budget=1") for kind in ("split", "search", "cell")
    }


def test_fewer_conditions_are_searched_where_the_suite_says() -> None:
    real = benchmark.narrow(load_suite("real-small"), conditions=["budget=all"])
    assert [real.searched_in(d, "budget=all") for d in real.datasets] == ["budget=1"] * len(real.datasets)
    pools = benchmark.narrow(load_suite("ablation"), conditions=["pool=thresholds@0.3"], datasets=["sst2"])
    assert pools.searched_in(pools.datasets[0], "pool=thresholds@0.3") == "pool=thresholds@0.3"


def test_a_condition_is_run_where_the_suite_runs_it() -> None:
    """`ablation` runs budgets on real sets, a pool on SST-2; a condition it does not know is meant for all."""

    def chosen(*conditions: str) -> dict[str, list[str]]:
        suite = benchmark.narrow(load_suite("ablation"), conditions=list(conditions))
        return {d.name: suite.conditions_of(d) for d in suite.datasets}

    real = [d.name for d in load_suite("ablation").datasets if d.name != "sst2"]
    pool = "pool=thresholds@0.3"
    assert chosen("budget=1") == {name: ["budget=1"] for name in real}
    assert chosen(pool) == {"sst2": [pool]}
    assert chosen(pool, "budget=all") == {name: ["budget=all"] for name in real} | {"sst2": [pool]}
    assert chosen("clean") == {name: ["clean"] for name in [*real, "sst2"]}


def test_a_suite_of_ones_own(tmp_path: Path, in_this_process: list[Suite]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("datasets: [generated-reviews]\nmethods: [lora]\nreference: lora\nseeds: 1\n")
    run(path, "--output", tmp_path / "out")
    assert in_this_process[0].name == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["smok"], "Did you mean smoke"),
        ([], "a suite or --data is needed"),
        (["smoke", "--data", "x.csv"], "not both"),
        (["smoke", "--columns", "text=a"], "belong to --data"),
        (["smoke", "--methods", "lorra"], "Did you mean lora"),
        (["smoke", "--datasets", "generated"], "Did you mean generated-reviews"),
        (["smoke", "--conditions", "budget=2"], "is no condition"),
        (["ablation", "--conditions", "budget=1", "--datasets", "sst2"], "does not run budget=1 on sst2"),
        (["smoke", "--epochs", "0"], r"`training\.epochs`"),
        (["smoke", "--rerun", "elr"], 'no method "elr"'),
        (["real-small", "--data-folder", "nowhere"], "--data-folder"),
    ],
)
def test_options_that_make_no_sense_are_explained(tmp_path: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(*arguments, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()
