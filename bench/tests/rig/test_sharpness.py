"""How certain a store's predictions are: calibration on validation judgements, and what the divergence rewards."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic_store import write_store

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "bench" / "scripts" / "sharpness.py"))


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return np.random.default_rng(0).dirichlet([1.0, 1.0, 1.0], 2_000)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.4])
def test_temperature_of_a_prediction_is_found_from_single_votes(
    script: dict[str, Any], truth: np.ndarray, temperature: float
) -> None:
    votes = np.random.default_rng(1).multinomial(1, truth)
    said = script["scaled"](truth, 1 / temperature)  # to be undone
    assert script["fitted_temperature"](said, votes) == pytest.approx(temperature, rel=0.06)
    np.testing.assert_allclose(script["scaled"](said, temperature), truth, atol=1e-4)


def test_the_fewer_the_votes_the_more_certainty_is_rewarded(
    script: dict[str, Any], truth: np.ndarray
) -> None:
    few, more, many = (script["rewarded_temperature"](truth[:200], n) for n in (1, 5, 200))
    assert few < more < many
    assert many == pytest.approx(1.0, abs=0.03)


def test_only_seeds_count_that_all_methods_have(tmp_path: Path, script: dict[str, Any]) -> None:
    def partly(dataset: str, condition: str, method: str, seed: int) -> bool:
        return method == "dcpc" or seed == 0

    methods = ("dcpc", "lora")
    records = write_store(tmp_path, datasets=("a", "b"), methods=methods, keep=partly)
    for record in records:
        if record["kind"] == "split":
            record["validation_counts"] = record["counts"]
        elif record["kind"] == "cell":
            record["validation_distribution"] = record["distribution"]

    def found(kept: list[dict[str, Any]]) -> pd.DataFrame:
        (tmp_path / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in kept))
        return script["sharpness"](tmp_path, methods)

    of_all = found(records)
    assert list(of_all) == list(methods)
    pd.testing.assert_frame_equal(of_all, found([r for r in records if r.get("seed") in (0, None)]))
    assert not of_all.equals(found([r for r in records if r["dataset"] == "a"]))
