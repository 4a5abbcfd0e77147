"""Tasks in processes of their own, so that memory is measured per job and a crash takes nothing else with it.

Processes are forked from a server that has imported everything a training needs and run nothing yet: they start in
milliseconds. Each ends by itself when the command that started it is gone, however that was ended.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, cast

from tqdm import tqdm

from dcpc.errors import TrainingError
from dcpc.ray_cluster import thread_settings
from dcpc_bench.rig.device import keep_one_gpu
from dcpc_bench.rig.jobs import Job
from dcpc_bench.rig.run_job import failure, run_job
from dcpc_bench.rig.store import Record
from dcpc_bench.rig.suite import Suite

_PRELOADED = [
    "dcpc_bench.methods",
    "dcpc.prediction",
    "dcpc.fit",
    "transformers.models.bert.modeling_bert",
]
_ORPHAN_CHECK = 0.5
"""Seconds between looks at whether the starting command is still there."""


class ProcessPool:
    """Processes of this machine.

    Args:
        suite, data_folder: as for `run_job`.
        log: file that takes what libraries print.
        slots: how many run at once.
    """

    def __init__(self, suite: Suite, data_folder: Path | None, log: Path, slots: int) -> None:
        self.slots = slots
        self._suite, self._folder, self._log = suite, data_folder, log
        self._numbers: set[int] = set()

    def launch(self, job: Job, setting: dict[str, Any] | None, claim: int) -> Worker:
        """Start a job.

        Args:
            job: to be run.
            setting: what the search chose, for a cell.
            claim: file descriptor of the job's claim, closed when the job is done.
        """
        number = min(set(range(self.slots)) - self._numbers)
        self._numbers.add(number)
        return Worker(
            job,
            self._suite,
            self._folder,
            setting,
            log=self._log,
            claim=claim,
            number=number,
            ended=self._numbers.discard,
        )

    def ready(self, running: Iterable[Worker], timeout: float) -> list[Worker]:
        """Those of some jobs that have ended, after a wait for the first."""
        by_output = {worker.output: worker for worker in running}
        return [by_output[cast(Any, output)] for output in wait(list(by_output), timeout=timeout)]

    def close(self) -> None:
        """Nothing stays."""


class Worker:
    """One job in a process of its own.

    Args:
        job, suite, data_folder, setting: as for `run_job`.
        log: file that takes what libraries print.
        claim: file descriptor of the job's claim, closed when the job is done.
        number: none that another running worker of the command has; chooses the GPU where there are several.
        ended: told the number when it is free again.
    """

    def __init__(
        self,
        job: Job,
        suite: Suite,
        data_folder: Path | None,
        setting: dict[str, Any] | None,
        *,
        log: Path,
        claim: int,
        number: int,
        ended: Callable[[int], None] = lambda number: None,
    ) -> None:
        self.job, self.number, self._ended = job, number, ended
        self._suite, self._claim, self._started = suite, claim, time.perf_counter()
        method = "forkserver" if sys.platform == "linux" else "spawn"
        context: Any = get_context(method)
        if method == "forkserver":
            context.set_forkserver_preload(_PRELOADED)
        self.output, theirs = context.Pipe(duplex=False)
        arguments = (theirs, job, suite, data_folder, setting, log, number, os.getpid())
        self._process = context.Process(target=_work, args=arguments)
        with _single_threaded(suite.training.threads):
            self._process.start()
        theirs.close()

    def result(self) -> list[Record]:
        """The job's records, once `output` is ready.

        Raises:
            TrainingError: somebody asked the process to stop; that is no result.
        """
        try:
            records = self.output.recv()
        except (EOFError, OSError):  # ended before it sent its records, or amid them
            self._process.join()
            code = self._process.exitcode or 0
            if code in (-signal.SIGTERM, -signal.SIGINT):
                raise TrainingError("a worker was stopped.", fix="Give the same command to go on.") from None
            how = f"signal {-code}; was the memory full?" if code < 0 else f"exit code {code}"
            seconds = time.perf_counter() - self._started
            records = [failure(self.job, self._suite, f"the process ended without a result ({how})", seconds)]
        self._process.join()
        return records

    def close(self) -> None:
        """Stop the process where it still runs, and end the claim."""
        self._process.kill()
        self._process.join()
        self.output.close()
        os.close(self._claim)
        self._ended(self.number)


def _work(
    output: Connection,
    job: Job,
    suite: Suite,
    data_folder: Path | None,
    setting: dict[str, Any] | None,
    log: Path,
    number: int,
    command: int,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the starting command decides what a Ctrl-C stops
    threading.Thread(target=_end_with, args=(command,), daemon=True).start()
    with (
        suppress(OSError),
        log.open("ab") as file,
    ):  # the log is for curiosity; a full disk must not fail here
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    import torch

    # The default lock of progress bars is shared between processes: killed amid a job, it would outlive this one.
    tqdm.set_lock(threading.RLock())
    keep_one_gpu(number)
    torch.set_num_threads(suite.training.threads)
    output.send(run_job(job, suite, data_folder, setting))


def _end_with(command: int) -> None:
    # The parent is multiprocessing's fork server, which was seen to outlive the command that started it.
    parent = os.getppid()
    while os.getppid() == parent and _runs(command):
        time.sleep(_ORPHAN_CHECK)
    os._exit(1)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


class _single_threaded:
    """The environment of `thread_settings` for the length of a block."""

    def __init__(self, threads: int) -> None:
        self._new = thread_settings(threads)

    def __enter__(self) -> None:
        self._old = {name: os.environ.get(name) for name in self._new}
        os.environ.update(self._new)

    def __exit__(self, *exception: object) -> None:
        for name, value in self._old.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
