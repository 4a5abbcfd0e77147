"""A language model as a judge of replies, behind any endpoint that speaks OpenAI's chat completions.

The judge sees a prompt, a reply of the writer that shows the style, and two replies; it says which of the two is more
in that style. Both orders are asked, since judges prefer a side: where they contradict each other it is a tie (Zheng
et al. 2023, arXiv:2306.05685).

The endpoint stands in the environment, so that no key reaches a file or a command line:

    DCPC_JUDGE_URL     base address, e.g. http://localhost:8000/v1 (vLLM, llama.cpp, Ollama, any provider)
    DCPC_JUDGE_MODEL   the model's name there
    DCPC_JUDGE_KEY     the key, where it asks for one

Answers are kept in a folder, one file each, by the hash of what was asked: asking again costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal

from dcpc.errors import DCPCError, UsageError
from dcpc.files import atomic_file
from dcpc.tasks.write.chats import Chat, as_text

Verdict = Literal["a", "b", "tie"]

SETUP = (
    "Set DCPC_JUDGE_URL to the base address of an OpenAI-compatible endpoint (as http://localhost:8000/v1) and "
    "DCPC_JUDGE_MODEL to the model's name there; DCPC_JUDGE_KEY where it asks for a key."
)
PASSING = (408, 409, 429, 500, 502, 503, 504)
"""HTTP statuses after which asking again can help."""
LONGEST_WAIT = 60.0

QUESTION = """You compare how two replies are written, not what they say.

[Instruction]
{prompt}

[A reply of the writer to another instruction, which shows the style]
{example}

[Reply A]
{first}

[Reply B]
{second}

Which reply is more in the style of the writer: length, tone, layout, choice of words?
Answer with one word: A, B or TIE."""


class JudgeError(DCPCError):
    """The endpoint cannot be reached, refuses, or answers something else than was asked for."""


@dataclass
class Usage:
    """What a judge has used: requests that were sent, answers that were found in the cache, and tokens."""

    requests: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __str__(self) -> str:
        return (
            f"{self.requests:,} requests ({self.cached:,} more from the cache), {self.prompt_tokens:,} tokens read, "
            f"{self.completion_tokens:,} written"
        )


@dataclass
class Judge:
    """Asks a model behind an endpoint.

    Attributes:
        url: base address, to which `/chat/completions` is added.
        model: its name there.
        key: sent as a bearer token; None for none.
        cache: folder of answers; None keeps none.
        retries: how often to ask again after a failure that can pass.
        timeout: seconds to wait for one answer.
        wait: seconds before the first retry; twice as long before each further one.
        sleep: waits; replaced in tests.
        usage: what was used so far.
    """

    url: str
    model: str
    key: str | None = field(default=None, repr=False)
    cache: Path | None = None
    retries: int = 4
    timeout: float = 60.0
    wait: float = 1.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    usage: Usage = field(default_factory=Usage)

    @classmethod
    def from_environment(cls, cache: Path | None = None) -> Judge:
        """The judge that the environment names.

        Raises:
            UsageError: it names none.
        """
        url, model = os.environ.get("DCPC_JUDGE_URL", ""), os.environ.get("DCPC_JUDGE_MODEL", "")
        if not url or not model:
            missing = "DCPC_JUDGE_URL" if not url else "DCPC_JUDGE_MODEL"
            raise UsageError(f"no judge is configured: {missing} is not set.", fix=SETUP)
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"DCPC_JUDGE_URL is no web address: {url!r}.", fix=SETUP)
        return cls(url, model, os.environ.get("DCPC_JUDGE_KEY") or None, cache)

    def prefers(self, prompt: Chat, example: str, first: str, second: str) -> Verdict:
        """Which of two replies is more in the style that an example shows: `a` the first, `b` the second, or `tie`.

        Raises:
            JudgeError: the endpoint cannot be reached or refuses.
        """
        said = as_text(prompt)
        one = _letter(self.ask(QUESTION.format(prompt=said, example=example, first=first, second=second)))
        other = _letter(self.ask(QUESTION.format(prompt=said, example=example, first=second, second=first)))
        if {one, other} != {"A", "B"}:  # a tie, or the same side in both orders
            return "tie"
        return "a" if one == "A" else "b"

    def win_rate(
        self, prompts: Sequence[Chat], examples: Sequence[str], ours: Sequence[str], theirs: Sequence[str]
    ) -> float:
        """Share of prompts at which our reply is more in the style than theirs; ties count half."""
        points = {"a": 1.0, "tie": 0.5, "b": 0.0}
        each = zip(prompts, examples, ours, theirs, strict=True)
        found = [points[self.prefers(*one)] for one in each]
        return sum(found) / len(found)

    def ask(self, question: str) -> str:
        """The model's answer to one question, from the cache where it was asked before.

        Raises:
            JudgeError: the endpoint cannot be reached or refuses.
        """
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": question}],
            "temperature": 0,
            "max_tokens": 16,
        }
        kept = self._kept(body)
        if kept is not None and kept.is_file():
            try:
                answer = json.loads(kept.read_text(encoding="utf-8"))["answer"]
            except (OSError, ValueError, KeyError, TypeError):
                pass  # cut off by something else than us: ask again
            else:
                self.usage.cached += 1
                return str(answer)
        answer = self._answer(self._send(body))
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(kept) as path:
                path.write_text(json.dumps({"asked": body, "answer": answer}), encoding="utf-8")
        return answer

    def _kept(self, body: Mapping[str, Any]) -> Path | None:
        if self.cache is None:
            return None
        asked = json.dumps({"url": self.url, **body}, sort_keys=True)
        return self.cache / f"{hashlib.sha256(asked.encode()).hexdigest()}.json"

    def _send(self, body: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        address = f"{self.url.rstrip('/')}/chat/completions"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        for attempt in range(self.retries + 1):
            self.usage.requests += 1
            try:
                with urllib.request.urlopen(request, timeout=self.timeout) as response:
                    return json.loads(response.read())
            except urllib.error.HTTPError as error:
                wait, passing = _asked_to_wait(error), error.code in PASSING
                said = error.read()[:200].decode("utf-8", "replace")
                problem = f"it answered {error.code}: {' '.join(said.split())}"
            except (OSError, HTTPException, ValueError) as error:
                wait, passing, problem = None, True, str(error)
            if not passing or attempt == self.retries:
                raise JudgeError(
                    f"the judge gave no answer: {problem}.",
                    where=address,
                    fix="Check DCPC_JUDGE_URL, DCPC_JUDGE_MODEL and DCPC_JUDGE_KEY, and that the endpoint runs.",
                )
            self.sleep(min(self.wait * 2**attempt if wait is None else wait, LONGEST_WAIT))
        raise AssertionError  # the last attempt returns or raises

    def _answer(self, content: Any) -> str:
        try:
            answer = content["choices"][0]["message"]["content"]
            usage = content.get("usage") or {}
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise JudgeError(
                f"the endpoint answered in another form than chat completions: {str(content)[:150]}.",
                where=self.url,
                fix=SETUP,
            ) from error
        self.usage.prompt_tokens += int(usage.get("prompt_tokens") or 0)
        self.usage.completion_tokens += int(usage.get("completion_tokens") or 0)
        return str(answer or "")


def _asked_to_wait(error: urllib.error.HTTPError) -> float | None:
    """Seconds after which a busy endpoint wants to be asked again."""
    try:
        return max(0.0, float(error.headers.get("Retry-After", "")))
    except ValueError:
        return None


def _letter(answer: str) -> str:
    words = answer.strip().strip("*.\"'[]() ").upper().split()
    word = words[0].strip("*.,:;\"'[]()") if words else ""
    return word if word in ("A", "B") else "TIE"
