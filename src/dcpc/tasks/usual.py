"""How labels are read where nobody says it: with the model's own words where it has them, else with a new head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dcpc.errors import DCPCError
from dcpc.models import is_language_model
from dcpc.names import first_of
from dcpc.tasks.label_words import LabelWords

if TYPE_CHECKING:
    from dcpc.data import Annotations


def usual_task(
    base_model: str, annotations: Annotations, *, trust_remote_code: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """Settings of the task shape for judgements, and what to tell the user about the choice.

    A causal language model answers with its own words (see docs/language-models.md for the figures). A head is taken
    for all other models, and where labels are no words (numbers, values of a slider) or cannot be told apart as such.

    Args:
        base_model: a short name, a Hugging Face id, or a local path.
        annotations: whose labels are to be predicted.
        trust_remote_code: see `dcpc.models.load_base_model`.
    """
    if "choices" in annotations.table:  # a head says what else to do with them
        return {}, []
    if not is_language_model(base_model, causal=True, trust_remote_code=trust_remote_code):
        return {}, []
    labels = list(annotations.labels)
    named = first_of(labels, 5)
    other = "Name words for them with --words to have the model answer with its own."
    if annotations.range is not None or not all(any(map(str.isalpha, label)) for label in labels):
        return {}, [f"The labels ({named}) are no words, so a new head is trained. {other}"]
    try:
        _check_words(base_model, annotations, trust_remote_code)
    except DCPCError as error:
        return {}, [f"A new head is trained, as {error.what.rstrip('.')}. {other}"]
    note = f"The model answers with the labels as its own words ({named}); --words gives others, --head a new head."
    return {"name": "label-words"}, [note]


def _check_words(base_model: str, annotations: Annotations, trust_remote_code: bool) -> None:
    from transformers import AutoTokenizer

    from dcpc.models import loadable_path

    tokenizer = AutoTokenizer.from_pretrained(loadable_path(base_model), trust_remote_code=trust_remote_code)
    shape = LabelWords()
    shape.check(annotations)
    shape.bound(annotations, tokenizer)
