"""Something to be done as soon as a package is imported, without importing it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class WhenImported:
    """A finder that leaves finding to the others, and lets the module that they find end with a call.

    Python asks the entries of `sys.meta_path` for every module that is not yet loaded; this one acts for one name.

    Args:
        name: of a top-level package that is not imported yet.
        action: called once the package is imported.
    """

    def __init__(self, name: str, action: Callable[[], None]) -> None:
        self.name, self.action = name, action

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the other finders find for the package; None for any other module."""
        if name != self.name:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_act(module: ModuleType) -> None:
                execute(module)
                self.action()

            # On this one loader, which was made for this one spec.
            spec.loader.exec_module = execute_and_act  # type: ignore[method-assign]
        return spec
