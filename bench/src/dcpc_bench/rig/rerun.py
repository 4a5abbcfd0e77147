"""Running all cells of some methods again, once: a command that is stopped and given again goes on.

`rerun.json` in the store's folder names the methods whose records were dropped and whose cells are not all back.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from dcpc.errors import UsageError
from dcpc.files import atomic_file
from dcpc.names import first_of
from dcpc_bench.rig.store import Store, writing


def check_rerun(store: Store, methods: Collection[str]) -> None:
    """Make sure that no cell keeps a setting that another method's new search may not choose again.

    Raises:
        UsageError: the store has cells of methods that are trained with the setting of one of these, and they are not
            to be run again.
    """
    from dcpc_bench.methods import METHODS

    there = {record["method"] for record in store.records().values() if record["kind"] == "cell"}
    left = [name for name in there - set(methods) if name in METHODS and METHODS[name].searched_as in methods]
    if left:
        raise UsageError(
            f"cells of {first_of(sorted(left), 3)} are there, whose settings are those of a search that would be run "
            "again.",
            where=store.folder,
            fix=f"Run them again too: --rerun {','.join([*methods, *sorted(left)])}",
        )


def begin_rerun(store: Store, methods: Collection[str]) -> None:
    """Drop the records of methods, but for those that an unfinished rerun has dropped."""
    begun = unfinished_rerun(store)
    new = set(methods) - begun
    if new:
        # First the records: a command that is killed between the two drops them again, and loses nothing more.
        store.drop(lambda record: record.get("method") in new)
        _note(store, begun | new)


def unfinished_rerun(store: Store) -> set[str]:
    """Methods whose records were dropped, by a command that has not come to its end."""
    path = store.folder / "rerun.json"
    return set(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else set()


def end_rerun(store: Store, methods: Collection[str]) -> None:
    """The cells of these methods are back: the next command that asks for their rerun begins one."""
    _note(store, unfinished_rerun(store) - set(methods))


def _note(store: Store, methods: Collection[str]) -> None:
    path = store.folder / "rerun.json"
    if methods:
        with writing(store.folder), atomic_file(path) as new:
            new.write_text(json.dumps(sorted(methods)), encoding="utf-8")
    else:
        path.unlink(missing_ok=True)
