"""Base models: the embedded encoder `minilm`, and anything a Hugging Face id or local path names."""

from dcpc.models.loading import load_base_model, located
from dcpc.models.minilm import minilm_path
from dcpc.models.sentence_classifier import SentenceClassifier

__all__ = ["SentenceClassifier", "load_base_model", "located", "minilm_path"]
