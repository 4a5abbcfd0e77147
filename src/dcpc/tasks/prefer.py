"""Preferring one of two responses: a reward for each, and votes whose likelihood depends on the difference.

    m = reward(prompt, response a) − reward(prompt, response b)

The base model has one output, the reward of one response with its prompt, so that what is trained is a reward model
like any other. What makes votes of rewards, and what sets raters apart, is `dcpc.preference.rule`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pandas as pd
from peft import PeftModel
from pydantic import Field
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dcpc.data.annotations import CHATS
from dcpc.errors import DataError, UsageError
from dcpc.models import SentenceClassifier, load_base_model
from dcpc.models.layers import head_modules
from dcpc.objective import ObjectiveConfig
from dcpc.pooling import mean_of_tokens
from dcpc.preference.likelihood import PreferenceScale
from dcpc.preference.pairs import Response, check_votes, checked_pairs, pair_notes, vote_scale
from dcpc.preference.prompts import shared_prompt_notes
from dcpc.preference.raters import Comparison, RaterConfig
from dcpc.preference.responses import JOINED, Fitted, ResponseTokens, cut_notes, padded
from dcpc.tasks.base import Encoded, Scored, TaskShape, token_limit
from dcpc.tuner.acting import recorded_pass

if TYPE_CHECKING:
    from dcpc.data import Annotations
    from dcpc.training.rule import LearningRule

REWARD = "reward"
"""Name of the base model's one output."""
HEAD_RATE = 0.02
"""At an adapter's rate a few dozen steps leave the margins of rewards too small by a factor of 4 to 10."""
NOT_HERE = ("readout", "annotator_mode", "annotator_dropout", "annotator_prior_std")
"""Fields of a DCPC adapter about annotators' logits, of which there are none here."""

CARD = """
## Loading

A reward model, trained on votes ({labels}) between two responses with DCPC (method `{task.method}`, base model
`{task.base_model}`): a sequence classifier with one output.

```python
from dcpc import load_adapter  # importing dcpc makes PEFT know its method

adapter = load_adapter("path/to/this/folder")
adapter.reward(["a prompt", "a prompt"], ["a response", "another one"])  # higher is better
```

Tools that want one plain model get it from an adapter whose update is low-rank, whatever its base:

```sh
dcpc export path/to/this/folder --as merged --output merged
```

PEFT's own `AutoPeftModelForSequenceClassification.from_pretrained("path/to/this/folder", num_labels=1)` loads it, too
(`import dcpc` first where the method is `dcpc`), but for sentence encoders with mean pooling, such as `minilm`.

Who voted is in `raters.json` and `raters.safetensors`; rewards do not need them.
"""


class Prefer(TaskShape):
    """A reward of each of two responses.

    Attributes:
        ties: standard deviation of the raters' tie thresholds; 0 switches an effect off.
        sides: of the advantage that a rater gives side a.
        errors: of the log-odds of votes by mistake; None where nobody errs.
        tastes: of the raters' mixtures between `styles` rewards.
        styles: K.
        ordinal: take the ordinal likelihood for a, tie and b too; graded votes have no other.
        rater_dropout: probability, in training, that a rater is treated as unknown.
        rater_learning_rate: of the raters' numbers and the pool's thresholds.
        head_learning_rate: of the linear head that gives the reward; None for `HEAD_RATE` on sentence encoders with
            mean pooling, on which that was measured, and for the rate of the adapter on other bases.
        lowest_for: the side that the lowest of ordered labels, as −3 … 3, is best for.
        chat: whether responses go through the tokenizer's chat template; None wherever it has one.
        template: joins `{text}` and `{response}` where they do not.
        messages: whether items have whole chats (`messages_a`, `messages_b`); found from the data.
    """

    title: ClassVar[str] = "Reward model: {labels}"
    card: ClassVar[str | None] = CARD

    name: Literal["prefer"] = "prefer"
    ties: float = Field(default=0.5, ge=0)
    sides: float = Field(default=0.2, ge=0)
    errors: float | None = Field(default=None, ge=0)
    tastes: float = Field(default=0.0, ge=0)
    styles: int = Field(default=4, ge=2)
    ordinal: bool = False
    rater_dropout: float = Field(default=0.1, ge=0, lt=1)
    rater_learning_rate: float = Field(default=0.02, gt=0)
    head_learning_rate: float | None = Field(default=None, gt=0)
    lowest_for: Literal["a", "b"] = "a"
    chat: bool | None = None
    template: str | None = None
    messages: bool = False

    @property
    def raters(self) -> RaterConfig:
        """Which effects raters have."""
        return RaterConfig(
            self.ties, self.sides, self.errors, self.tastes, self.styles, self.ordinal, self.rater_dropout
        )

    def head_rates(self, model: nn.Module) -> list[tuple[list[nn.Parameter], float]]:
        """The head's trained parameters with a rate of their own; nothing where they train like the adapter."""
        rate = self.head_learning_rate
        if rate is None and isinstance(_base_of(model), SentenceClassifier):
            rate = HEAD_RATE
        found = [each for part in _heads(model) for each in part.parameters() if each.requires_grad]
        return [(found, rate)] if found and rate is not None else []

    def hold_offset(self, model: nn.Module) -> None:
        """Leave the bias of the reward as it is: both sides of a margin have it, and rounding alone would move it."""
        for part in _heads(model):
            for layer in part.modules():
                if isinstance(layer, nn.Linear) and layer.out_features == 1 and layer.bias is not None:
                    layer.bias.requires_grad_(False)

    # The base model and the data

    def load(
        self, base_model: str, labels: Sequence[str], **options: Any
    ) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The base model with one output and without dropout; one that is a reward model already keeps its head.

        The two sides of a pair must differ by their tokens, not by what dropout left of them.
        """
        model, tokenizer = load_base_model(base_model, [REWARD], **options)
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        return model, tokenizer

    def check(self, annotations: Annotations) -> None:
        """Refuse data that are no votes between two responses.

        Raises:
            UsageError: the labels are no votes, or the template lacks a slot.
            DataError: nobody chose a side, or only of equal responses; a response is empty, or the chats of a pair do
                not fit together.
        """
        scale = self.scale(annotations)
        if self.template is not None:
            _check_template(self.template)
        check_votes(annotations, scale)

    def scale(self, annotations: Annotations) -> PreferenceScale:
        """The votes that raters can give."""
        return vote_scale(annotations, lowest_for=self.lowest_for)

    def notes(self, annotations: Annotations) -> Sequence[str]:
        """What is odd about the votes, counted."""
        notes = list(pair_notes(annotations))
        scale = self.scale(annotations)
        if scale.heights is not None:
            first, last = (annotations.labels[scale.order[end]] for end in (-1, 0))
            notes.append(f'Votes go from "{first}", the best for a, to "{last}", the best for b.')
        return notes

    def split_notes(self, train: Annotations, held_out: Annotations) -> Sequence[str]:
        """How many held-out pairs answer a prompt that training sees."""
        return shared_prompt_notes(train, held_out)

    def bound(self, annotations: Annotations, tokenizer: PreTrainedTokenizerBase) -> Prefer:
        """With what the data and the tokenizer decide: whether there are chats, and a chat template.

        Raises:
            UsageError: a chat template is asked for, and the tokenizer has none.
        """
        has_chat = bool(getattr(tokenizer, "chat_template", None))
        if self.chat and not has_chat:
            raise UsageError("the tokenizer has no chat template.", fix="Leave chat=true out.")
        found = {
            "chat": has_chat if self.chat is None else self.chat,
            "template": self.template or JOINED,
            "messages": all(name in annotations.items for name in CHATS),
        }
        return self.model_copy(update=found)

    def own_rule(
        self, train: Annotations, objective: ObjectiveConfig, adapter: Mapping[str, Any]
    ) -> tuple[LearningRule, dict[str, Any]]:
        """The likelihood of votes; see `TaskShape.own_rule`.

        Raises:
            UsageError: a setting of the adapter or the objective has no effect on rewards.
        """
        from dcpc.preference.rule import PreferRule

        rest = dict(adapter)
        groups = rest.pop("annotator_groups", None)
        if given := [name for name in NOT_HERE if name in rest]:
            raise UsageError(
                f"`{given[0]}` has no effect on rewards: raters act on votes.",
                fix="Leave it out; raters are set with ties, sides, errors and tastes.",
            )
        names = list(train.annotators) if len(train.annotators) > 1 else []
        return PreferRule(self.raters, self.scale(train), names, groups, objective, shape=self), rest

    def loaded_rule(self, folder: Path) -> LearningRule:
        """The rule with the raters that were saved beside an adapter."""
        from dcpc.preference.rule import PreferRule

        return PreferRule.load(folder, self)

    # From pairs to rewards

    def encode(
        self, items: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, max_length: int | None
    ) -> Encoded:
        """Both sides of every pair, end to end in `input_ids`; `n_first` says where side b begins.

        Raises:
            DataError: a response is empty, or the items lack the chats that training saw.
        """
        if self.messages and not all(name in items for name in CHATS):
            raise DataError(
                f"the adapter was trained on chats, but the items have no column "
                f'"{next(name for name in CHATS if name not in items)}".',
                fix="Give the whole chats of both sides, messages_a and messages_b.",
            )
        shown = items if self.messages else items.drop(columns=list(CHATS), errors="ignore")
        tokens = self._tokens(tokenizer, max_length)
        pairs = checked_pairs(shown, "the items")
        first, second = (tokens([pair[side] for pair in pairs]) for side in (0, 1))
        fields: dict[str, Sequence[Any]] = {
            "input_ids": [a.ids + b.ids for a, b in zip(first, second, strict=True)],
            "n_first": [len(a.ids) for a in first],
        }
        return Encoded(fields, cut_notes(pairs, first, second, tokens.limit))

    def encode_responses(
        self, responses: Sequence[Response], tokenizer: PreTrainedTokenizerBase, max_length: int | None
    ) -> list[Fitted]:
        """Tokens of single responses, as those of pairs."""
        return self._tokens(tokenizer, max_length)(responses)

    def _tokens(self, tokenizer: PreTrainedTokenizerBase, max_length: int | None) -> ResponseTokens:
        limit = token_limit(tokenizer, max_length)
        return ResponseTokens(tokenizer, limit, bool(self.chat), self.template or JOINED)

    def collate(
        self, fields: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase
    ) -> dict[str, Tensor]:
        """`input_ids` and `attention_mask` [B, 2, n], side a first; padded on the right whatever the tokenizer says.

        A causal model reads the reward at the last token, and padding in front would move positions.
        """
        ids = [
            side
            for each in fields
            for side in (each["input_ids"][: each["n_first"]], each["input_ids"][each["n_first"] :])
        ]
        return {name: value.unflatten(0, (len(fields), 2)) for name, value in padded(ids, tokenizer).items()}

    def forward(
        self, model: nn.Module, tokens: dict[str, Tensor], *, states: bool = False, **preference: Any
    ) -> Scored:
        """Rewards of both sides as logits [B, 2], whose softmax is Bradley and Terry's model of a vote.

        States are those of the last layer alone, side a less side b [1, B, H].
        """
        rewards, features = self.rewards(model, tokens, features=states, **preference)
        return Scored(rewards, None, None if features is None else features[None])

    def compared(
        self, model: nn.Module, tokens: dict[str, Tensor], *, features: bool = False, **preference: Any
    ) -> Comparison:
        """Margins of B pairs, and with `features` their responses' pooled last states, a less b [B, H]."""
        rewards, states = self.rewards(model, tokens, features=features, **preference)
        return Comparison(rewards[:, 0] - rewards[:, 1], states)

    def rewards(
        self, model: nn.Module, tokens: dict[str, Tensor], *, features: bool = False, **preference: Any
    ) -> tuple[Tensor, Tensor | None]:
        """Rewards of both sides [B, 2] in float32, and the difference of their features [B, H] or None.

        A response that occurs several times in the batch goes through the model once.
        """
        both = (
            tokens["input_ids"] * 2 + tokens["attention_mask"]
        )  # padding may have the number of a real token
        rows, of_side = both.flatten(0, 1).unique(dim=0, return_inverse=True)  # [U, n], [2B]
        inputs = {"input_ids": rows // 2, "attention_mask": rows % 2}
        if "noise" in preference:  # the same for the whole batch
            preference["noise"] = preference["noise"][:1].expand(len(rows), -1)
        found, pooled = self.scored(model, inputs, features=features, **preference)
        rewards = found[of_side].unflatten(0, (-1, 2))  # [B, 2]
        if pooled is None:
            return rewards, None
        sides = pooled[of_side].unflatten(0, (-1, 2))  # [B, 2, H]
        return rewards, sides[:, 0] - sides[:, 1]

    def scored(
        self, model: nn.Module, inputs: dict[str, Tensor], *, features: bool = False, **preference: Any
    ) -> tuple[Tensor, Tensor | None]:
        """Rewards of R responses [R] in float32, and with `features` their pooled last states [R, H]."""
        output, _ = recorded_pass(model, inputs, output_hidden_states=features or None, **preference)
        rewards = output.logits.float().squeeze(-1)
        if not features:
            return rewards, None
        hidden = output.get("hidden_states")
        hidden = output.get("encoder_hidden_states") if hidden is None else hidden
        return rewards, mean_of_tokens(hidden[-1].float(), inputs["attention_mask"])


def _base_of(model: nn.Module) -> nn.Module:
    return model.get_base_model() if isinstance(model, PeftModel) else model


def _heads(model: nn.Module) -> list[nn.Module]:
    base = _base_of(model)
    parts = dict(base.named_children())
    return [parts[name] for name in head_modules(base)] if isinstance(base, PreTrainedModel) else []


def _check_template(template: str) -> None:
    if missing := [slot for slot in ("{text}", "{response}") if template.count(slot) != 1]:
        raise UsageError(
            f"the template needs the slot {missing[0]} once.", fix="Write it as '{text}\\n{response}'."
        )
