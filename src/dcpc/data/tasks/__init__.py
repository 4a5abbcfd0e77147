"""The six tasks of the paper and their shifted twins."""

from dcpc.data.tasks.labelled import clean_items
from dcpc.data.tasks.loaders import TASKS, load_task
from dcpc.data.tasks.shifted import SHIFTED_TASKS, ShiftedTask, shift_task

__all__ = ["SHIFTED_TASKS", "TASKS", "ShiftedTask", "clean_items", "load_task", "shift_task"]
