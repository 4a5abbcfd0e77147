"""Run what is missing of a suite, share the work with others on the same store, write the results."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tqdm import tqdm

import dcpc
from dcpc.names import check_name
from dcpc_bench.rig.cell_data import cell_data
from dcpc_bench.rig.jobs import Job, jobs
from dcpc_bench.rig.plan import open_plan
from dcpc_bench.rig.rerun import begin_rerun, check_rerun, end_rerun
from dcpc_bench.rig.run_job import failure, run_job
from dcpc_bench.rig.sources import load_source
from dcpc_bench.rig.store import Key, Record, Store
from dcpc_bench.rig.suite import Suite, check_names
from dcpc_bench.rig.workers import ProcessPool, Worker

if TYPE_CHECKING:
    from dcpc_bench.rig.ray_workers import RayJob, RayPool

_PATIENCE = 0.5
"""Seconds between looks at the store while others do what is left."""


def run_suite(
    suite: Suite,
    output: Path,
    *,
    data_folder: Path | None = None,
    workers: int | None = 1,
    ray: str | None = None,
    retry_failed: bool = False,
    rerun: Collection[str] = (),
    progress: bool = True,
) -> dict[Key, Record]:
    """Run every cell that `output` does not hold yet; stop it anywhere and call it again to go on.

    Several calls, on one machine or on several that share a file system with locks, may work on one folder.

    Args:
        suite: what to compare.
        output: the store's folder.
        data_folder: where the suite's data sets lie.
        workers: cells at a time, each in a process of its own; 0 runs them in this process, one at a time. None is
            one, or with `ray` as many as the cluster has room for.
        ray: run the processes on Ray, `local` or the address of a cluster; see `dcpc_bench.rig.ray_workers`.
        retry_failed: run failed searches and cells again.
        rerun: methods of which all records are dropped first; not again where such a command was stopped.
        progress: show a progress bar.

    Returns:
        All records of the store, by key.

    Raises:
        UsageError: an unknown name, a data set that is not there, a folder with another benchmark, or no Ray.
        DataError: a data set that cannot be read or is too small to split.
        TrainingError: the disk is full.
    """
    for name in rerun:
        check_name(name, suite.methods, "method")
    check_suite(suite, data_folder)
    store = Store(output)
    open_plan(store, suite, data_folder)
    check_rerun(store, rerun)
    begin_rerun(store, rerun)
    if retry_failed:
        store.drop(lambda record: record.get("status") == "failed")
    pool = _pool(suite, data_folder, store.folder / "workers.log", workers, ray)
    run = _Run(store, suite, data_folder, pool)
    try:
        run.finish(progress)
    finally:
        run.stop()
    end_rerun(store, rerun)
    return store.records()


def _pool(
    suite: Suite, data_folder: Path | None, log: Path, workers: int | None, ray: str | None
) -> ProcessPool | RayPool | None:
    """Where jobs run; None for this process."""
    if ray is not None:
        from dcpc_bench.rig.ray_workers import RayPool

        return RayPool(ray, suite, data_folder, workers)
    return None if workers == 0 else ProcessPool(suite, data_folder, log, workers or 1)


def check_suite(suite: Suite, data_folder: Path | None) -> None:
    """Find mistakes before any work: names, data that are not there, sets that are too small to split."""
    check_names(suite)
    for dataset in suite.datasets:
        source = load_source(dataset, data_folder)
        conditions = suite.conditions_of(dataset)
        budgets = [c for c in conditions if c.startswith("budget")]
        groups = [c for c in conditions if c.startswith("group")]
        for condition in [*(budgets or ["clean"])[:1], *groups]:
            cell_data(source, dataset, condition, 0, suite)


class _Run:
    """The work of one command: which jobs are left, and which run right now."""

    def __init__(
        self, store: Store, suite: Suite, data_folder: Path | None, pool: ProcessPool | RayPool | None
    ) -> None:
        self._store, self._suite, self._folder, self._pool = store, suite, data_folder, pool
        self._commit = commit()
        self._pending = jobs(suite)
        self._running: dict[Job, Worker | RayJob] = {}

    def finish(self, progress: bool) -> None:
        """Work until every cell has a record, whoever made it."""
        tqdm.monitor_interval = 0  # no thread of its own beside forked processes
        total, there = len(self._pending), self._store.records()
        done = sum(job.key in there for job in self._pending)
        # `miniters`: without that thread the bar would wait for as many cells as it last saw at once.
        with tqdm(
            total=total, initial=done, miniters=1, desc="benchmark", unit="cell", disable=not progress
        ) as bar:
            while True:
                records = self._store.records()
                self._pending = [job for job in self._pending if job.key not in records]
                bar.update(total - len(self._pending) - bar.n)
                started = self._start()
                if not self._pending and not self._running:
                    return
                if self._running:
                    self._collect(bar)
                elif not started:
                    time.sleep(_PATIENCE)

    def stop(self) -> None:
        """End what still runs; its jobs are free for the next command."""
        for worker in self._running.values():
            worker.close()
        if self._pool is not None:
            self._pool.close()

    def _start(self) -> bool:
        """Claim and start jobs while there are free workers; whether any was started."""
        any_started = False
        refused: set[Job] = set()
        for cell in self._pending:
            if len(self._running) >= (1 if self._pool is None else self._pool.slots):
                break
            records = self._store.records()
            search = records.get(cell.search.key)
            job = cell.search if search is None else cell
            if job in refused or job in self._running or job.key in records:
                continue
            claim = self._store.claim(job.key)
            if claim is None:
                refused.add(job)
            elif job.key in self._store.records():  # somebody finished it before this claim
                os.close(claim)
            else:
                self._launch(job, search, claim)
                any_started = True
        return any_started

    def _launch(self, job: Job, search: Record | None, claim: int) -> None:
        setting = None if search is None else search["setting"]
        failed = None
        if search is not None and search["status"] == "failed":
            failed = search["reason"]
            if search["condition"] != job.condition:
                failed = f"no setting was found in {search['condition']}: {failed}"
        if self._pool is not None and failed is None:
            self._running[job] = self._pool.launch(job, setting, claim)
            return
        try:
            if failed is None:
                self._keep(run_job(job, self._suite, self._folder, setting))
            else:
                self._keep([failure(job, self._suite, failed)])
        finally:
            os.close(claim)  # however it ended: the next command of this process may take it

    def _collect(self, bar: tqdm) -> None:
        assert self._pool is not None  # else nothing runs beside this process
        for worker in self._pool.ready(cast(Any, self._running.values()), timeout=5):
            job = worker.job
            self._keep(worker.result())
            self._running.pop(job).close()
            bar.set_postfix_str(f"{job.kind} {job.dataset} {job.condition} {job.method}", refresh=False)

    def _keep(self, records: list[Record]) -> None:
        for record in records:
            self._store.append(record | ({} if record["kind"] == "split" else {"commit": self._commit}))


def commit() -> str:
    """The commit of the package where it runs from a checkout (`+` where files were changed), else its version."""
    here = Path(dcpc.__file__)
    tracked = [
        "ls-files",
        "--error-unmatch",
        here.name,
    ]  # a checkout of this package, not of what it is used in
    head, changes = ["rev-parse", "--short=12", "HEAD"], ["status", "-s", "."]
    try:
        _, found, changed = (
            subprocess.run(
                ["git", "-C", str(here.parent), *c], capture_output=True, text=True, check=True, timeout=30
            ).stdout.strip()
            for c in (tracked, head, changes)
        )
    except (OSError, subprocess.SubprocessError):
        return dcpc.__version__
    return found + ("+" if changed else "")
