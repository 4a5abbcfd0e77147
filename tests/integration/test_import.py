"""`import dcpc` is quick, and PEFT knows the method in whatever order the two are imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FROM_PEFT = "from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING"
KNOWN = "assert PEFT_TYPE_TO_TUNER_MAPPING['DCPC'].__name__ == 'DCPCModel'"


def run(*lines: str) -> None:
    """Run lines in a fresh Python."""
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_neither_the_package_nor_its_help_loads_torch() -> None:
    run(
        "import sys, dcpc, dcpc.cli",
        "try: dcpc.cli.main(['train', '--help'])",
        "except SystemExit as stop: assert not stop.code",
        "assert not {'torch', 'transformers', 'peft'} & set(sys.modules)",
        "assert dcpc.__version__",
    )


@pytest.mark.parametrize(
    "first",
    [
        ["import dcpc", FROM_PEFT],
        [FROM_PEFT, "import dcpc"],
        ["import dcpc", "from transformers import Trainer", FROM_PEFT],
    ],
    ids=["dcpc first", "peft first", "peft through the Trainer"],
)
def test_peft_knows_the_method(first: list[str]) -> None:
    run(*first, KNOWN)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_peft_knows_the_method_in_workers(tmp_path: Path, start: str) -> None:
    script = tmp_path / "script.py"
    lines = [
        "import dcpc, multiprocessing",
        "def work():",
        f"    {FROM_PEFT}",
        f"    {KNOWN}",
        "if __name__ == '__main__':",
        f"    worker = multiprocessing.get_context('{start}').Process(target=work)",
        "    worker.start(); worker.join()",
        "    raise SystemExit(worker.exitcode)",
    ]
    script.write_text("\n".join(lines))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_name_that_does_not_exist_is_no_attribute() -> None:
    import dcpc

    with pytest.raises(AttributeError, match="DCPCThing"):
        _ = dcpc.DCPCThing
