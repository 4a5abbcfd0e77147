"""A command that a launcher has started several times: the first process speaks, and of those that fail one."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from dcpc import launcher
from dcpc.errors import UsageError

_SOON = timedelta(seconds=5)


@contextmanager
def one_voice() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Within the block all processes but the first are silent.

    Yields:
        A function that lets a process say why it ends. It does where no other has: what fails everywhere is said
        once, and a process that only ends because another one did is not heard. One that is not the first also says
        which it is.
    """
    if launcher.processes() == 1:
        yield lambda say: say()
        return
    # Before torch is loaded: it else prints the frames of its own code when a connection ends.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    before = sys.stdout, sys.stderr

    def last_words(say: Callable[[], None]) -> None:
        if not _is_first_to_say():
            return
        silent = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = before
        try:
            say()
            if launcher.process():
                who = f"rank {launcher.process()} of {launcher.processes()}, on {platform.node()}"
                print(f"  (Said by {who}.)", file=sys.stderr)
            sys.stderr.flush()
        finally:
            sys.stdout, sys.stderr = silent

    with open(os.devnull, "w") as nowhere:
        if launcher.process():
            sys.stdout = sys.stderr = nowhere
        try:
            yield last_words
        finally:
            sys.stdout, sys.stderr = before


def check_alone(command: str) -> None:
    """Refuse several processes for a command that would do the same work, and write the same file, in each.

    Raises:
        UsageError: there are several.
    """
    if (n := launcher.processes()) > 1:
        raise UsageError(
            f"{command} was started as {n} processes, and it works in one.",
            fix="Start it without torchrun and accelerate launch.",
        )


def _is_first_to_say() -> bool:
    """Ask the launcher's store; where it cannot be asked, better twice than never."""
    try:
        from torch.distributed import TCPStore

        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=_SOON)
        return store.add(f"dcpc: said, attempt {launcher.attempt()}", 1) == 1
    except (RuntimeError, ValueError, KeyError, ImportError):
        return True
