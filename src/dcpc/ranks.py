"""The processes that a launcher (`torchrun`, `accelerate launch`) has started for one piece of work: its ranks.

Without a launcher there is one rank, and everything here is the work itself. What must be decided once is decided on
rank 0 and sent to the others; what the objective compares over the whole batch is gathered with its gradients.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import distributed_c10d
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from dcpc import launcher
from dcpc.errors import UsageError

T = TypeVar("T")

_sharing: ContextVar[bool] = ContextVar("ranks share predictions", default=False)

MEETING = timedelta(minutes=10)
"""How long the processes wait at the start until all are there."""
PATIENCE = timedelta(hours=12)
"""How long a rank then waits for the others. One that has died ends the connection at once, and the launcher ends the
rest: this is for the first rank's own work, as fitting the readout."""

_GONE = (
    "connection closed by peer",
    "connection reset by peer",
    "broken pipe",
    "gloo",
    "nccl",
    "process group",
)
"""What the messages of a torn connection say."""


def join() -> None:
    """Connect the processes that the launcher has started; nothing without one, or where they are connected.

    Raises:
        UsageError: the launcher has not said which of them this is, or they do not find each other.
    """
    if launcher.processes() == 1 or dist.is_initialized():
        return
    if missing := [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]:
        raise UsageError(
            f"WORLD_SIZE says that {launcher.processes()} processes were started, but {missing[0]} is not set.",
            fix="Start them with torchrun or accelerate launch; for a single one, unset WORLD_SIZE.",
        )
    from accelerate import PartialState

    try:
        with launcher.without_engine():  # DeepSpeed's way to connect them compiles for minutes
            PartialState(cpu=not torch.accelerator.is_available(), timeout=MEETING)
        distributed_c10d._set_pg_timeout(PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"the {launcher.processes()} processes do not find each other: {' '.join(str(error).split())[:200]}",
            fix="Look at the launcher's address and port of the first machine.",
        ) from error


def count() -> int:
    """Connected ranks."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def number() -> int:
    """This process among them, from 0."""
    return dist.get_rank() if count() > 1 else 0


def is_first() -> bool:
    """Whether this is the rank that decides, writes and speaks."""
    return number() == 0


def once(work: Callable[[], T]) -> T:
    """What `work` gives on the first rank, on all of them."""
    if count() == 1:
        return work()
    done: list[Any] = [work() if is_first() else None]
    dist.broadcast_object_list(done, src=0, device=device())
    return done[0]


def in_step(work: Iterable[T]) -> Iterator[tuple[T, bool]]:
    """This rank's share of some pieces of work, such as batches, and whether each is its own to count.

    Every rank gets as many pieces as the others, since a pass may be work of all of them; one that has none left gets
    the first of that turn, which is another's.

    Args:
        work: the same on every rank.
    """
    turn: list[T] = []
    for piece in work:
        turn.append(piece)
        if len(turn) == count():
            yield turn[number()], True
            turn = []
    if turn:
        yield (turn[number()], True) if number() < len(turn) else (turn[0], False)


def on_first(own: T) -> list[T] | None:
    """What every rank has, in their order, on the first one; None on the others."""
    if count() == 1:
        return [own]
    parts: list[Any] | None = [None] * count() if is_first() else None
    dist.gather_object(own, parts, dst=0)
    return parts


def is_torn(error: BaseException) -> bool:
    """Whether an error is the end of a connection to a rank that is gone."""
    if count() == 1:
        return False
    if isinstance(error, dist.DistError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _GONE)


def gathered(rows: Tensor, counts: Sequence[int]) -> Tensor:
    """The rows of all ranks, one rank after the other, with their gradients.

    Every rank must compute the same loss of what it gets. Then the gradient of a rank's own rows is the same
    everywhere, no gradient needs to be sent, and it counts as often as there are ranks, of which gradients that are
    shared are the mean.

    Args:
        rows: [n, …] of this rank.
        counts: n of every rank.
    """
    return rows if count() == 1 else _Gather.apply(rows, tuple(counts))


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: tuple[int, ...]) -> Tensor:
        ctx.counts = counts
        return _all_rows(rows, counts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        own = gradients[0].split(list(ctx.counts))[number()]
        return own * len(ctx.counts), None


def _all_rows(rows: Tensor, counts: Sequence[int]) -> Tensor:
    most = max(counts)
    sent = rows.new_zeros(most, *rows.shape[1:])
    sent[: len(rows)] = rows.detach()
    parts = [torch.empty_like(sent) for _ in counts]
    dist.all_gather(parts, sent)
    return torch.cat([part[:n] for part, n in zip(parts, counts, strict=True)])


def from_first(tensor: Tensor) -> Tensor:
    """The first rank's tensor, on all of them; their own must be of the same shape."""
    if count() > 1:
        dist.broadcast(tensor, src=0)
    return tensor


def total(values: Sequence[float]) -> list[float]:
    """Sums over the ranks, in double precision."""
    if count() == 1:
        return list(values)
    sums = torch.tensor(values, dtype=torch.float64, device=device())
    dist.all_reduce(sums)
    return [float(value) for value in sums]


@contextmanager
def sharing() -> Iterator[None]:
    """A block in which all ranks do the same in the same order, so that predictions are split among them.

    Outside of it each rank predicts by itself: a script may do so on one rank alone.
    """
    token = _sharing.set(True)
    try:
        yield
    finally:
        _sharing.reset(token)


def together() -> bool:
    """Whether this is within `sharing`."""
    return _sharing.get()


def summed(parts: np.ndarray) -> np.ndarray:
    """Within `sharing` the sum over the ranks of what each has of an array, zero elsewhere, in place."""
    if _sharing.get() and count() > 1:
        whole = torch.from_numpy(parts).to(device())
        dist.all_reduce(whole)
        parts[...] = whole.cpu().numpy()
    return parts


def mesh() -> DeviceMesh:
    """All ranks in a row, over which weights may be split."""
    return init_device_mesh(device().type, (count(),))


def device() -> torch.device:
    """Where tensors must be that the ranks send each other."""
    if "nccl" in dist.get_backend():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
