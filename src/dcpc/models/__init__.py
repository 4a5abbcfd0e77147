"""Base models: two that install offline, `minilm` and `smollm2`, and anything a Hugging Face id or path names."""

from dcpc.models.loading import (
    is_language_model,
    load_base_model,
    load_language_model,
    loadable_path,
    located,
    peft_task_type,
)
from dcpc.models.minilm import minilm_path
from dcpc.models.sentence_classifier import SentenceClassifier, without_pooler
from dcpc.models.smollm2 import smollm2_path

__all__ = [
    "SentenceClassifier",
    "is_language_model",
    "load_base_model",
    "load_language_model",
    "loadable_path",
    "located",
    "minilm_path",
    "peft_task_type",
    "smollm2_path",
    "without_pooler",
]
