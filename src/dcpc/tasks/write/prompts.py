"""From chats to tokens: the prompt as the chat template writes it, and the reply with the token that ends it.

    [ template(turns before the reply), opened for the assistant ][ reply ][ end of turn ]
      prompt tokens: read, not learned                              learned

Prompt and reply are tokenised apart, so that training sees exactly the prompt tokens that generation will see. A chat
of several turns gives one example for every reply in it: then what is read before a reply (and what the correction
module pools) is what stands before it, never what came after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from dcpc.data.raw import count
from dcpc.errors import DataError, ModelError
from dcpc.tasks.write.chats import Chat, replies_in

PROBE = "dcpc-probe"
SMALLEST_CUT = 8
"""Tokens by which a prompt that is too long is shortened at least, so that a few rounds are enough."""


@dataclass(frozen=True)
class Example:
    """Tokens of one prompt, and of the reply to it (none where it shall be generated)."""

    prompt: list[int]
    reply: list[int]


@dataclass
class Cuts:
    """What had to be changed to fit chats to the model, counted.

    Attributes:
        prompts: prompts of which a turn was shortened.
        replies: replies that were cut; they end without the token that ends a reply.
        systems: system turns that the template drops, moved into the first turn of the user.
    """

    prompts: int = 0
    replies: int = 0
    systems: int = 0

    def notes(self, max_length: int) -> list[str]:
        """One sentence for each kind, for the user."""
        notes = []
        if self.prompts:
            notes.append(
                f"{count(self.prompts, 'prompt')} shortened to fit into {max_length} tokens: the longest turn lost "
                "its end, the template is whole. Raise it with --set max_length=…."
            )
        if self.replies:
            notes.append(
                f"{count(self.replies, 'reply', 'replies')} cut at {max_length} tokens with the prompt; they are "
                "learned without their end. Raise it with --set max_length=…."
            )
        if self.systems:
            notes.append(
                f"The chat template drops the system turn: in {count(self.systems, 'chat')} it was put in front of "
                "the first turn of the user."
            )
        return notes


@dataclass
class PromptFormat:
    """How chats become tokens for one tokenizer.

    Without a chat template, turns are written as `User: …` and `Assistant: …`, and the end token ends a reply.

    Args:
        tokenizer: of the base model.
        max_length: tokens of prompt and reply together.
        system: a system prompt for chats that have none.

    Raises:
        ModelError: the tokenizer has no token that could end a reply, or its template cannot write a plain chat.
    """

    tokenizer: PreTrainedTokenizerBase
    max_length: int
    system: str | None = None
    cuts: Cuts = field(default_factory=Cuts, init=False)

    def __post_init__(self) -> None:
        self.has_template = bool(getattr(self.tokenizer, "chat_template", None))
        if self.tokenizer.eos_token_id is None:
            raise ModelError(
                "the tokenizer has no end token, so a model could not learn where a reply ends.",
                where=str(self.tokenizer.name_or_path),
                fix="Use a base model whose tokenizer has an eos_token.",
            )
        self.keeps_system = not self.has_template or self._keeps_system()
        self.ending = self._ending()
        """Tokens that end a reply: what the template closes a turn of the assistant with."""

    @property
    def end_ids(self) -> list[int]:
        """Tokens at which generation stops."""
        return list(dict.fromkeys([self.ending[-1], self.tokenizer.eos_token_id]))

    def examples(self, chat: Chat) -> list[Example]:
        """One example for every reply in a chat.

        Raises:
            DataError: if the template alone takes all the room.
        """
        return [self.example(chat[:place], chat[place]["content"]) for place in replies_in(chat)]

    def example(self, prompt: Chat, reply: str | None = None, room: int | None = None) -> Example:
        """The tokens of a prompt, shortened where needed, and of a reply to it.

        Args:
            prompt: the turns before the reply.
            reply: None to read the prompt only.
            room: tokens to leave for the reply; by default what it takes, but at most half of `max_length`.
        """
        tokens = [] if reply is None else [*self._ids(self._spoken(reply)), *self.ending]
        room = min(len(tokens), self.max_length // 2) if room is None else room
        read = self._fitted(self._with_system(prompt), self.max_length - room)
        rest = self.max_length - len(read)
        self.cuts.replies += len(tokens) > rest
        return Example(read, tokens[:rest])

    def text(self, tokens: Sequence[int]) -> str:
        """The reply that some generated tokens say: up to the first token that ends it."""
        ends = [place for place, token in enumerate(tokens) if token in self.end_ids]
        kept = tokens[: ends[0]] if ends else tokens
        return self.tokenizer.decode(kept, skip_special_tokens=True).strip()

    def _fitted(self, prompt: Chat, room: int) -> list[int]:
        """Tokens of a prompt, of which the longest turn is shortened until they fit."""
        tokens, cut = self._ids(self._opened(prompt)), False
        while len(tokens) > room:
            lengths = [len(self._ids(turn["content"])) for turn in prompt]
            longest = max(range(len(prompt)), key=lengths.__getitem__)
            if lengths[longest] <= 1:
                raise DataError(
                    f"the chat template alone takes {len(tokens)} tokens, and a prompt may take {room}.",
                    fix="Raise max_length, e.g. --set max_length=512.",
                )
            kept = max(1, lengths[longest] - max(len(tokens) - room, SMALLEST_CUT))
            short = self.tokenizer.decode(self._ids(prompt[longest]["content"])[:kept])
            prompt = [*prompt[:longest], {**prompt[longest], "content": short}, *prompt[longest + 1 :]]
            tokens, cut = self._ids(self._opened(prompt)), True
        self.cuts.prompts += cut
        return tokens

    def _with_system(self, prompt: Chat) -> Chat:
        """The chat with the system prompt of this format, and where the template drops it, inside the first turn."""
        if self.system is not None and prompt[0]["role"] != "system":
            prompt = [{"role": "system", "content": self.system}, *prompt]
        if self.keeps_system or prompt[0]["role"] != "system" or len(prompt) == 1:
            return prompt
        self.cuts.systems += 1
        said = f"{prompt[0]['content']}\n\n{prompt[1]['content']}"
        return [{**prompt[1], "content": said}, *prompt[2:]]

    def _opened(self, prompt: Chat) -> str:
        """The text of a prompt, up to where the assistant begins to speak."""
        if self.has_template:
            return self._templated(prompt, opened=True)
        names = {"user": "User: ", "assistant": "Assistant: ", "system": ""}
        said = [f"{names[turn['role']]}{turn['content'].strip()}" for turn in prompt]
        return "\n\n".join([*said, "Assistant:"])

    def _spoken(self, reply: str) -> str:
        return reply.strip() if self.has_template else f" {reply.strip()}"

    def _templated(self, chat: Chat, *, opened: bool) -> str:
        try:
            return self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=opened)
        except (TemplateError, TypeError, ValueError) as error:
            roles = ", ".join(turn["role"] for turn in chat)
            raise DataError(
                f"the chat template refuses a chat of the turns {roles}: {' '.join(str(error).split())[:150]}.",
                fix="Let turns of user and assistant follow each other, beginning with the user.",
            ) from error

    def _keeps_system(self) -> bool:
        try:
            text = self._templated(
                [{"role": "system", "content": PROBE}, {"role": "user", "content": "?"}], opened=True
            )
        except DataError:
            return False
        return PROBE in text

    def _ending(self) -> list[int]:
        """What the template writes after a reply, up to its first special token; the end token where it has none."""
        end = [self.tokenizer.eos_token_id]
        if not self.has_template:
            return end
        chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": PROBE}]
        _, found, after = self._templated(chat, opened=False).rpartition(PROBE)
        if not found:
            raise ModelError(
                "the chat template leaves out what the assistant says.",
                where=str(self.tokenizer.name_or_path),
                fix="Use a base model with a chat template for conversations, or remove its chat template.",
            )
        tokens, special = self._ids(after), set(self.tokenizer.all_special_ids)
        special |= set(getattr(self.tokenizer, "added_tokens_decoder", {}))
        ends = [place for place, token in enumerate(tokens) if token in special]
        return tokens[: ends[0] + 1] if ends else end

    def _ids(self, text: str) -> list[int]:
        # Templates write the first token themselves; without one, the tokenizer's own marks are not for chats.
        return self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
