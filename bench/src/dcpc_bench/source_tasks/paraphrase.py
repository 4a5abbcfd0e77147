"""ReCoRD-R: cloze queries paraphrased by rule. The placeholder and every name stay as they are.

The paper publishes no recipe; this one is ours. Three ways of writing the same query:
`plain` spells contractions out, `informal` contracts, `attributed` names the source in front.
"""

from __future__ import annotations

import re

PLACEHOLDER = "@placeholder"
RECORD_REGISTERS = ("plain", "informal", "attributed")

_EXPANSIONS = (
    (r"\bcan't\b", "cannot"),
    (r"\bwon't\b", "will not"),
    (r"(?<=\w)n't\b", " not"),
    (r"(?<=\w)'re\b", " are"),
    (r"(?<=\w)'ve\b", " have"),
    (r"(?<=\w)'ll\b", " will"),
    (r"\bI'm\b", "I am"),
)
_VERBS = ("is", "are", "was", "were", "has", "have", "had", "does", "do", "did", "would", "could")
_CONTRACTIONS = (
    ("cannot", "can't"),
    ("will not", "won't"),
    *((f"{verb} not", f"{verb}n't") for verb in _VERBS),
    ("I am", "I'm"),
    ("I have", "I've"),
    ("they are", "they're"),
    ("we are", "we're"),
)
_ATTRIBUTIONS = ("According to the article: ", "The report has it that: ", "As the story goes on to say: ")


def paraphrase_query(query: str, register: str, draw: float) -> str:
    """The same query in other words, with the same placeholders.

    Args:
        query: a cloze query with `@placeholder`.
        register: one of `RECORD_REGISTERS`.
        draw: in [0, 1), chooses among equivalent phrases.
    """
    if register == "attributed":
        return _ATTRIBUTIONS[int(draw * len(_ATTRIBUTIONS))] + query
    query = query.replace("’", "'")
    if register == "plain":
        for short, long in _EXPANSIONS:
            query = re.sub(short, long, query)
        return query
    for long, short in _CONTRACTIONS:
        query = re.sub(rf"\b{long}\b", short, query)
    return query


def keeps_query(query: str, rewritten: str) -> bool:
    """Whether a free rewriting has as many placeholders, and all the capitalised names, of the query."""
    names = set(re.findall(r"(?<=\s)[A-Z]\w+", query))
    same = rewritten.count(PLACEHOLDER) == query.count(PLACEHOLDER)
    return same and all(name in rewritten for name in names)
