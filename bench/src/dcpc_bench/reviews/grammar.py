"""A template grammar of short reviews whose sentiment strength is known.

review  → [opener] opinion [verdict]
opinion → clause | clause "and" clause | clause "but" clause        ("but" joins opposite signs)
clause  → aspect verb [adverb] adjective | aspect verb "not" adjective

strength(adverb adjective) = factor(adverb) · strength(adjective)
strength(not adjective)    = −½ · strength(adjective)
strength(review)           = weighted mean of its clauses and verdict; the clause after "but" and the
                             verdict weigh 2, all others 1; clipped to [−1, 1]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from dcpc_bench.reviews.vocabulary import ADJECTIVES, ADVERBS, CONTRASTS, OPENERS, TOPICS, VERDICTS

T = TypeVar("T")

LEAST_STRENGTH = 0.08
"""Reviews closer to neutral than this have no clean label and are not made."""
NEGATION = -0.5
"""Factor of "not" on the strength of the adjective after it."""


@dataclass(frozen=True)
class Review:
    """A text and its sentiment strength in [−1, 1], negative to positive."""

    text: str
    strength: float


def generate_reviews(count: int, seed: int) -> list[Review]:
    """`count` distinct reviews, half of them positive; the same seed gives the same reviews.

    Each review aims at a strength drawn uniformly from [−1, 1]; what its words add up to is its strength.
    """
    rng = np.random.default_rng(seed)
    wanted = {True: count // 2, False: count - count // 2}
    reviews: dict[str, Review] = {}
    while len(reviews) < count:
        review = _review(rng)
        positive = review.strength > 0
        if abs(review.strength) >= LEAST_STRENGTH and wanted[positive] and review.text not in reviews:
            reviews[review.text] = review
            wanted[positive] -= 1
    return list(reviews.values())


def _review(rng: np.random.Generator) -> Review:
    aim = rng.uniform(-1, 1)
    topic = _choice(rng, tuple(TOPICS))
    first, second = rng.permutation(len(TOPICS[topic]))[:2]
    sentences: list[str] = []
    if rng.random() < 0.5:
        sentences.append(_choice(rng, OPENERS).format(topic=topic))
    text, strength = _clause(rng, TOPICS[topic][first], aim)
    parts = [(strength, 1.0)]
    if rng.random() < 0.55:
        more, other = _clause(rng, TOPICS[topic][second], aim)
        against = strength * other < 0
        text = f"{text}, {_choice(rng, CONTRASTS)} {more}" if against else f"{text} and {more}"
        parts.append((other, 2.0 if against else 1.0))
    sentences.append(f"{text[0].upper()}{text[1:]}.")
    if rng.random() < 0.4:
        level = _near(rng, VERDICTS, aim)
        sentences.append(_choice(rng, VERDICTS[level]))
        parts.append((level, 2.0))
    total = sum(strength * weight for strength, weight in parts) / sum(weight for _, weight in parts)
    return Review(" ".join(sentences), float(np.clip(total, -1, 1)))


def _clause(rng: np.random.Generator, aspect: tuple[str, str], aim: float) -> tuple[str, float]:
    noun, verb = aspect
    if rng.random() < 0.15 and abs(aim) < 0.5:
        level = _near(rng, ADJECTIVES, aim / NEGATION)
        return f"{noun} {verb} not {_choice(rng, ADJECTIVES[level])}", NEGATION * level
    level = _near(rng, ADJECTIVES, aim)
    # Only plain adjectives take an adverb: "rather a real pleasure" is not English.
    word = _choice(rng, ADJECTIVES[level])
    adverb, factor = _choice(rng, ADVERBS) if " " not in word and abs(level) < 1 else ("", 1.0)
    return " ".join(part for part in (noun, verb, adverb, word) if part), factor * level


def _near(rng: np.random.Generator, levels: dict[float, tuple[str, ...]], aim: float) -> float:
    """The level nearest to the aim and some noise, so that the parts of a review differ in strength."""
    noisy = aim + 0.3 * rng.standard_normal()
    return min(levels, key=lambda level: abs(level - noisy))


def _choice(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]
