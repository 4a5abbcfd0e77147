"""`dcpc convert`: every form holds the same judgements, and reads back."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from dcpc.cli import main
from dcpc.data.conversion import convert
from dcpc.data.readers import read_annotations
from dcpc.errors import UsageError

ROWS = pd.DataFrame(
    {
        "item_id": list("xxy"),
        "text": ["one", "one", "two"],
        "annotator_id": list("abb"),
        "label": ["yes", "no", "no"],
    }
)


@pytest.mark.parametrize(
    ("name", "form"),
    [("o.csv", None), ("o.parquet", "long"), ("o.csv", "crowd-kit"), ("o.json", None), ("o", None)],
)
def test_every_form_reads_back(tmp_path: Path, name: str, form: str | None) -> None:
    source = tmp_path / "in.csv"
    ROWS.to_csv(source, index=False)
    assert convert(read_annotations(source), tmp_path / name, form) == ()
    columns = list(ROWS)
    assert read_annotations(tmp_path / name).table[columns].equals(read_annotations(source).table[columns])


def test_preferences_go_to_trl_and_back_without_ties(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    pairs = {"item_id": list("xyz"), "text": ["q1", "q2", "q3"], "response_a": ["A1", "B2", "A3"]}
    pairs |= {"response_b": ["B1", "A2", "B3"], "annotator_id": list("uvw"), "label": ["a", "b", "tie"]}
    pd.DataFrame(pairs).to_csv(source, index=False)
    (note,) = convert(read_annotations(source), tmp_path / "o.jsonl", "trl")
    assert "1 ties" in note
    rows = pd.read_json(tmp_path / "o.jsonl", lines=True)
    assert rows[["prompt", "chosen", "rejected"]].to_numpy().tolist() == [
        ["q1", "A1", "B1"],
        ["q2", "A2", "B2"],
    ]
    assert set(read_annotations(tmp_path / "o.jsonl").items["item_id"]) == {"x", "y"}


def test_the_command_converts_and_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.csv"
    ROWS.to_csv(source, index=False)
    with pytest.raises(SystemExit) as done:
        main(["convert", str(source), str(tmp_path / "o.jsonl")])
    assert done.value.code == 0
    assert "3 judgements of 2 items" in capsys.readouterr().out
    with pytest.raises(UsageError, match="Forms: long"):
        convert(read_annotations(source), tmp_path / "o.csv", "bogus")
