"""What a store was started with, and whether a suite may go on there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dcpc.errors import UsageError
from dcpc_bench.rig.sources import fingerprint
from dcpc_bench.rig.store import STORE_VERSION, Store
from dcpc_bench.rig.suite import Suite

_LISTS = ("datasets", "conditions", "methods", "seeds", "reference", "description")
"""What may differ from one command to the next: more or fewer cells, but the same cells."""


def open_plan(store: Store, suite: Suite, data_folder: Path | None) -> None:
    """Start a store, or go on in one of the same settings and data.

    More methods, data sets, conditions or seeds are added to the plan; fewer leave it as it is.

    Raises:
        UsageError: a store of another version, of other settings or other data; nothing there is changed.
    """
    new = {
        "store": STORE_VERSION,
        "suite": suite.model_dump(mode="json"),
        "data": {d.name: fingerprint(d, data_folder) for d in suite.datasets},
        "presets": _presets(),
    }
    old = store.plan  # refuses a folder of something else before anything is written
    with store.locked():
        old = store.plan
        merged = new if old is None else _merged(old, new, store.folder)
        if merged != old:
            store.write_plan(merged)


def _presets() -> dict[str, Any]:
    """What `dcpc` and `dcpc-paper` are: cells of one name must be of one method."""
    from dcpc.objective.config import PRESETS
    from dcpc.tuner.config import PRESETS as ADAPTERS

    return {name: {"adapter": ADAPTERS[name], "objective": PRESETS[name]} for name in ADAPTERS}


def _merged(old: dict[str, Any], new: dict[str, Any], folder: Path) -> dict[str, Any]:
    for field, value in new["suite"].items():
        if field not in _LISTS and old["suite"].get(field) != value:
            name, there, here = _difference(field, old["suite"].get(field), value)
            raise UsageError(
                f"this folder holds a benchmark with other settings: `{name}` is {there} there and {here} here.",
                where=folder,
                fix="Choose a new --output, or the settings in its plan.json.",
            )
    # Fields that the folder does not name were then as they are by default.
    here = _known(old["presets"], new["presets"])
    if old["presets"] != here:
        name, there, here = _difference("presets", old["presets"], here)
        raise UsageError(
            f"this folder holds a benchmark of another DCPC: `{name}` is {there} there and {here} here.",
            where=folder,
            fix="Choose a new --output.",
        )
    for name, digest in new["data"].items():
        if old["data"].get(name, digest) != digest:
            raise UsageError(
                f"the data set {name}, or what the suite makes of its labels, is not what this benchmark was "
                "started with.",
                where=folder,
                fix="Choose a new --output.",
            )
    suite = dict(old["suite"])
    for field in ("methods", "conditions"):
        suite[field] = list(dict.fromkeys([*suite[field], *new["suite"][field]]))
    suite["datasets"] = _merged_datasets(old["suite"], new["suite"])
    suite["seeds"] = max(suite["seeds"], new["suite"]["seeds"])
    return {**old, "suite": suite, "data": old["data"] | new["data"]}


def _merged_datasets(*suites: dict[str, Any]) -> list[dict[str, Any]]:
    """All data sets of some suites, each with the conditions that it has in any of them."""
    merged: dict[str, dict[str, Any]] = {}
    for suite in suites:
        for dataset in suite["datasets"]:
            there = merged.get(dataset["name"], dataset | {"conditions": []})
            own = dataset["conditions"] or suite["conditions"]
            conditions = list(dict.fromkeys([*there["conditions"], *own]))
            merged[dataset["name"]] = there | {"conditions": conditions}
    return list(merged.values())


def _known(old: Any, new: Any) -> Any:
    """`new` without the fields that `old` does not have."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {key: _known(value, new.get(key)) for key, value in old.items()}


def _difference(name: str, old: Any, new: Any) -> tuple[str, Any, Any]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *new]:
            if old.get(key) != new.get(key):
                return _difference(f"{name}.{key}", old.get(key), new.get(key))
    return name, old, new
