"""The folder of a training's checkpoints: what may be in it, what it may be resumed with, and when it goes.

`dcpc_run.json` lies beside the checkpoints and says what they were trained with. Nothing is deleted in a folder that
lacks it, or that holds anything else.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open

from dcpc.data.annotations import ITEM_COLUMNS, Annotations
from dcpc.data.mapped import fingerprints
from dcpc.errors import UsageError
from dcpc.files import atomic_file, check_output_folder
from dcpc.leftovers import beside, sweep

RUN_FILE = "dcpc_run.json"
STATE_FILE = "trainer_state.json"
"""Written into a checkpoint after everything else."""

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_WITHOUT_EFFECT = (
    "logging_steps",
    "disable_tqdm",
    "report_to",
    "per_device_eval_batch_size",
    "save_total_limit",
)
"""Settings that may differ when a training is resumed: they do not change what is trained."""


class Checkpoints:
    """The checkpoints of an adapter that is to be trained: a folder beside it, `OUTPUT-checkpoints`.

    Args:
        output: folder of the adapter.
    """

    def __init__(self, output: Path) -> None:
        absolute = Path(os.path.abspath(output))  # `.` has no name; a link keeps its own
        self.folder = absolute.parent / f"{absolute.name}-checkpoints"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other trainings away from the output and its checkpoints, also those that begin at the same time.

        The lock goes with the process that holds it, however that ends.

        Raises:
            UsageError: another training holds it, or the folder cannot be written to.
        """
        path = self.folder.with_name(f".{self.folder.name}.lock")
        lock = FileLock(path, timeout=0)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise UsageError(
                "another training writes to this output.",
                where=self.folder.with_name(self.folder.name.removesuffix("-checkpoints")),
                fix="Wait until it has ended, or choose another --output.",
            ) from error
        except OSError as error:
            raise UsageError(
                f"cannot write here ({error.strerror}).",
                where=path.parent,
                fix="Choose an output you may write to.",
            ) from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # while it is held: nobody else has it
            lock.release()

    def found(self) -> list[Path]:
        """The checkpoints that are there, newest first."""
        entries = self.folder.iterdir() if self.folder.is_dir() else ()
        numbered = [(_CHECKPOINT.fullmatch(entry.name), entry) for entry in entries]
        return [entry for _, entry in sorted(((int(m[1]), e) for m, e in numbered if m), reverse=True)]

    def check_free(self, *, resume: bool, force: bool) -> None:
        """As `check`, and refuse checkpoints that another training is writing: nobody should be told to resume them.

        Raises:
            UsageError: as `check`; or another training is at work here.
        """
        with self.locked() if self.found() else nullcontext():
            self.check(resume=resume, force=force)

    def check(self, *, resume: bool, force: bool) -> None:
        """Refuse, before any work is done, a folder that is not ours to write to, or a loss of checkpoints.

        Raises:
            UsageError: the folder holds something else, cannot be written, or holds checkpoints that are neither
                to be resumed nor to be given up.
        """
        sweep(self.folder, beside(RUN_FILE))
        if not self.folder.is_dir() or not any(self.folder.iterdir()):
            check_output_folder(self.folder)
            return
        ours = {RUN_FILE, *(path.name for path in self.found())}
        others = sorted(path.name for path in self.folder.iterdir() if path.name not in ours)
        if others or not (self.folder / RUN_FILE).is_file():
            raise UsageError(
                f"checkpoints would go here, but the folder holds {others[0] if others else 'checkpoints'} "
                "that `dcpc train` did not write.",
                where=self.folder,
                fix="Move the folder away, or choose another --output.",
            )
        if self.found() and not (resume or force):
            raise UsageError(
                "checkpoints of an earlier training are here.",
                where=self.folder,
                fix="--resume goes on from them; --force starts anew and deletes them.",
            )

    def begin(self, run: Mapping[str, Any], *, resume: bool, force: bool) -> tuple[Path | None, list[str]]:
        """Make the folder ready.

        Args:
            run: what the training is given, from `describe_run`.
            resume: go on from the newest whole checkpoint.
            force: give checkpoints that are there up.

        Returns:
            The checkpoint to go on from, or None; and what the user should know, one sentence each.

        Raises:
            UsageError: as `check`; or the checkpoints are of a training that was given something else.
        """
        self.check(resume=resume, force=force)
        notes: list[str] = []
        if not resume:
            self.remove()
        elif self.found():
            self._check_same(run)
            notes = self._drop_broken()
        whole = self.found()
        if resume and not whole:
            notes.append(
                f"There is no whole checkpoint in {self.folder}: training starts from the beginning."
            )
        with atomic_file(self.folder / RUN_FILE) as path:
            path.write_text(json.dumps(run, indent=1, default=str) + "\n", encoding="utf-8")
        return (whole[0] if whole else None), notes

    def remove(self) -> None:
        """Delete the checkpoints, and the folder where it then is empty."""
        for checkpoint in self.found():
            shutil.rmtree(checkpoint, ignore_errors=True)
        self.remove_if_useless()

    def remove_if_useless(self) -> None:
        """Delete the folder of a training that has written no checkpoint."""
        if self.folder.is_dir() and {path.name for path in self.folder.iterdir()} <= {RUN_FILE}:
            (self.folder / RUN_FILE).unlink(missing_ok=True)
            with suppress(OSError):  # a link to a folder stays
                self.folder.rmdir()

    def how_to_go_on(self) -> str:
        """One sentence for a training that was stopped."""
        if not self.found():
            return "No checkpoint had been written yet."
        return f"Checkpoints are in {self.folder}; the same command with --resume goes on from them."

    def _drop_broken(self) -> list[str]:
        notes = []
        for checkpoint in self.found():
            if not is_whole(checkpoint):
                why = "was cut off while it was written"
            elif (best := self._best_of(checkpoint)) is not None and not is_whole(best):
                why = f"needs the weights of {best.name}, the best so far, which are not whole"
            else:
                notes.append(f"Going on from {checkpoint.name}.")
                break
            shutil.rmtree(checkpoint)
            notes.append(f"{checkpoint.name} {why}, and is left out.")
        return notes

    def _best_of(self, checkpoint: Path) -> Path | None:
        """The checkpoint whose weights a training that goes on from this one may end with."""
        state = json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
        best = state.get("best_model_checkpoint")
        return None if best is None else self.folder / Path(best).name

    def _check_same(self, run: Mapping[str, Any]) -> None:
        try:
            before = json.loads((self.folder / RUN_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            before = None
        before = before if isinstance(before, dict) else {}
        now = json.loads(json.dumps(run, default=str))
        changed = [name for name in {**now, **before} if before.get(name) != now.get(name)]
        if changed:
            # Another seed or share divides the judgements in another way: the cause before what follows from it.
            first = min(changed, key=lambda name: name in ("data", "validation"))
            raise UsageError(
                f"the checkpoints are of another training: {_difference(first, before, now)}.",
                where=self.folder,
                fix="Give the same data and settings to go on; or --force, without --resume, to start anew.",
            )


def describe_run(
    train: Annotations, validation: Annotations | None, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """What a training is given, in short: the judgements by their hash, the settings by their values.

    Args:
        train: judgements to train on.
        validation: held-out judgements.
        settings: anything that JSON or `str` can write; mappings among them are taken apart.
    """
    return {
        "data": _hash(train),
        "validation": validation and _hash(validation),
        "labels": list(train.labels),
        "scale": train.scale,
        **given_settings(settings),
    }


def given_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that change what is trained, by name; mappings among them are taken apart."""
    parts = [value if isinstance(value, Mapping) else {name: value} for name, value in settings.items()]
    return {name: value for part in parts for name, value in part.items() if name not in _WITHOUT_EFFECT}


def is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end: its state is there, and no file is cut off."""
    try:
        json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
        weights = list(checkpoint.glob("*.safetensors"))
        for path in weights:
            with safe_open(path, "pt"):
                pass
    except (OSError, ValueError, SafetensorError):
        return False
    pickled = [checkpoint / "optimizer.pt", checkpoint / "scheduler.pt"]
    return bool(weights) and all(zipfile.is_zipfile(path) for path in (*pickled, *checkpoint.glob("*.pth")))


def _hash(annotations: Annotations) -> str:
    columns = [
        name for name in ("item_id", *ITEM_COLUMNS, "annotator_id", "label") if name in annotations.table
    ]
    return hashlib.sha256(fingerprints(annotations.table[columns].astype(str)).tobytes()).hexdigest()


def _difference(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    if name == "data":
        return "the judgements to train on are others"
    if name == "validation":
        return "the held-out judgements are others"
    old, new = (json.dumps(run[name]) if name in run else "not given" for run in (before, now))
    return f"`{name}` was {old}, and now is {new}"
