"""The words of the demo's reviews; every opinion word has a strength in [−1, 1]."""

from __future__ import annotations

TOPICS: dict[str, tuple[tuple[str, str], ...]] = {
    "café": (
        ("the coffee", "was"),
        ("the service", "was"),
        ("the cakes", "were"),
        ("the staff", "were"),
        ("the terrace", "was"),
        ("the menu", "was"),
        ("the breakfast", "was"),
    ),
    "film": (
        ("the plot", "was"),
        ("the acting", "was"),
        ("the soundtrack", "was"),
        ("the dialogues", "were"),
        ("the ending", "was"),
        ("the camera work", "was"),
        ("the costumes", "were"),
    ),
    "hotel": (
        ("the room", "was"),
        ("the bed", "was"),
        ("the reception", "was"),
        ("the view", "was"),
        ("the pool", "was"),
        ("the towels", "were"),
        ("the location", "was"),
    ),
    "phone": (
        ("the battery", "was"),
        ("the screen", "was"),
        ("the camera", "was"),
        ("the speakers", "were"),
        ("the keyboard", "was"),
        ("the packaging", "was"),
        ("the price", "was"),
    ),
    "book": (
        ("the story", "was"),
        ("the characters", "were"),
        ("the style", "was"),
        ("the first chapter", "was"),
        ("the translation", "was"),
        ("the cover", "was"),
        ("the last part", "was"),
    ),
}
"""Aspects of each topic, with the verb that agrees with them."""

ADJECTIVES: dict[float, tuple[str, ...]] = {
    1.0: ("outstanding", "magnificent", "perfect", "superb", "brilliant", "wonderful"),
    0.75: ("great", "excellent", "impressive", "lovely", "delightful", "a real pleasure"),
    0.5: ("good", "pleasant", "solid", "likeable", "nice", "commendable"),
    0.25: ("decent", "all right", "acceptable", "fine", "reasonable", "adequate"),
    -0.25: ("mediocre", "so-so", "forgettable", "a bit plain", "unremarkable", "middling"),
    -0.5: ("disappointing", "weak", "poor", "unpleasant", "dull", "annoying"),
    -0.75: ("bad", "lousy", "frustrating", "shoddy", "unacceptable", "miserable"),
    -1.0: ("terrible", "dreadful", "awful", "horrible", "appalling", "disastrous"),
}
"""Adjectives that fit any aspect, by strength."""

ADVERBS: tuple[tuple[str, float], ...] = (
    ("", 1.0),
    ("", 1.0),
    ("", 1.0),
    ("somewhat", 0.6),
    ("rather", 0.8),
    ("really", 1.2),
    ("truly", 1.3),
)
"""Adverbs and the factor that they put on an adjective's strength; the empty one is the most frequent."""

VERDICTS: dict[float, tuple[str, ...]] = {
    1.0: ("I have never been happier with a choice.", "Go and see for yourself at once."),
    0.75: ("I would gladly pay for it again.", "I keep telling my friends about it."),
    0.5: ("I will be back.", "It was worth the money."),
    0.25: ("Nothing much to complain about.", "It does its job."),
    -0.25: ("I had hoped for a little more.", "I doubt that I will remember it."),
    -0.5: ("Once was enough for me.", "I would look for something else."),
    -0.75: ("I regret the money.", "I told my friends to stay away."),
    -1.0: ("I want every cent back.", "Never again in my life."),
}
"""Whole sentences without an aspect, by strength."""

OPENERS: tuple[str, ...] = (
    "It was a Tuesday.",
    "My sister chose this {topic}.",
    "It was a rainy weekend.",
    "I had read a lot about this {topic}.",
    "A colleague had told me about it.",
    "This {topic} was a birthday present.",
    "I took my time with it.",
    "It was our second try.",
    "I write few reviews.",
    "We had half a day to spare.",
)
"""First sentences that say nothing about quality."""

CONTRASTS: tuple[str, ...] = ("but", "though", "yet")
"""Between two clauses of different sign: the second clause is the point that counts."""
