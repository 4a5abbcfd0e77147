"""Scores, the sentence about the winner, and the page."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

from dcpc_bench.demo.data import DemoData
from dcpc_bench.demo.page import demo_page
from dcpc_bench.demo.results import Difference, score, winner_statement
from dcpc_bench.demo.run import Run

CLEAN = np.tile([0, 1], 30)


def run_with_accuracy(method: str, seed: int, right: int) -> Run:
    chosen = np.where(np.arange(60) < right, CLEAN, 1 - CLEAN)
    probabilities = np.where(np.eye(2)[chosen] == 1, 0.8, 0.2)
    rates = np.linspace(0.2, 0.8, 12) if method == "DCPC" else None
    return Run(method, seed, probabilities, rates, 1.0, 1000)


def statement(ours: float, lora: float, interval: tuple[float, float]) -> str:
    summary = pd.DataFrame({"method": ["P-Tuning v2", "LoRA", "DCPC"], "accuracy": [0.5, lora, ours]})
    differences = [
        Difference("P-Tuning v2", ours - 0.5, 0.1, 0.5, 0.001),
        Difference("LoRA", ours - lora, *interval, 0.04),
    ]
    return winner_statement(summary, differences)


def test_a_clear_win_is_called_a_win():
    text = statement(0.9, 0.85, (0.01, 0.09))
    assert text.startswith("DCPC won")
    assert "90.0 %" in text
    assert "+5.0 points, 95 % interval +1.0 to +9.0 points" in text


def test_a_lead_within_the_interval_is_not_called_a_win():
    text = statement(0.87, 0.85, (-0.02, 0.06))
    assert "DCPC won" not in text
    assert "its lead over LoRA is within the range of luck" in text


def test_a_loss_is_said_first():
    text = statement(0.8, 0.85, (-0.09, -0.01))
    assert text.startswith("DCPC did not win: LoRA is ahead")
    assert "luck" not in text


def test_a_narrow_loss_says_that_it_may_be_luck():
    assert "may be luck" in statement(0.84, 0.85, (-0.05, 0.03))


def test_a_tie_is_no_win():
    assert statement(0.85, 0.85, (-0.02, 0.02)).startswith("DCPC did not win: it and LoRA tie")


@pytest.fixture
def results():
    runs = [
        run_with_accuracy(method, seed, right + seed)
        for seed in range(3)
        for method, right in (("P-Tuning v2", 40), ("LoRA", 50), ("DCPC", 45))
    ]
    return score(runs, CLEAN)


def test_scores_are_means_over_seeds(results):
    accuracy = results.summary.set_index("method")["accuracy"]
    assert accuracy["LoRA"] == pytest.approx(51 / 60)
    assert accuracy["DCPC"] == pytest.approx(46 / 60)
    assert [d.other for d in results.differences] == ["P-Tuning v2", "LoRA"]
    assert results.differences[1].difference == pytest.approx(-5 / 60)
    assert (results.summary["low"] < results.summary["accuracy"]).all()
    assert (results.summary["high"] > results.summary["accuracy"]).all()


def test_results_are_strict_json_also_with_one_seed():
    one = score([run_with_accuracy(name, 0, 40) for name in ("P-Tuning v2", "LoRA", "DCPC")], CLEAN)
    content = json.loads(json.dumps(one.as_json(), allow_nan=False))
    assert content["summary"][0]["sd"] is None


def test_the_page_needs_no_network_and_states_the_result(results):
    data = DemoData.generate(100, 2, test_items=20)
    annotators = data.annotators(data.judge(0))
    page = demo_page(data, annotators, np.linspace(0.2, 0.8, 12), results, 0.2)
    assert results.statement.split(":")[0] in page
    assert page.count("<svg") == 4
    without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert "http" not in without_namespaces
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!#)', without_namespaces)
