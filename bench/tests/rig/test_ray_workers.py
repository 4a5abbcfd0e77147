"""Cells on Ray are those of a run without it, also where a process is killed; skipped where Ray is not installed."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from benchmark_helpers import same_records
from fake_methods import FakeMethod, fake_suite, install

from dcpc import ray_cluster
from dcpc.errors import TrainingError, UsageError
from dcpc_bench import methods
from dcpc_bench.rig import ray_workers
from dcpc_bench.rig.jobs import jobs
from dcpc_bench.rig.run_job import run_job
from dcpc_bench.rig.runner import run_suite
from dcpc_bench.rig.store import Record

SMALL: dict[str, Any] = {"seeds": 1, "conditions": ["budget=1"], "methods": ["a", "b", "c"]}
NAMES = ("a", "b", "c")
DIES = ("cell", "generated-reviews", "budget=1", "c", 0)


def job_of_a_fake(mark: Path, job: Any, *rest: Any) -> list[Record]:
    """`run_job` in a process that knows the methods of these tests; some are killed amid their work.

    The first attempt at the cell of `b` is, and every attempt at that of `c`.

    Args:
        mark: gets a line for each of these.
        job: to be run.
        *rest: as for `run_job`.
    """
    methods.METHODS = {name: FakeMethod(name) for name in NAMES}
    if job.kind == "cell" and job.method in ("b", "c"):
        before = mark.read_text().split() if mark.exists() else []
        with mark.open("a") as file:
            file.write(f"{job.method}\n")
        if job.method == "c" or "b" not in before:
            os.kill(os.getpid(), signal.SIGKILL)
    return run_job(job, *rest)


def test_killed_processes_are_started_again_and_the_records_are_those_of_a_calm_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # where its processes find this file
    install(monkeypatch, *map(FakeMethod, NAMES))
    monkeypatch.setattr(ray_cluster, "RETRIES", 1)
    monkeypatch.setattr(ray_workers, "run_job", partial(job_of_a_fake, tmp_path / "mark"))
    found = run_suite(fake_suite(**SMALL), tmp_path / "ray", ray="local", workers=2, progress=False)
    calm = run_suite(fake_suite(**SMALL), tmp_path / "calm", workers=0, progress=False)
    assert sorted((tmp_path / "mark").read_text().split()) == ["b", "b", "c", "c"]
    failed = found.pop(DIES)
    assert failed["status"] == "failed"
    assert "its process ended without a result, 2 times" in failed["reason"]
    assert same_records(found, {key: record for key, record in calm.items() if key != DIES})
    # A second command, without any Ray, runs the failed cell alone.
    again = run_suite(fake_suite(**SMALL), tmp_path / "ray", workers=0, retry_failed=True, progress=False)
    assert same_records(again, calm)


def test_a_machine_that_lacks_something_ends_the_command_instead_of_making_a_record() -> None:
    exceptions = pytest.importorskip("ray.exceptions")

    def lacking(reference: object) -> None:
        raise exceptions.RayTaskError("work", "ModuleNotFoundError: dcpc_bench", ImportError("dcpc_bench"))

    ray = SimpleNamespace(get=lacking, exceptions=exceptions)
    job = ray_workers.RayJob(ray, None, jobs(fake_suite(**SMALL))[0], fake_suite(**SMALL), claim=-1)
    with pytest.raises(TrainingError, match=r"cannot begin a job: .*dcpc_bench"):
        job.result()


def test_without_ray_it_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    install(monkeypatch, *map(FakeMethod, NAMES))
    with pytest.raises(UsageError, match="which is not installed"):
        run_suite(fake_suite(**SMALL), tmp_path, ray="local", progress=False)
