"""The numbers of every form of the adapter stay what they were, whatever is moved around in the code.

`PYTHONPATH=tests python tests/golden/test_golden.py` writes the file anew, where a change of the numbers is meant.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
import torch
from golden_cases import CASES, numbers

FILE = Path(__file__).with_name("numbers.json")


@pytest.mark.parametrize("name", CASES)
def test_losses_predictions_and_saved_tensors_are_as_recorded(name: str, tmp_path: Path) -> None:
    held, found = json.loads(FILE.read_text())[name], numbers(CASES[name], tmp_path)
    for step, (before, now) in enumerate(zip(held["losses"], found["losses"], strict=True)):
        assert before == pytest.approx(now, rel=1e-4, abs=1e-5), f"losses of step {step}"
    for what in ("logits", "own"):
        torch.testing.assert_close(torch.tensor(found[what]), torch.tensor(held[what]), rtol=1e-3, atol=1e-4)
    assert [shape for shape, _ in found["saved"]] == [shape for shape, _ in held["saved"]]
    assert [norm for _, norm in found["saved"]] == pytest.approx(
        [n for _, n in held["saved"]], rel=1e-3, abs=1e-4
    )


if __name__ == "__main__":
    recorded = {}
    for case_name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            recorded[case_name] = numbers(case, Path(folder))
    FILE.write_text(json.dumps(recorded, indent=1) + "\n")
