"""The methods to compare: one file each, which holds the record, `METHOD`, and whatever is special about the method.

A new one is a new file here; its name is that of the file. The forms of DCPC itself are all in `dcpc.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules

from dcpc_bench.method import Method
from dcpc_bench.methods.dcpc import FORMS


class _Methods(Mapping[str, Method]):
    """All methods by name. Names are those of files; a file is imported when its record is asked for."""

    def __init__(self) -> None:
        self._files = {
            entry.name.replace("_", "-"): entry.name
            for entry in iter_modules(__path__)
            if not entry.ispkg and entry.name != "dcpc"
        }

    def __getitem__(self, name: str) -> Method:
        if name in FORMS:
            return FORMS[name]
        method = import_module(f"{__name__}.{self._files[name]}").METHOD
        assert method.name == name, f"the method of {self._files[name]}.py is called {method.name}"
        return method

    def __iter__(self) -> Iterator[str]:
        yield from FORMS
        yield from self._files

    def __len__(self) -> int:
        return len(FORMS) + len(self._files)


__all__ = ["FORMS", "METHODS"]

METHODS: Mapping[str, Method] = _Methods()
"""All methods by name."""
