"""Training: `DCPCTrainer`, its arguments, and the same step for one's own loop."""

from dcpc.training.arguments import DCPCTrainingArguments
from dcpc.training.collator import ItemCollator
from dcpc.training.dataset import ItemDataset
from dcpc.training.rule import LearningRule
from dcpc.training.step import StepOutput, training_loss
from dcpc.training.trainer import DCPCTrainer

__all__ = [
    "DCPCTrainer",
    "DCPCTrainingArguments",
    "ItemCollator",
    "ItemDataset",
    "LearningRule",
    "StepOutput",
    "training_loss",
]
