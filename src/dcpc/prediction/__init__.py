"""Predictions of a trained adapter: label distributions, consensus, and single annotators' labels."""

from dcpc.prediction.predict import predict_annotators, predict_distribution, predict_judgements

__all__ = ["predict_annotators", "predict_distribution", "predict_judgements"]
