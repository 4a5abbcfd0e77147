"""Predictions of a trained adapter: label distributions, single annotators, tables of both, and their worth."""

from dcpc.prediction.evaluate import evaluate_adapter
from dcpc.prediction.predict import (
    predict_annotators,
    predict_distribution,
    predict_judgements,
    predict_registers,
)
from dcpc.prediction.tables import predict_parts, predict_table

__all__ = [
    "evaluate_adapter",
    "predict_annotators",
    "predict_distribution",
    "predict_judgements",
    "predict_parts",
    "predict_registers",
    "predict_table",
]
