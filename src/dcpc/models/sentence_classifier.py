"""A classifier on the mean of an encoder's token states, for base models that were trained with mean pooling.

Sentence encoders such as all-MiniLM-L6-v2 learn their mean-pooled state; the classification token that
`BertForSequenceClassification` reads was never trained in them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from dcpc.models.minilm import MINILM, minilm_path
from dcpc.pooling import mean_of_tokens


class SentenceClassifier(PreTrainedModel):
    """Any encoder, mean pooling over real tokens, dropout and one linear layer.

    Saved adapters name this class in PEFT's `auto_mapping`, so `AutoPeftModel.from_pretrained(folder, num_labels=C,
    import_allowlist=["dcpc"])` finds it; PEFT imports no package of others unless it is named so.
    """

    config_class = AutoConfig
    base_model_prefix = "encoder"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        # The pooler of BERT-like encoders reads the classification token alone and would stay without a gradient.
        options = {"add_pooling_layer": False} if without_pooler(config) else {}
        self.encoder = AutoModel.from_config(config, **options)
        dropout = getattr(config, "classifier_dropout", None)
        self.dropout = nn.Dropout(getattr(config, "hidden_dropout_prob", 0.0) if dropout is None else dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    @classmethod
    def from_pretrained(cls, name: str | Any = None, *args: Any, **kwargs: Any) -> SentenceClassifier:
        """As `PreTrainedModel.from_pretrained`; `minilm` names the embedded base model on any machine."""
        path = str(minilm_path()) if name == MINILM else name
        if "config" not in kwargs:
            known = {key: kwargs.pop(key) for key in ("num_labels", "id2label", "label2id") if key in kwargs}
            kwargs["config"] = AutoConfig.from_pretrained(path, **known)
        model = super().from_pretrained(path, *args, **kwargs)
        if name == MINILM:
            model.name_or_path = model.config._name_or_path = MINILM
        return model

    def get_input_embeddings(self) -> nn.Module:
        """The encoder's token embeddings."""
        return self.encoder.get_input_embeddings()

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        past_key_values: Any = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput | tuple[torch.Tensor, ...]:
        """Class logits [B, C] of token ids [B, n]; with `labels` [B] also the cross-entropy."""
        if past_key_values is not None:
            kwargs["past_key_values"] = past_key_values
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        states = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, inputs_embeds=inputs_embeds, **kwargs
        )
        pooled = mean_pool(states.last_hidden_state, attention_mask)  # [B, H]
        logits = self.classifier(self.dropout(pooled))  # [B, C]
        loss = None if labels is None else nn.functional.cross_entropy(logits.float(), labels)
        output = SequenceClassifierOutput(
            loss=loss,
            logits=logits,
            hidden_states=states.get("hidden_states"),
            attentions=states.get("attentions"),
        )
        return output.to_tuple() if return_dict is False else output


_WITH_POOLER = {"bert", "roberta", "xlm-roberta", "camembert", "mpnet", "albert"}


def without_pooler(config: PretrainedConfig) -> bool:
    """Whether an encoder must be told to leave out a pooler, which is not used here."""
    return config.model_type in _WITH_POOLER


def mean_pool(states: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
    """Mean of the real tokens' states.

    Args:
        states: token states [B, n, H].
        attention_mask: 1 for real tokens [B, n'], n' ≥ n: prefix tuning puts its own positions in front, and
            they have no states.

    Returns:
        The pooled states [B, H].
    """
    mask = None if attention_mask is None else attention_mask[:, -states.shape[1] :]  # [B, n]
    return mean_of_tokens(states, mask).to(states.dtype)
