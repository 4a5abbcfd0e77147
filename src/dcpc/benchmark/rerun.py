"""Running all cells of some methods again, once: a command that is stopped and given again goes on.

`rerun.json` in the store's folder names the methods whose records were dropped and whose cells are not all back.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from dcpc.benchmark.store import Store, writing
from dcpc.files import atomic_file


def begin_rerun(store: Store, methods: Collection[str]) -> None:
    """Drop the records of methods, but for those that an unfinished rerun has dropped."""
    begun = unfinished_rerun(store)
    new = set(methods) - begun
    if new:
        # First the records: a command that is killed between the two drops them again, and loses nothing more.
        store.drop(lambda record: record.get("method") in new)
        with writing(store.folder), atomic_file(store.folder / "rerun.json") as path:
            path.write_text(json.dumps(sorted(begun | new)), encoding="utf-8")


def unfinished_rerun(store: Store) -> set[str]:
    """Methods whose records were dropped, by a command that has not come to its end."""
    path = store.folder / "rerun.json"
    return set(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else set()


def end_rerun(store: Store) -> None:
    """The suite is complete: the next command that asks for a rerun begins one."""
    (store.folder / "rerun.json").unlink(missing_ok=True)
