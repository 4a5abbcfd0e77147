"""Under which labels a method is trained and tested: real annotations, those of a group, or simulated annotators."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from dcpc_bench.statistics.splits import Budget

Shifted = Literal["train", "test", "both"]

_BUDGET = re.compile(r"budget=(1|all)(?:@([1-9]\d*))?")
_POOL = re.compile(r"pool=([\w-]+)(?::(test|both))?@(0?\.\d+)")
_WRITTEN = re.compile(r"written=([\w-]+)")
_GROUPS = re.compile(r"group=([^:=>]+):([^>]+)>([^>]+)")


@dataclass(frozen=True)
class Groups:
    """One group of annotators for training and validation, and one for the test.

    Attributes:
        column: attribute of the judgements.
        train: its value for training and validation.
        test: its value for the test.
    """

    column: str
    train: str
    test: str


@dataclass(frozen=True)
class Condition:
    """One condition; its text is what suites, stores and tables say.

    - `budget=1`, `budget=all`: so many of the real annotations per item; the test has all of them.
    - `budget=1@500`, `budget=all@500`: the same on 500 training items, and at most three tenths as many for
      validation. The items of a smaller size are among those of a larger one.
    - `pool=NAME@NOISE`: annotators of a simulated pool judge the training items such that the share NOISE of
      their judgements differs from the clean label; the test has the clean labels.
    - `pool=NAME:test@NOISE`: they judge the test items instead, and training sees no conflict;
      `pool=NAME:both@NOISE`: they judge all.
    - `clean`: the same without any conflict, the control.
    - `written=NAME`: annotators without any conflict write what trains in registers of their own: their answers
      (`boolq-ps`) or what is asked (`record-r`); see `dcpc_bench.source_tasks.WRITINGS`. The test is as it was.
    - `group=COLUMN:ONE>OTHER`: train on all annotations of the annotators whose COLUMN is ONE, and test on those of
      OTHER; `group=gender:female>male`.

    Attributes:
        text: as above.
        budget: of real annotations; None for simulated ones.
        items: training items; None for as many as the suite's cap lets in.
        pool: the name of the pool.
        noise: asked-for share of judgements that differ from the clean label, 0 for the control.
        shifted: which side the pool judges.
        groups: of annotators; None for all.
        written: name of the way in which the training judgements are written; None for as they are.
    """

    text: str
    budget: Budget | None = None
    items: int | None = None
    pool: str | None = None
    noise: float = 0.0
    shifted: Shifted = "train"
    groups: Groups | None = None
    written: str | None = None

    @classmethod
    def parse(cls, text: str) -> Condition:
        """A condition from its text.

        Raises:
            ValueError: it is none; the message says what one looks like.
        """
        if text == "clean":
            return cls(text)
        match = _BUDGET.fullmatch(text)
        if match:
            return cls(
                text, budget=1 if match[1] == "1" else "all", items=int(match[2]) if match[2] else None
            )
        match = _POOL.fullmatch(text)
        if match and 0 < float(match[3]) < 1:
            side = cast("Shifted", match[2] or "train")
            return cls(text, pool=match[1], noise=float(match[3]), shifted=side)
        match = _WRITTEN.fullmatch(text)
        if match:
            return cls(text, written=match[1])
        match = _GROUPS.fullmatch(text)
        if match:
            return cls(text, groups=Groups(match[1], match[2], match[3]))
        raise ValueError(
            f'"{text}" is no condition: write budget=1, budget=all, budget=1@500, clean, pool=NAME@0.3, '
            "pool=NAME:both@0.3, written=NAME or group=COLUMN:ONE>OTHER"
        )
