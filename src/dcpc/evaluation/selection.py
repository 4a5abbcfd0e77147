"""Choosing a setting on noisy validation labels, and saying when the grid was too narrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dcpc.errors import UsageError


@dataclass(frozen=True)
class Choice:
    """The setting with the lowest loss.

    Attributes:
        setting: the chosen value of every axis of the grid.
        loss: its mean validation loss.
        on_edge: axes of which the lowest or highest of several values won: the optimum may lie outside.
    """

    setting: dict[str, Any]
    loss: float
    on_edge: tuple[str, ...]


def choose_setting(axes: Mapping[str, Sequence[Any]], losses: np.ndarray) -> Choice:
    """The point of a grid with the lowest validation cross-entropy.

    Args:
        axes: values of every axis, in order from weak to strong.
        losses: mean cross-entropy on noisy validation labels, one dimension per axis; NaN or ∞ where training
            failed.

    Raises:
        UsageError: the shape is not that of the grid, or no setting has a finite loss.
    """
    shape = tuple(len(values) for values in axes.values())
    if losses.shape != shape:
        raise UsageError(f"the grid has the shape {shape} but the losses have {losses.shape}")
    finite = np.where(np.isfinite(losses), losses, np.inf)
    position = [int(i) for i in np.unravel_index(int(finite.argmin()), shape)]
    if not np.isfinite(finite.min()):
        raise UsageError("no setting of the grid reached a finite validation loss")
    setting = {name: values[i] for (name, values), i in zip(axes.items(), position, strict=True)}
    on_edge = tuple(
        name for name, i, n in zip(axes, position, shape, strict=True) if n > 1 and i in (0, n - 1)
    )
    return Choice(setting, float(finite.min()), on_edge)
