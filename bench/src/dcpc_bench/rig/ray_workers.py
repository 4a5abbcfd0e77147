"""Jobs on Ray, on this machine or a cluster: the command holds their claims and writes, Ray's processes compute.

Machines of a cluster need the same `dcpc` and `dcpc_bench`, and the data at the same path; results go to the machine
of the command. A process that is killed, or whose machine goes away, is started again elsewhere.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dcpc import ray_cluster
from dcpc.errors import TrainingError
from dcpc.ray_cluster import RayCluster
from dcpc_bench.rig.jobs import Job
from dcpc_bench.rig.run_job import failure, run_job
from dcpc_bench.rig.store import Record
from dcpc_bench.rig.suite import Suite


class RayPool:
    """Processes of a Ray cluster.

    Args:
        address: `local` starts a Ray of this machine alone, which ends with the command; `auto`, or the address of a
            cluster, joins one that is there.
        suite, data_folder: as for `run_job`.
        at_a_time: most jobs that run at once; None for as many as the cluster has room for.

    Attributes:
        slots: how many run at once.

    Raises:
        UsageError: Ray is not installed, or there is no such cluster.
    """

    def __init__(self, address: str, suite: Suite, data_folder: Path | None, at_a_time: int | None) -> None:
        self._suite, self._folder = suite, data_folder
        threads = suite.training.threads
        self._cluster = RayCluster(address, threads=threads, at_a_time=at_a_time, install="dcpc-bench[ray]")
        self.slots = self._cluster.slots
        # One job a process, as its peak memory is measured.
        self._remote = self._cluster.remote(_work, max_calls=1)

    def launch(self, job: Job, setting: dict[str, Any] | None, claim: int) -> RayJob:
        """Start a job.

        Args:
            job: to be run.
            setting: what the search chose, for a cell.
            claim: file descriptor of the job's claim, closed when the job is done.
        """
        reference = self._remote.remote(run_job, job, self._suite, self._folder, setting)
        return RayJob(self._cluster.ray, reference, job, self._suite, claim)

    def ready(self, running: Iterable[RayJob], timeout: float) -> list[RayJob]:
        """Those of some jobs that have ended, after a wait for the first."""
        by_reference = {each.reference: each for each in running}
        ended, _ = self._cluster.ray.wait(list(by_reference), num_returns=1, timeout=timeout)
        return [by_reference[reference] for reference in ended]

    def close(self) -> None:
        """Leave the cluster; a local one ends."""
        self._cluster.close()


class RayJob:
    """One job on its way.

    Args:
        ray: the package.
        reference: of its result.
        job, suite: as for `run_job`.
        claim: closed when it is done.
    """

    def __init__(self, ray: Any, reference: Any, job: Job, suite: Suite, claim: int) -> None:
        self.job, self.reference = job, reference
        self._ray, self._suite, self._claim, self._started = ray, suite, claim, time.perf_counter()

    def result(self) -> list[Record]:
        """The job's records, once it has ended.

        Raises:
            TrainingError: somebody has cancelled it, or its machine lacks something; that is no result.
        """
        try:
            return self._ray.get(self.reference)
        except self._ray.exceptions.TaskCancelledError:
            raise TrainingError("a job was cancelled.", fix="Give the same command to go on.") from None
        except self._ray.exceptions.RayTaskError as error:
            # What goes wrong within a job is a record: this came before it, as a package that is missing.
            reason = " ".join(str(error).split())[-300:]
            raise TrainingError(
                f"a process of the cluster cannot begin a job: {reason}",
                fix="Install the same dcpc and dcpc-bench on every machine, and give the same command to go on.",
            ) from None
        except self._ray.exceptions.RayError as error:
            reason = " ".join(str(error).split())[:300]
            times = ray_cluster.RETRIES + 1
            why = f"its process ended without a result, {times} times ({type(error).__name__}: {reason})"
            return [failure(self.job, self._suite, why, time.perf_counter() - self._started)]

    def close(self) -> None:
        """Stop the job where it still runs, and end the claim."""
        self._ray.cancel(self.reference, force=True)
        os.close(self._claim)


def _work(
    run: Any, job: Job, suite: Suite, data_folder: Path | None, setting: dict[str, Any] | None
) -> list[Record]:
    import torch

    torch.set_num_threads(suite.training.threads)
    return run(job, suite, data_folder, setting)
