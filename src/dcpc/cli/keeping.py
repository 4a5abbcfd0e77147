"""What a training leaves behind, however it ends: its output alone, or checkpoints and word of how to go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dcpc.errors import DCPCError, OutputError, TrainingError
from dcpc.files import is_full

if TYPE_CHECKING:
    from dcpc.training.checkpoints import Checkpoints


@contextmanager
def sole(checkpoints: Checkpoints, output: Path, force: bool) -> Iterator[None]:
    """A block in which no other training writes to this output; the first process sees to it."""
    from dcpc import ranks  # which loads torch
    from dcpc.files import check_output_folder

    if not ranks.is_first():
        yield
        return
    with checkpoints.locked():
        # another training may have ended while this one read
        check_output_folder(output, "train", force=force)
        yield


@contextmanager
def kept(checkpoints: Checkpoints) -> Iterator[None]:
    """Say after a training that did not end how to go on, and leave no empty folder behind."""
    from dcpc import ranks  # which loads torch

    try:
        yield
    except KeyboardInterrupt as stop:
        stop.args = (checkpoints.how_to_go_on(),)  # the same object: it may say which signal it was
        raise
    except OutputError as error:
        go_on = f"{error.fix} {checkpoints.how_to_go_on()}"
        raise OutputError(error.what, where=error.where, fix=go_on) from error
    except DCPCError:
        raise
    except Exception as error:
        if ranks.is_torn(error):
            raise TrainingError(
                "another process of this training has ended, and the rest cannot go on without it.",
                fix=f"The launcher says which one, and how. {checkpoints.how_to_go_on()}",
            ) from error
        if is_full(error):
            fix = f"Make room. {checkpoints.how_to_go_on()}"
            raise OutputError("the disk is full.", where=checkpoints.folder, fix=fix) from error
        # of a library: what users chose with --set reaches far into them
        message = " ".join(str(error).split())[:300]
        raise TrainingError(
            f"the training stopped with {type(error).__name__}: {message}",
            fix=f"Look at --set and the recipe first. {checkpoints.how_to_go_on()}",
        ) from error
    finally:
        if ranks.is_first():
            checkpoints.remove_if_useless()
