"""Fixtures of both distributions' tests. Everything runs offline, on the CPU, with one thread per worker."""

from __future__ import annotations

import gc
import os
import re
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # set it to run the tests on a GPU
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import hypothesis
import pytest
from transformers import set_seed

# A busy machine is no defect.
hypothesis.settings.register_profile(
    "dcpc", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("dcpc")

SHARED_DATA = Path(__file__).resolve().parents[1] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the project; tests that need it are skipped where it is missing."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the shared data sets are not on this machine")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def same_random_state() -> None:
    """Every test starts from one random state, so that none depends on those before it on its worker."""
    set_seed(0)


def pytest_collection_finish() -> None:
    """What the imports made stays: every training ends with a full collection, which need not look at it."""
    gc.collect()
    gc.freeze()


_GENERATED = re.compile(r"(\d+) passing(?: test cases| examples)?, (\d+) failing.*?(\d+) invalid")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many inputs property tests have tried in this run, whatever pytest's other options are."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    told = [stats for report in reports if (stats := getattr(report, "_hypothesis_stats", None))]
    found = [tuple(map(int, counts)) for stats in told for counts in _GENERATED.findall(stats)]
    if found:
        passed, failed, invalid = map(sum, zip(*found, strict=True))
        terminalreporter.write_line(
            f"Generated inputs: {passed + failed:,} tried by {len(told):,} property tests, {failed:,} failed; "
            f"{invalid:,} more were of no use."
        )
