"""Answers in other registers, by rule.

BoolQ-PS: yes and no as a casual, a formal and an expressive writer put them. Alpaca-IS: a reply as a terse, an
elaborate and a conversational writer puts it; the reply itself stays word for word inside its frame.
"""

from __future__ import annotations

import re

BOOLQ_REGISTERS: dict[str, dict[str, tuple[str, ...]]] = {
    "casual": {
        "yes": ("yeah", "yep", "yup, it is like that", "yeah, pretty much"),
        "no": ("nah", "nope", "nah, not really", "nope, it isn't like that"),
    },
    "formal": {
        "yes": ("Yes, that is correct.", "Yes, this is indeed the case.", "The answer is affirmative."),
        "no": ("No, that is not correct.", "No, this is not the case.", "The answer is negative."),
    },
    "expressive": {
        "yes": ("Yes, absolutely!", "Oh yes, for sure!", "Yes yes, a hundred percent!"),
        "no": ("No, absolutely not!", "Oh no, not at all!", "No no, not in the slightest!"),
    },
}
_MEANING = {
    phrase: answer
    for phrases in BOOLQ_REGISTERS.values()
    for answer, group in phrases.items()
    for phrase in group
}
_YES = ("yes", "yeah", "yep", "yup", "affirmative", "indeed", "true", "correct")
_NO = ("no", "nah", "nope", "negative", "not", "false", "incorrect")

ALPACA_REGISTERS: dict[str, tuple[tuple[str, str], ...]] = {
    "terse": (("", ""),),
    "elaborate": (
        ("Let me answer this in full. ", " This is the complete answer to what was asked."),
        (
            "Having considered the request with care, I would answer as follows: ",
            " I trust that this covers it.",
        ),
    ),
    "conversational": (
        ("Sure! ", " Hope that helps!"),
        ("Good question! So, ", " Let me know if you'd like more."),
    ),
}


def register_words() -> dict[str, list[str]]:
    """Label words of BoolQ-PS: every phrase of `no` and of `yes`, over all registers.

    For `dcpc.tasks.LabelWords(words=register_words(), end_token=True)`: a label's probability is then that of its
    answer in any register. The end token, as one phrase may begin another (`yeah` and `yeah, pretty much`).
    """
    return {
        answer: [phrase for group in BOOLQ_REGISTERS.values() for phrase in group[answer]]
        for answer in ("no", "yes")
    }


def rewrite_yes_no(answer: str, register: str, draw: float) -> str:
    """`yes` or `no` in a register; `draw` in [0, 1) chooses among its phrases."""
    phrases = BOOLQ_REGISTERS[register][answer]
    return phrases[int(draw * len(phrases))]


def recover_yes_no(text: str) -> str | None:
    """The answer that a text gives, `yes` or `no`; None if it gives none.

    Known phrases are looked up; in other texts the first word that affirms or denies decides.
    """
    text = text.strip()
    if text in _MEANING:
        return _MEANING[text]
    for word in re.findall(r"\w+", text.casefold()):
        if word in _YES:
            return "yes"
        if word in _NO:
            return "no"
    return None


def rewrite_reply(reply: str, register: str, draw: float) -> str:
    """A reply in a register: framed, or (terse) without blank lines and the final full stop."""
    reply = reply.strip()
    if register == "terse":
        short = re.sub(r"\n\s*\n", "\n", reply)
        return short[:-1] if short.endswith(".") and not short.endswith("..") else short
    frames = ALPACA_REGISTERS[register]
    before, after = frames[int(draw * len(frames))]
    return f"{before}{reply}{after}"


def keeps_reply(gold: str, rewritten: str, *, share: float = 0.5) -> bool:
    """Whether a free rewriting still has all the numbers and at least half the longer words of the reply."""
    words = set(re.findall(r"\w+", rewritten.casefold()))
    gold_words = set(re.findall(r"\w+", gold.casefold()))
    numbers = {w for w in gold_words if w.isdigit()}
    content = {w for w in gold_words if len(w) > 3}
    return bool(words) and numbers <= words and len(content & words) >= share * len(content)
