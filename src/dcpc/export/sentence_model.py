"""An encoder, the mean of its token states, and a linear layer: the classifier on a sentence encoder.

A copy of this file lies in every folder that `dcpc export --as merged` wrote of such a base model, for which
transformers has no class of its own. It imports nothing but torch and transformers.
"""

from typing import Any

import torch
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class MeanPooledClassifier(PreTrainedModel):
    """Class logits from the mean of the real tokens' last states."""

    config_class = AutoConfig
    base_model_prefix = "encoder"
    _supports_sdpa = True
    _supports_flash_attn = True

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        # The pooler of BERT-like encoders reads the classification token alone, and is not used here.
        options = {"add_pooling_layer": False} if getattr(config, "without_pooler", False) else {}
        self.encoder = AutoModel.from_config(config, **options)
        self.classifier = torch.nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput | tuple[torch.Tensor, ...]:
        """Logits [B, C] of token ids [B, n]; with `labels` [B] also the cross-entropy."""
        given = {"input_ids": input_ids, "attention_mask": attention_mask, "inputs_embeds": inputs_embeds}
        given |= {name: value for name, value in kwargs.items() if value is not None}
        states = self.encoder(**given).last_hidden_state  # [B, n, H]
        if attention_mask is None:
            mean = states.mean(dim=1)
        else:
            real = attention_mask.unsqueeze(-1) != 0  # [B, n, 1]
            # Filled, not multiplied: padding may hold inf or nan.
            mean = states.masked_fill(~real, 0.0).sum(dim=1) / real.sum(dim=1).clamp(min=1)  # [B, H]
        logits = self.classifier(mean)
        loss = None if labels is None else torch.nn.functional.cross_entropy(logits.float(), labels)
        output = SequenceClassifierOutput(loss=loss, logits=logits)
        return output.to_tuple() if return_dict is False else output
