"""The load test of `examples/serving.py` on the loopback device: requests a second, waiting times, wrong answers.

    python bench/benchmarks/serving.py [--requests 200] [--threads 1 8 32] [--output results/serving.jsonl]

An adapter on `minilm` (two steps of training: how long a prediction takes does not depend on what was learned) is
served by uvicorn in this process, and asked by so many threads of it, one to three short texts a request, each answer
compared with the one that a lone request got. Client and server share the processor. Rows are appended, one for each
number of threads that has none.
"""

from __future__ import annotations

import argparse
import runpy
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pandas as pd
import torch
import uvicorn
from rows import Rows

from dcpc import train_adapter
from dcpc.data import Annotations

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TEXTS = ["the film was good", "a bad meal", "the room was poor, and the story very long"]


def adapter_in(folder: Path) -> Path:
    """A small adapter, saved."""
    table = pd.DataFrame({"text": [f"{text}, {number}" for number in range(12) for text in TEXTS]})
    table["item_id"] = table.index.astype(str)
    table["annotator_id"] = [f"a{number % 3}" for number in range(len(table))]
    table["label"] = ["yes" if "good" in text else "no" for text in table["text"]]
    data = Annotations(table, ("no", "yes"))
    training = {"max_steps": 2, "use_cpu": True}
    trained = train_adapter(data, None, base_model="minilm", training=training, progress=False)
    trained.save(folder / "adapter")
    return folder / "adapter"


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The application behind a port of the loopback device; its address."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--output", type=Path, default=Path("results/serving.jsonl"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    done = Rows(arguments.output, "threads")
    load = runpy.run_path(str(EXAMPLES / "load_test.py"))["load"]
    app_of = runpy.run_path(str(EXAMPLES / "serving.py"), run_name="serving")["app"]
    with TemporaryDirectory() as folder, served(app_of(str(adapter_in(Path(folder))))) as address:
        for threads in arguments.threads:
            if (threads,) in done:
                continue
            with httpx.Client(base_url=address, timeout=600, trust_env=False) as client:
                started = time.process_time()
                found = load(client, [TEXTS[:n] for n in (1, 2, 3)], arguments.requests, threads)
            cpu_ms = 1e3 * (time.process_time() - started) / arguments.requests
            row = {"threads": threads, "requests": arguments.requests, **found, "cpu_ms": cpu_ms}
            row = {name: round(value, 4) for name, value in row.items()}
            print(row, file=sys.stdout, flush=True)
            done.add(row)


if __name__ == "__main__":
    main()
