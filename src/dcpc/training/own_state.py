"""What a training keeps in checkpoints beside the Trainer's own state: the rule's memory and averaged weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from dcpc.errors import TrainingError
from dcpc.training.averaging import AveragedWeights
from dcpc.training.rule import LearningRule

STATE_FILE = "dcpc_state.safetensors"
"""In a checkpoint: the rule's memory (as the running consensus) and averaged weights."""
_AVERAGED = "averaged."


@dataclass(frozen=True)
class OwnState:
    """The parts of a training that have such a state.

    Attributes:
        rule: how judgements become a loss.
        averaged: running means of the weights, None where there are none.
    """

    rule: LearningRule
    averaged: AveragedWeights | None

    def save(self, checkpoint: Path) -> None:
        """Write it into a checkpoint's folder, which is made where it is missing; nothing where there is no state."""
        state = self._tensors()
        if state:
            checkpoint.mkdir(parents=True, exist_ok=True)
            save_file(
                {name: tensor.cpu().contiguous() for name, tensor in state.items()}, checkpoint / STATE_FILE
            )

    def load(self, checkpoint: Path) -> None:
        """Take it from a checkpoint.

        Raises:
            TrainingError: the checkpoint has none.
        """
        if not self._tensors():
            return
        if not (checkpoint / STATE_FILE).is_file():
            raise TrainingError(
                f"the checkpoint has no {STATE_FILE}, which an exact resume needs.",
                where=checkpoint,
                fix="Resume from a checkpoint that was written with the same objective.",
            )
        state = load_file(checkpoint / STATE_FILE)
        averaged = {k.removeprefix(_AVERAGED): v for k, v in state.items() if k.startswith(_AVERAGED)}
        if self.averaged is not None:
            self.averaged.load_state_dict(averaged)
        self.rule.load_state({k: v for k, v in state.items() if not k.startswith(_AVERAGED)})

    def _tensors(self) -> dict[str, Tensor]:
        averaged = {} if self.averaged is None else self.averaged.state_dict()
        return {**self.rule.state(), **{f"{_AVERAGED}{name}": tensor for name, tensor in averaged.items()}}
