"""Training arguments: transformers' own, and the objective."""

from __future__ import annotations

from dataclasses import dataclass, field

from transformers import TrainingArguments

from dcpc.objective import ObjectiveConfig


@dataclass
class DCPCTrainingArguments(TrainingArguments):
    """`transformers.TrainingArguments` with the objective of equation 13.

    Args:
        preset: `default`, `paper` or `none`; see `dcpc.objective.ObjectiveConfig.preset`.
        objective: single fields of the preset to set differently, e.g. `{"ambiguity_weight": 0.5}`.
        learning_rate: default 1e-3, as adapters need; small encoders take 1e-2.
        seed: also fixes which judgements and noise are drawn.
    """

    preset: str = field(default="default", metadata={"help": "Objective: default, paper or none."})
    objective: dict | None = field(
        default=None, metadata={"help": "Fields of the objective to set differently."}
    )
    learning_rate: float = field(default=1e-3, metadata={"help": "Peak learning rate."})
    remove_unused_columns: bool = field(default=False, metadata={"help": "The collator needs every field."})
    report_to: str | list[str] | None = field(default="none", metadata={"help": "Where to log to."})

    def objective_config(self) -> ObjectiveConfig:
        """The preset with its changes.

        Raises:
            UsageError: if there is no such preset or field, or a value makes no sense.
        """
        return ObjectiveConfig.preset(self.preset, **(self.objective or {}))
