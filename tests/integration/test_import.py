"""`import dcpc` is quick, and PEFT knows the method in whatever order the two are imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FROM_PEFT = "from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING"
KNOWN = "assert PEFT_TYPE_TO_TUNER_MAPPING['DCPC'].__name__ == 'DCPCModel'"

IN_FORKS = """
import json, os, sys, traceback
import torch, transformers.modeling_utils
assert not {"dcpc", "peft"} & set(sys.modules)
ended = {}
for name, program in json.loads(sys.argv[1]).items():
    child = os.fork()
    if child == 0:
        try:
            exec(program, {})
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    ended[name] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(ended))
"""


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


ORDERS = {
    "dcpc first": ["import dcpc", FROM_PEFT],
    "peft first": [FROM_PEFT, "import dcpc"],
    "peft through the Trainer": ["import dcpc", "from transformers import Trainer", FROM_PEFT],
    "in a forked worker": [
        "import dcpc, os",
        "worker = os.fork()",
        "if worker == 0:",
        f"    {FROM_PEFT}",
        f"    {KNOWN}",
        "    os._exit(0)",
        "assert os.waitpid(worker, 0)[1] == 0",
        FROM_PEFT,
    ],
}


@pytest.fixture(scope="module")
def ended() -> dict[str, int]:
    """How a process of each order ends; all are forked from one that knows torch and transformers alone."""
    if not hasattr(os, "fork"):
        pytest.skip("processes cannot be forked here")
    programs = {name: "\n".join([*first, KNOWN]) for name, first in ORDERS.items()}
    done = subprocess.run(
        [sys.executable, "-c", IN_FORKS, json.dumps(programs)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("order", ORDERS)
def test_peft_knows_the_method(order: str, ended: dict[str, int]) -> None:
    assert ended[order] == 0


def test_peft_knows_the_method_in_a_spawned_worker(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    lines = [
        "import dcpc, multiprocessing",
        "def work():",
        f"    {FROM_PEFT}",
        f"    {KNOWN}",
        "if __name__ == '__main__':",
        "    worker = multiprocessing.get_context('spawn').Process(target=work)",
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
