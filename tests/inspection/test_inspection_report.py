"""The result as JSON, as a page and from the command line."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from dcpc.cli import inspect as cli
from dcpc.data.annotations import Annotations
from dcpc.files import MANIFEST
from dcpc.inspection import inspect_annotations, to_json
from dcpc.inspection import items as consensus
from dcpc.inspection.items import measure_consensus, with_prior
from dcpc.inspection.page import inspection_page
from dcpc.inspection.wording import explain_scale

runner = CliRunner()


@pytest.fixture(scope="module")
def app() -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(cli.command)
    return app


@pytest.fixture
def data(two_camps, tmp_path: Path) -> Path:
    path = tmp_path / "camps.csv"
    two_camps.table.to_csv(path, index=False)
    return path


def test_json_holds_every_part_and_no_nan(inspected) -> None:
    report = to_json(inspected)
    json.dumps(report, allow_nan=False)
    assert report["overlap"]["judgements"] == 1600
    assert report["agreement"]["metric"] == "nominal"
    assert len(report["items"]["item_id"]) == len(report["items"]["Majority"]) == 200
    assert {len(group) for group in report["groups"]["members"]} == {4}
    assert report["columns"][0]["column"] == "camp"


def test_the_page_is_self_contained_and_every_figure_has_an_alternative(inspected) -> None:
    html = inspection_page(inspected)
    assert not re.search(
        r"https?://|<link|<img|<iframe|\ssrc=|@import", re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)
    )
    assert html.count("<script") == 2  # the data, which does not run, and what the policy names by its hash
    assert "default-src 'none'" in html
    assert (
        html.count("<svg")
        == html.count('role="img"')
        == len(re.findall(r'<title id="[^"]+">[^<]{20,}', html))
    )
    assert "text of i0" in html or "text of i" in html


def test_of_equally_busy_annotators_the_clearest_leanings_are_shown_and_the_page_says_so(inspected) -> None:
    assert len({b.judgements for b in inspected.bias}) == 1
    html = inspection_page(inspected)
    assert "Of equally busy ones" in html
    last = min(inspected.bias, key=lambda b: abs(b.z)).annotator
    assert f"Confusion of {last}:" not in html


def test_no_texts_hides_every_text(few_of_two_camps) -> None:
    result = inspect_annotations(few_of_two_camps, texts=False, pairs=False)
    assert "text of" not in inspection_page(result)
    assert "text of" not in json.dumps(to_json(result))


@pytest.mark.parametrize("name", ["one_label_each", "nameless", "interchangeable"])
def test_a_page_says_what_cannot_be_said(name: str, request: pytest.FixtureRequest) -> None:
    result = inspect_annotations(request.getfixturevalue(name), pairs=False)
    html = inspection_page(result)
    if name == "one_label_each":
        assert "Every item has one label" in html
    if name == "nameless":
        assert "Annotators are not named" in html
    json.dumps(to_json(result), allow_nan=False)


def test_the_same_seed_gives_the_same_report(few_of_two_camps) -> None:
    first, second = (to_json(inspect_annotations(few_of_two_camps, pairs=False, seed=3)) for _ in range(2))
    assert first == second


def test_majority_leaves_ties_open(two_camps) -> None:
    labels = measure_consensus(two_camps).labels["Majority"]
    counts = two_camps.counts
    assert (labels.isna().to_numpy() == (counts[:, 0] == counts[:, 1])).all()


def test_a_missing_extra_is_named(two_camps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consensus.importlib.util, "find_spec", lambda name: None)
    measured = measure_consensus(two_camps)
    assert list(measured.labels) == ["Majority"]
    assert "dcpc[crowd]" in measured.notes[0]


def test_a_missing_pairs_extra_becomes_a_note(few_of_two_camps, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import ModuleType

    from dcpc.errors import UsageError

    module = ModuleType("dcpc.data.pairs")

    def mine_pairs(annotations: object, **settings: object) -> None:
        raise UsageError("faiss is missing.", fix="pip install 'dcpc[pairs]'")

    module.mine_pairs = mine_pairs  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dcpc.data.pairs", module)
    result = inspect_annotations(few_of_two_camps)
    assert any("dcpc[pairs]" in note for note in result.notes)


def test_the_command_writes_both_reports_and_keeps_what_is_there(app, data: Path, tmp_path: Path) -> None:
    from dcpc.errors import UsageError

    output = tmp_path / "report"
    arguments = [str(data), "--output", str(output), "--no-pairs", "--no-texts"]
    done = runner.invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert {path.name for path in output.iterdir()} == {"report.html", "report.json", MANIFEST}
    assert "4, 4" in done.output
    again = runner.invoke(app, arguments)
    assert isinstance(again.exception, UsageError)
    assert runner.invoke(app, [*arguments, "--force"]).exit_code == 0


@pytest.mark.parametrize(
    "bad", [["--columns", "label"], ["--scale", "cardinal"], ["--ray", "local", "--no-pairs"]]
)
def test_wrong_options_are_usage_errors_and_write_nothing(
    app, data: Path, tmp_path: Path, bad: list[str]
) -> None:
    from dcpc.errors import UsageError

    done = runner.invoke(app, [str(data), "--output", str(tmp_path / "report"), *bad])
    assert isinstance(done.exception, UsageError)
    assert not (tmp_path / "report").exists()


def test_the_format_can_be_forced(app, data: Path, tmp_path: Path) -> None:
    done = runner.invoke(app, [str(data), "--output", str(tmp_path / "report"), "--format", "prodigy"])
    assert done.exit_code != 0
    assert "malformed JSON" in str(done.exception)  # read as JSON Lines, as was asked
    assert not (tmp_path / "report").exists()


def test_the_page_says_how_the_scale_was_told_and_how_to_set_it(two_camps, inspected) -> None:
    assert "fewer than three labels" in inspected.scale_reason
    assert "--scale ordinal" in inspection_page(inspected)
    assert "--labels 0,1`" in inspected.scale_reason
    numbers = Annotations(two_camps.table.assign(label="2"), ("0", "1", "2"), "ordinal")
    assert "--scale nominal" in explain_scale(numbers, given=False)
    assert explain_scale(numbers, given=True) == "The scale was set: ordinal."


def test_posteriors_of_both_kinds_of_pairs_share_a_prior() -> None:
    even = np.array([0.2, 0.5, 0.9])
    np.testing.assert_allclose(with_prior(even, 0.5), even)
    np.testing.assert_allclose(with_prior(even, 0.1), even / (even + 9 * (1 - even)))


def test_the_example_of_an_order_names_the_labels_of_the_data(two_camps) -> None:
    words = Annotations(two_camps.table, ("not at all", "rather", "very"), "nominal")
    assert "--labels 'not at all,rather,very'" in explain_scale(words, given=False)
    many = Annotations(two_camps.table, tuple("abcdefgh"), "nominal")
    assert "with --scale ordinal and --labels." in explain_scale(many, given=False)


def test_labels_without_a_glyph_give_no_warning(few_of_two_camps, recwarn) -> None:
    words = {"0": "否", "1": "是"}
    annotations = Annotations(few_of_two_camps.table.replace({"label": words}), tuple(words.values()))
    assert "否" in inspection_page(inspect_annotations(annotations, pairs=False))
    assert [str(w.message) for w in recwarn.list if issubclass(w.category, UserWarning)] == []


def test_every_note_is_printed_once(app, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("text,label\n" + "".join(f"text {i},{'yes' if i % 2 else 'no'}\n" for i in range(20)))
    done = runner.invoke(app, [str(path), "--output", str(tmp_path / "report"), "--no-pairs"])
    assert done.exit_code == 0, done.output
    assert done.output.count("There are no annotator ids") == 1
    assert done.output.count("Every item has one label") == 1
    assert "cannot be told" in done.output  # instead of models that differ on 0 items
