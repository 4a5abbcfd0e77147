"""Processes of a Ray cluster, on this machine or many: the extra `ray`.

Machines of a cluster need the same packages, and what is named by a path (as an encoder's folder) at the same path. A
process that is killed, or whose machine goes away, is started again elsewhere.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any

from dcpc.errors import ClusterError, DCPCError, UsageError

LOCAL = "local"
RETRIES = 2
"""Times that Ray starts a piece of work again whose process is gone."""
_WAITING = 2
"""Pieces of work that are handed out for each process: so none waits for the command, and few are in memory."""


class RayCluster:
    """A Ray that is joined until `close`, or the end of a `with`.

    Args:
        address: `local` starts a Ray of this machine alone, which ends with it; `auto`, or the address of a cluster,
            joins one that is there. Where this process has joined a Ray already, that one is taken and stays.
        threads: cores of each process.
        at_a_time: most processes at once; None for as many as there is room for.
        install: what to install where Ray is missing.

    Attributes:
        ray: the package.
        gpus: accelerators of the cluster.
        slots: processes that run at once, each with an accelerator of its own where there are any.
        processors: those that run at once of work that takes no accelerator.

    Raises:
        UsageError: Ray is not installed, or there is no such cluster.
    """

    def __init__(
        self, address: str, *, threads: int = 1, at_a_time: int | None = None, install: str = "dcpc[ray]"
    ) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it else tells its makers of every run
        require_ray(install)
        import ray

        self.ray, self.threads = ray, threads
        self._joined = not ray.is_initialized()
        if self._joined:
            self._join(address, at_a_time)
        found = ray.cluster_resources()
        self.gpus = int(found.get("GPU", 0))
        self.processors = self._slots(int(found.get("CPU", 1)) // threads, at_a_time)
        self.slots = self._slots(self.gpus, at_a_time) if self.gpus else self.processors

    def _join(self, address: str, at_a_time: int | None) -> None:
        options: dict[str, Any] = {"address": address}
        if address == LOCAL:
            options["num_cpus"] = None if at_a_time is None else at_a_time * self.threads
            options["include_dashboard"] = False
        try:
            self.ray.init(
                **options,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"env_vars": thread_settings(self.threads)},
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            fix = "Give --ray local, or the address that `ray start --head` printed."
            if os.environ.get("RAY_AUTH_MODE") != "token":  # `ray start` asks for one, and joining sends none
                fix += (
                    " A cluster that asks for a token is joined with RAY_AUTH_MODE=token before the command."
                )
            raise UsageError(
                f"Ray cannot be reached: {' '.join(str(error).split())[:200]}", fix=fix
            ) from error

    @staticmethod
    def _slots(room: int, at_a_time: int | None) -> int:
        return max(1, room if at_a_time is None else min(at_a_time, room))

    def remote(self, function: Callable[..., Any], *, gpu: bool = True, **options: Any) -> Any:
        """Ray's own remote function of `function`, started again as often as `RETRIES` says.

        Args:
            function: of a module that the processes can import.
            gpu: takes an accelerator, where there are any.
            **options: further ones of `ray.remote`.
        """
        taken = 1 if gpu and self.gpus else 0
        return self.ray.remote(num_cpus=self.threads, num_gpus=taken, max_retries=RETRIES, **options)(
            function
        )

    def put(self, value: Any) -> Any:
        """A reference to a value that goes to each machine once; an array is mapped there, not copied."""
        return self.ray.put(value)

    def in_order(
        self, function: Callable[..., Any], parts: Iterable[tuple[Any, ...]], *, gpu: bool = True
    ) -> Iterator[Any]:
        """What `function(*part)` gives for each part, in their order; few parts are asked for in advance.

        Args:
            function: of a module that the processes can import. References among its arguments are resolved.
            parts: arguments, piece by piece.
            gpu: as for `remote`.

        Raises:
            ClusterError: a process ended without a result each time it was started, or cannot begin.
            DCPCError: what the function itself raised.
        """
        remote, running = self.remote(_called, gpu=gpu), deque[Any]()
        most = _WAITING * (self.slots if gpu else self.processors)
        try:
            for part in parts:
                running.append(remote.remote(function, *part))
                if len(running) == most:
                    yield self._result(running.popleft())
            while running:
                yield self._result(running.popleft())
        finally:  # whoever stops asking wants no more of it
            for reference in running:
                self.ray.cancel(reference, force=True)

    def _result(self, reference: Any) -> Any:
        try:
            return self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, DCPCError):
                raise error.cause from None
            reason = " ".join(str(error).split())[-300:]
            raise ClusterError(
                f"a process of the cluster cannot do its part: {reason}",
                fix="Install the same dcpc, with the same extras, on every machine.",
            ) from None
        except self.ray.exceptions.RayError as error:
            reason = " ".join(str(error).split())[:300]
            raise ClusterError(
                f"a process of the cluster ended without a result, {RETRIES + 1} times "
                f"({type(error).__name__}: {reason})",
                fix="Look at the machines' memory (`ray status`), and give the same command to go on.",
            ) from None

    def close(self) -> None:
        """Leave the cluster; a local one ends."""
        if self._joined:
            self.ray.shutdown()

    def __enter__(self) -> RayCluster:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def joined(address: str | None) -> AbstractContextManager[RayCluster | None]:
    """The cluster at an address, for a `with`; None for no address.

    Raises:
        UsageError: as for `RayCluster`.
    """
    return nullcontext() if address is None else RayCluster(address)


def require_ray(install: str = "dcpc[ray]") -> None:
    """Refuse to go on without the package.

    Args:
        install: what to install.

    Raises:
        UsageError: Ray is not installed.
    """
    if find_spec("ray") is None:
        raise UsageError(
            "--ray needs the package ray, which is not installed.", fix=f"pip install '{install}'"
        )


def thread_settings(threads: int) -> dict[str, str]:
    """Environment of processes that share the cores: so many threads each, whatever library they use."""
    return {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
    }
