"""Under which labels a method is trained: a budget of real annotations, or simulated annotators."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dcpc.evaluation.splits import Budget

_POOL = re.compile(r"pool=([\w-]+)@(0?\.\d+)")


@dataclass(frozen=True)
class Condition:
    """One condition; its text is what suites, stores and tables say.

    - `budget=1`, `budget=all`: so many of the real annotations per item; the test has all of them.
    - `pool=NAME@NOISE`: annotators of a simulated pool judge the training items such that the share NOISE of
      their judgements differs from the clean label; the test has the clean labels.
    - `clean`: the same without any conflict, the control.

    Attributes:
        text: as above.
        budget: of real annotations; None for simulated ones.
        pool: the name of the pool.
        noise: asked-for share of judgements that differ from the clean label, 0 for the control.
    """

    text: str
    budget: Budget | None = None
    pool: str | None = None
    noise: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Condition:
        """A condition from its text.

        Raises:
            ValueError: it is none; the message says what one looks like.
        """
        if text == "clean":
            return cls(text)
        if text in ("budget=1", "budget=all"):
            return cls(text, budget=1 if text == "budget=1" else "all")
        match = _POOL.fullmatch(text)
        if match and 0 < float(match[2]) < 1:
            return cls(text, pool=match[1], noise=float(match[2]))
        raise ValueError(f'"{text}" is no condition: write budget=1, budget=all, pool=NAME@0.3 or clean')
