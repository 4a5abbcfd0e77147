"""Work in two processes that find each other as under `torchrun`, without its start-up time."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from torch.distributed import TCPStore

PATIENCE = 120.0
"""Seconds after which the processes are killed, and the test fails."""


class Ended(NamedTuple):
    """How a process ended: its exit code (minus the signal's number) and what it wrote."""

    code: int
    out: str
    err: str


def on_ranks(folder: Path, work: Callable[..., None], *arguments: Any, ranks: int = 2) -> list[Ended]:
    """Run a function of a module in so many processes; none of them is left behind.

    Args:
        folder: for what they write on their standard streams.
        work: called alike in each.
        *arguments: of it.
        ranks: number of processes.
    """
    if sys.platform != "linux":
        pytest.skip("processes are forked from a server, as Linux can")
    context = get_context("forkserver")
    context.set_forkserver_preload(["dcpc.fit", "transformers.models.bert.modeling_bert", "dcpc.cli.train"])
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=60))
    folder.mkdir(parents=True, exist_ok=True)
    processes = [
        context.Process(target=_work, args=(rank, ranks, store.port, folder, work, arguments))
        for rank in range(ranks)
    ]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join(PATIENCE)
        assert all(process.exitcode is not None for process in processes), "a process does not end"
    finally:
        for process in processes:
            process.kill()
            process.join()
    return [
        Ended(process.exitcode, *((folder / f"{rank}.{name}").read_text() for name in ("out", "err")))
        for rank, process in enumerate(processes)
    ]


def _work(
    rank: int, ranks: int, port: int, folder: Path, work: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
    for number, name in ((1, "out"), (2, "err")):
        with (folder / f"{rank}.{name}").open("w") as file:
            os.dup2(file.fileno(), number)
    code = 0
    try:
        work(*arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
