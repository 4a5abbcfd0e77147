"""What the surroundings of a command do to it: signals that end it, terminals that know few letters or go away."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn, TextIO

_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Ended(KeyboardInterrupt):
    """A signal asked the process to end: it stops as at a Ctrl-C, and leaves nothing unfinished behind."""

    number: int = signal.SIGTERM


def exit_code(stop: KeyboardInterrupt) -> int:
    """What a shell expects of a process that was stopped: 128 and the signal's number."""
    return 128 + (stop.number if isinstance(stop, Ended) else signal.SIGINT)


@contextmanager
def ends_cleanly() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise `Ended`; a second one ends the process at once.

    A signal that somebody ignores (`nohup`) or handles stays theirs; so do all outside of the main thread.
    """
    main = threading.current_thread() is threading.main_thread()
    taken = [number for number in _ENDING if main and signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    for each in _ENDING:
        if signal.getsignal(each) is _end:
            signal.signal(each, signal.SIG_DFL)
    stop = Ended()
    stop.number = number
    raise stop


@contextmanager
def speaks_to_any_terminal() -> Iterator[None]:
    """Within the block a message costs no result: letters that a terminal lacks are written as `\\u2212`, and where
    the reader of a pipe has left, the work goes on unheard."""
    before = sys.stdout, sys.stderr
    for stream in before:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = (None if stream is None else _Unbreakable(stream) for stream in before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, _Unbreakable):
                stream.flush()  # what is still kept back would else break the interpreter's end
        sys.stdout, sys.stderr = before


class _Unbreakable:
    """A standard stream whose reader may leave."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._unheard():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._unheard():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _unheard(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            with suppress(OSError):
                self._stream.flush()
