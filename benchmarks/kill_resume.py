"""Kill `dcpc benchmark` at random moments and compare its store with that of an undisturbed run.

    python benchmarks/kill_resume.py [--suite smoke] [--kills 10] [--workers 2] FOLDER

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
        "from dcpc.cli import main; main()",
        "benchmark",
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
    if process.poll() is not None:
        return "had finished"
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
    dice = random.Random(0)
    killed = options.folder / "killed"
    for number in range(options.kills):
        process = start(options.suite, killed, options.workers)
        time.sleep(dice.uniform(0.1, 0.5) * length)
        how = kill(process, number)
        n = (
            len((killed / "records.jsonl").read_bytes().splitlines())
            if (killed / "records.jsonl").exists()
            else 0
        )
        print(f"kill {number + 1}: {how}; {n} lines", flush=True)
    code = start(options.suite, killed, options.workers).wait()
    one, other = records(options.folder / "calm"), records(killed)
    differing = [key for key in {*one, *other} if one.get(key) != other.get(key)]
    print(f"at the end: exit code {code}; {len(one)} and {len(other)} records, {len(differing)} differ")
    for key in differing:
        print(key)
    sys.exit(bool(code or differing))


if __name__ == "__main__":
    main()
