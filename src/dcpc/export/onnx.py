"""An ONNX graph of a whole classifier: base model, adapter in any form, readout, and whom it stands for, exactly.

Its output `logits` [B, C] are logits of the asked distribution: softmax gives what `adapter.predict` gives, for the
consensus too. The graph is run in onnxruntime on inputs of another size before it is written.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dcpc.adapter import TrainedAdapter
from dcpc.errors import ModelError, UsageError
from dcpc.export.whose import Whose, annotators_on_logits
from dcpc.files import is_full

MODEL_FILE = "model.onnx"
NEEDED = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-4
"""Largest difference of a logit between torch and onnxruntime."""
LARGEST = 2**31 - 2**20
"""Bytes of weights up to which a graph is one file."""


def check_onnx() -> None:
    """Refuse before anything is loaded where the extra is missing.

    Raises:
        UsageError: a package is missing.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"--as onnx needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed.",
            fix="pip install 'dcpc[onnx]'",
        )


class _Asked(nn.Module):
    """From token ids to the logits of whom the export stands for."""

    def __init__(self, adapter: TrainedAdapter, who: Whose, names: list[str]) -> None:
        super().__init__()
        self.model, self._adapter, self._who, self._names = adapter.model, [adapter], who, names

    def forward(self, *fields: Tensor) -> Tensor:
        """Logits [B,C] of the tokenizer's fields, each [B,n]."""
        adapter = self._adapter[0]  # in a list: it is no module
        scored = adapter.rule.scored(self.model, dict(zip(self._names, fields, strict=True)))
        tuner = annotators_on_logits(adapter)
        if tuner is None:
            return scored.logits
        if self._who.number is None:
            return tuner.population_probabilities(scored.logits, scored.styles).clamp_min(1e-12).log()
        items = torch.arange(scored.logits.shape[0], device=scored.logits.device)
        return tuner.annotator_logits(
            scored.logits, torch.full_like(items, self._who.number), items, scored.styles
        )


def write_onnx(adapter: TrainedAdapter, who: Whose, folder: Path) -> tuple[float, list[str]]:
    """Write `model.onnx` and the tokenizer.

    Raises:
        UsageError: the adapter scores words, which needs a language model around it.
        ModelError: the base model cannot be traced, or the graph gives other logits.
    """
    if adapter.shape.name != "classify":
        raise UsageError(
            f"the task `{adapter.shape.name}` scores words with a language model, which is no single graph.",
            fix="Use --as merged or --as gguf-ready, which take low-rank adapters; or train with a head (--head).",
        )
    adapter.model.eval().to("cpu")
    names = [name for name in adapter.tokenizer.model_input_names if name in _fields(adapter, ["a"])]
    asked = _Asked(adapter, who, names).eval()
    example = _inputs(adapter, names, ["one text to trace", "another and longer text to trace"])
    size = sum(each.numel() * each.element_size() for each in asked.state_dict().values())
    rows, tokens = torch.export.Dim("rows"), torch.export.Dim("tokens")
    try:
        with torch.no_grad(), _quiet():
            torch.onnx.export(
                asked,
                example,
                str(folder / MODEL_FILE),
                input_names=names,
                output_names=["logits"],
                dynamo=True,
                dynamic_shapes=(tuple({0: rows, 1: tokens} for _ in names),),
                external_data=size > LARGEST,
            )
    except Exception as error:  # the exporter's errors share no base class
        if is_full(error):
            raise
        raise ModelError(
            f"the model cannot be traced into a graph: {' '.join(str(error).split())[:300]}",
            fix="Use --as merged for a low-rank adapter; base models with plain attention can be traced.",
        ) from error
    _check_equal(adapter, asked, names, folder / MODEL_FILE)
    adapter.tokenizer.save_pretrained(str(folder))
    return 0.0, []


def _fields(adapter: TrainedAdapter, texts: list[str]) -> dict[str, Any]:
    return dict(adapter.tokenizer(texts, padding=True, return_tensors="pt"))


def _inputs(adapter: TrainedAdapter, names: list[str], texts: list[str]) -> tuple[Tensor, ...]:
    fields = _fields(adapter, texts)
    return tuple(fields[name] for name in names)


def _check_equal(adapter: TrainedAdapter, asked: nn.Module, names: list[str], path: Path) -> None:
    """Raises ModelError where onnxruntime gives other logits, on one row, on three, and on more tokens."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for texts in (
        ["a text"],
        ["a", "one more text of some words", "and a third text, with more words than these"],
    ):
        inputs = _inputs(adapter, names, texts)
        with torch.no_grad():
            expected = asked(*inputs).float().numpy()
        try:
            found = session.run(
                None, {name: field.numpy() for name, field in zip(names, inputs, strict=True)}
            )
            largest = float(np.abs(np.asarray(found[0]) - expected).max())
        except Exception as error:  # onnxruntime's errors share no base class
            raise ModelError(
                f"the graph does not run on other sizes: {' '.join(str(error).split())[:200]}",
                fix="Use --as merged for a low-rank adapter.",
            ) from error
        if not largest <= TOLERANCE:
            raise ModelError(
                f"the graph's logits differ from the adapter's by {largest:.2g}, more than {TOLERANCE:.0e}.",
                fix="Load the base model in float32 (--set dtype=float32 in training).",
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's progress and advice."""
    levels = {name: logging.getLogger(name).level for name in ("torch.onnx", "onnxscript")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
