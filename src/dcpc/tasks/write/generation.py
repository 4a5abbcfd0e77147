"""Replies in a writer's style, or in the dominant one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import torch
from tqdm.auto import tqdm
from transformers import GenerationConfig, set_seed

from dcpc.data.raw import count
from dcpc.errors import UsageError
from dcpc.tasks.write.adapter import WritingAdapter
from dcpc.tasks.write.batches import ReplyCollator
from dcpc.tasks.write.chats import Chat

LONGEST = 256
"""Tokens of a reply at most, where nobody says how many."""


@dataclass(frozen=True)
class Generation:
    """How replies are generated.

    Attributes:
        max_new_tokens: tokens of a reply at most; None for 256, or half of what prompt and reply may have
            together where that is less.
        temperature: 0 takes the most likely token every time; above 0, tokens are drawn.
        top_p: of the tokens to draw from, the most likely ones that make up this probability.
        top_k: how many of the most likely tokens to draw from; 0 for all.
        repetition_penalty: above 1 makes tokens that were there already less likely.
        num_beams: replies that are followed at once; the likeliest is kept.
        seed: of the draws.
    """

    max_new_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    num_beams: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = {
            "max_new_tokens": self.max_new_tokens is not None and self.max_new_tokens < 1,
            "temperature": self.temperature < 0,
            "top_p": not 0 < self.top_p <= 1,
            "top_k": self.top_k < 0,
            "repetition_penalty": self.repetition_penalty <= 0,
            "num_beams": self.num_beams < 1,
        }
        for name, is_wrong in wrong.items():
            if is_wrong:
                raise UsageError(f"`{name}` cannot be {asdict(self)[name]}.", fix="Give e.g. the default.")

    def config(self, end_ids: list[int], pad_id: int) -> GenerationConfig:
        """The settings as transformers takes them."""
        drawn = {}
        if self.temperature > 0:
            drawn = {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k}
        return GenerationConfig(
            max_new_tokens=self.max_new_tokens,
            do_sample=self.temperature > 0,
            repetition_penalty=self.repetition_penalty,
            num_beams=self.num_beams,
            eos_token_id=end_ids,
            pad_token_id=pad_id,
            **drawn,
        )


@torch.no_grad()
def write_replies(
    adapter: WritingAdapter,
    prompts: Sequence[Chat],
    writers: Sequence[str | None] | None = None,
    settings: Generation | None = None,
    *,
    batch_size: int = 8,
    progress: bool = False,
    notes: list[str] | None = None,
) -> list[str]:
    """Generate a reply to each prompt, in the style of its writer.

    Prompts are read longest first in padded batches, which changes no reply as long as tokens are not drawn.

    Args:
        adapter: from `train_writers` or `load_writing_adapter`.
        prompts: R chats that end with what is to be answered.
        writers: R ids; None, unknown ones, or leaving the argument out give the dominant style.
        settings: how to generate.
        batch_size: prompts at a time.
        progress: show a progress bar.
        notes: gets what was cut, one sentence each, for the user.

    Returns:
        R replies, without the tokens that end them.

    Raises:
        UsageError: prompts and writers are not as many, or a reply has no room.
        DataError: a prompt cannot be written in the chat template.
    """
    settings = Generation() if settings is None else settings
    longest = settings.max_new_tokens or min(LONGEST, adapter.task.max_length // 2)
    settings = replace(settings, max_new_tokens=longest)
    writers = [None] * len(prompts) if writers is None else writers
    if len(writers) != len(prompts):
        raise UsageError(f"{len(prompts)} prompts were given with {len(writers)} writers.")
    if longest >= adapter.task.max_length:
        raise UsageError(
            f"a reply of {longest} tokens leaves no room for a prompt: the adapter was trained on "
            f"{adapter.task.max_length} tokens together.",
            fix=f"Generate at most half as many: --max-new-tokens {adapter.task.max_length // 2}.",
        )
    format = adapter.format()
    examples = [format.example(prompt, room=longest) for prompt in prompts]
    numbers = adapter.writer_numbers(writers)
    # Anything can pad, as nothing attends to it.
    pad_id = adapter.tokenizer.pad_token_id
    pad_id = adapter.tokenizer.eos_token_id if pad_id is None else pad_id
    config, collate = settings.config(format.end_ids, pad_id), ReplyCollator(pad_id, "left")
    order = sorted(range(len(prompts)), key=lambda place: -len(examples[place].prompt))
    replies = [""] * len(prompts)
    set_seed(settings.seed)
    unfinished = 0
    for start in tqdm(range(0, len(order), batch_size), "Writing", leave=False, disable=not progress):
        places = order[start : start + batch_size]
        batch = collate([{"prompt": examples[place].prompt, "reply": [], "writer": -1} for place in places])
        inputs = {name: batch[name].to(adapter.device) for name in ("input_ids", "attention_mask")}
        if numbers is not None:
            inputs["annotator_ids"] = numbers[places]
        tokens = adapter.model.generate(**inputs, generation_config=config)
        for place, row in zip(places, tokens[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
            replies[place] = format.text(row)
            unfinished += not set(row) & set(format.end_ids)
    if notes is not None:
        notes += format.cuts.notes(adapter.task.max_length)
        if unfinished:
            notes.append(
                f"{count(unfinished, 'reply', 'replies')} cut off at {settings.max_new_tokens} tokens. "
                "Raise it with --max-new-tokens."
            )
    return replies
