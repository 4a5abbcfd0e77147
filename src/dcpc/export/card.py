"""The model card of an export: what it is, whom it stands for, how it decides, and the lines that load it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOADING = {
    "lora": """```python
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

base = AutoModelForSequenceClassification.from_pretrained("{base}", num_labels={n_labels})
model = PeftModel.from_pretrained(base, "path/to/this/folder").eval()
tokenizer = AutoTokenizer.from_pretrained("{base}")
if base.config.pad_token_id is None:  # many language models name none
    tokenizer.pad_token = tokenizer.eos_token
    base.config.pad_token_id = tokenizer.pad_token_id
with torch.no_grad():
    tokens = tokenizer(["a text"], truncation=True, max_length={max_length}, padding=True, return_tensors="pt")
    probabilities = model(**tokens).logits.softmax(dim=-1)
```""",
    "merged": """```python
from transformers import pipeline

classify = pipeline("text-classification", model="path/to/this/folder"{remote})
classify(["a text"], top_k=None, truncation=True)
```""",
    "onnx": """```python
import onnxruntime
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
session = onnxruntime.InferenceSession("path/to/this/folder/model.onnx")
names = [each.name for each in session.get_inputs()]
tokens = tokenizer(["a text"], truncation=True, max_length={max_length}, padding=True, return_tensors="np")
(logits,) = session.run(None, {{name: tokens[name] for name in names}})
```""",
    "language": """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("path/to/this/folder")
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
```

The label words are scored at the end of the prompt that the training made, see `task.json` of the adapter.
`convert_hf_to_gguf.py` of llama.cpp reads this folder.""",
    "reward": """```python
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

model = AutoModelForSequenceClassification.from_pretrained("path/to/this/folder"{remote}).eval()
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
text = {written}
tokens = tokenizer(text, truncation=True, max_length={max_length}, add_special_tokens={marks}, return_tensors="pt")
with torch.no_grad():
    reward = model(**tokens).logits[0, 0]  # higher is better, among responses to one prompt
```""",
    "language-lora": """```python
from peft import PeftModel
from transformers import AutoModelForCausalLM

model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("{base}"), "path/to/this/folder")
```

The label words are scored at the end of the prompt that the training made, see `task.json` of the adapter.""",
}
OFFSETS = """
The most probable label is the best decision for accuracy. For macro-F1 add these offsets to the log-probabilities
first, in the order of the labels: `{offsets}`.
"""
OWN_CLASS = """

The class is in `sentence_model.py`. The pipeline says that it does not know it, and works all the same.
"""


def export_card(described: Mapping[str, Any]) -> str:
    """The text of `README.md`.

    Args:
        described: from `dcpc.export.export.description`.
    """
    form, language = described["form"], described["task"] not in ("classify", "prefer")
    if described["task"] == "prefer":
        return _reward_card(described)
    how = {"lora": "language-lora"}.get(form, "language") if language else form
    base = described["base_model"]
    loading = LOADING[how].format(
        base=base,
        n_labels=len(described["labels"]),
        max_length=described["max_length"],
        remote=_remote(described),
    )
    inexact = (
        f" The consensus is a mean over annotators, which one bias and one factor come near: no probability is off "
        f"by more than {described['largest_error']:.3f} over usual logits."
        if described["largest_error"]
        else ""
    )
    if how == "merged" and _remote(described):
        loading += OWN_CLASS
    offsets = "" if described["offsets"] is None else OFFSETS.format(offsets=described["offsets"])
    lines = ["---", f"library_name: {'peft' if form == 'lora' else 'transformers'}"]
    if not Path(base).is_absolute():
        lines.append(f"base_model: {base}")
    if not language:
        lines.append("pipeline_tag: text-classification")
    return (
        "\n".join([*lines, "---", ""])
        + f"\n# {', '.join(described['labels'])}: {described['whose']}\n\n"
        + f"An adapter trained with DCPC (`{described['method']}`) on judgements of several annotators, exported as "
        + f"`{form}`. Its label distribution is that of {described['whose']}.{inexact} Inputs are "
        + f"{' and '.join(f'`{name}`' for name in described['inputs'])}; labels in the order of the logits: "
        + f"{', '.join(described['labels'])}.\n\n## Loading\n\n{loading}\n\n## Deciding\n\n"
        + f"Trained to decide {described['decides']}.\n{offsets}"
    )


def _reward_card(described: Mapping[str, Any]) -> str:
    base = described["base_model"]
    if described["chat"]:
        turns = '[{"role": "user", "content": "a prompt"}, {"role": "assistant", "content": "a response"}]'
        written = f"tokenizer.apply_chat_template({turns}, tokenize=False)"
    else:
        filled = described["template"].replace("{text}", "a prompt").replace("{response}", "a response")
        written = f"{filled!r} + (tokenizer.eos_token or '')"
    loading = LOADING["reward"].format(
        remote=_remote(described),
        written=written,
        max_length=described["max_length"],
        marks=not described["chat"],
    )
    named = "" if Path(base).is_absolute() else f"base_model: {base}\n"
    return (
        f"---\nlibrary_name: transformers\n{named}pipeline_tag: text-classification\n---\n\n# A reward model\n\n"
        f"Trained with DCPC (`{described['method']}`) on votes of several raters ({', '.join(described['labels'])}) "
        f"between two responses, and merged: a sequence classifier with one output.\n\n## Loading\n\n{loading}\n"
    )


def _remote(described: Mapping[str, Any]) -> str:
    return ", trust_remote_code=True" if described["architecture"] == "SentenceClassifier" else ""
