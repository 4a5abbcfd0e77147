"""The six tasks of the paper and their shifted twins."""

from dcpc_bench.source_tasks.labelled import clean_items
from dcpc_bench.source_tasks.loaders import TASKS, load_task
from dcpc_bench.source_tasks.shifted import SHIFTED_TASKS, ShiftedTask, shift_task
from dcpc_bench.source_tasks.writing import WRITINGS, written

__all__ = [
    "SHIFTED_TASKS",
    "TASKS",
    "WRITINGS",
    "ShiftedTask",
    "clean_items",
    "load_task",
    "shift_task",
    "written",
]
