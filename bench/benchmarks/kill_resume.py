"""Kill `dcpc-bench run` at random moments and compare its store with that of an undisturbed run.

    python bench/benchmarks/kill_resume.py [--suite smoke] [--kills 10] [--workers 2] FOLDER

Half of the kills end every process of the run at once (SIGKILL to its session, as a power cut would), the others only
the command itself (SIGKILL and SIGTERM in turn; its workers have to notice). Records have to be equal but for what
they cost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

COST = ("seconds", "memory_mib", "commit")


def start(suite: str, output: Path, workers: int) -> subprocess.Popen:
    command = [
        "-c",
        "from dcpc_bench.cli import main; main()",
        "run",
        suite,
        "--output",
        str(output),
        "--workers",
        str(workers),
    ]
    return subprocess.Popen(
        [sys.executable, *command],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def records(folder: Path) -> dict[str, dict]:
    found: dict[str, dict] = {}
    for line in (folder / "records.jsonl").read_text().splitlines():
        record = json.loads(line)
        key = json.dumps([record.get(f) for f in ("kind", "dataset", "condition", "method", "seed")])
        assert key not in found, f"{key} is there twice"
        found[key] = {f: v for f, v in record.items() if f not in COST}
    return found


def kill(process: subprocess.Popen, number: int) -> str:
    if number % 2 == 0:
        os.killpg(process.pid, signal.SIGKILL)
        how = "all processes, SIGKILL"
    else:
        which = signal.SIGKILL if number % 4 == 1 else signal.SIGTERM
        process.send_signal(which)
        how = f"the command, {which.name}"
    process.wait()
    return how


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--suite", default="smoke")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    started = time.perf_counter()
    code = start(options.suite, options.folder / "calm", options.workers).wait()
    length = time.perf_counter() - started
    print(f"undisturbed: exit code {code}, {length:.0f} s", flush=True)
    dice, kills, differing = random.Random(0), 0, 0
    calm = records(options.folder / "calm")
    for round in range(options.kills):
        if kills == options.kills:
            break
        killed = options.folder / f"killed-{round}"
        while True:  # until this store is complete
            process = start(options.suite, killed, options.workers)
            try:
                code = process.wait(dice.uniform(0.05, 0.5) * length if kills < options.kills else None)
                break
            except subprocess.TimeoutExpired:
                how, kills = kill(process, kills), kills + 1
            path = killed / "records.jsonl"
            n = len(path.read_bytes().splitlines()) if path.exists() else 0
            print(f"kill {kills}: {how}; {n} lines", flush=True)
        found = records(killed)
        different = [key for key in {*calm, *found} if calm.get(key) != found.get(key)]
        differing += len(different)
        print(
            f"{killed.name}: exit code {code}, {len(found)} records of {len(calm)}, {len(different)} differ",
            *different, sep="\n", flush=True,
        )  # fmt: skip
    sys.exit(bool(differing or kills < options.kills))


if __name__ == "__main__":
    main()
