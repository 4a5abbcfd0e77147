"""What the figures say, in sentences: for the page, the terminal and the notes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from scipy.stats import norm

from dcpc.data.advice import labels_option
from dcpc.data.annotations import Annotations
from dcpc.data.raw import count
from dcpc.inspection.agreement import FEWEST_FOR_INTERVAL, Agreement, Overlap
from dcpc.inspection.annotators import AnnotatorBias, Decomposition
from dcpc.inspection.groups import Groups
from dcpc.inspection.preferences import COIN_FLIPS, Preferences
from dcpc.inspection.shares import Share
from dcpc.report.page import format_number, format_percent

MOST_EXAMPLE_LABELS = 6
"""Labels that are written out where their order is to be named."""

_HABITS = (
    ("ties", "call ties"),
    ("longer", "choose the longer response"),
    ("first", "choose the first side"),
)

_FEWEST_JUDGEMENTS = 10
"""Judgements of one annotator below which no remark is made about their habits."""


def read_alpha(agreement: Agreement, overlap: Overlap) -> str:
    """Alpha in words, by Krippendorff's customary bounds .667 and .800, with what keeps it from saying much."""
    alpha = agreement.alpha
    if agreement.items == 0:
        return "cannot be computed: no item has two judgements"
    if alpha is None:
        return "cannot be computed: only one label was used"
    if agreement.items < FEWEST_FOR_INTERVAL:
        return f"from {count(agreement.items, 'item')} only, too few to say anything"
    top, times = max(overlap.label_counts.items(), key=lambda pair: pair[1])
    share = times / max(overlap.judgements, 1)
    if alpha < 0.667 and share >= 0.9 and (agreement.pairwise or 0) >= 0.8:
        return (
            f'low because "{top}" has {format_percent(share)} of the judgements, which leaves little to agree on '
            f"beyond chance: look at the pairwise agreement, {format_percent(agreement.pairwise)}"
        )
    low, high = agreement.alpha_low, agreement.alpha_high
    if alpha >= 0.8:
        unsure = "" if low is None or low >= 0.8 else ", though the interval reaches below it"
        return f"at or above .800, the customary bound for reliable labels{unsure}"
    if alpha >= 0.667:
        return "between .667 and .800: usable for tentative conclusions by the usual convention"
    if alpha > 0.05 and (low is None or low > 0):
        return "below .667: by the usual convention a vote over these labels is not a reliable target"
    if alpha < -0.2:
        return (
            "far below what chance would give: two people differ more on one item than on different ones. Look for "
            "somebody whose scale is turned around, and whether the rows of an item belong together"
        )
    if alpha < 0 and high is not None and high < 0:
        return "below what chance would give"
    return "about what chance would give"


def verdict(decomposition: Decomposition) -> str:
    """One or two sentences: how much of the disagreement is preference."""
    share, chance = decomposition.preference, decomposition.chance
    if share is None or chance is None:
        return f"It cannot be told how much is preference: {decomposition.reason}."
    if share <= chance and chance >= 0.5:
        return (
            "It cannot be told how much is preference: with so few judgements shuffled labels reach "
            f"{format_percent(chance)}."
        )
    if share <= chance:
        return (
            f"No constant leaning shows: the annotators' own leanings explain {format_percent(share)} of the "
            f"differences inside items, no more than shuffled labels do ({format_percent(chance, 1)}). Tastes about "
            "some items only would not show here."
        )
    return (
        f"About {format_percent(share)} of the differences inside items (95 % interval "
        f"{format_percent(decomposition.low)} to {format_percent(decomposition.high)}) come back with the annotator: "
        f"preference. The other {format_percent(1 - share)} do not, and count as noise here."
    )


def explain_scale(annotations: Annotations, *, given: bool) -> str:
    """Why labels are on their scale, by the rules of `dcpc.data.scales`, and how to set another."""
    scale, labels = annotations.scale, annotations.labels
    if given:
        return f"The scale was set: {scale}."
    if scale == "preference":
        return "The scale is preference, because the table has two responses; `--scale nominal` sets another."
    if scale == "ordinal":
        return (
            f"The labels are more than two numbers, so they were read as ordinal, from {labels[0]} to {labels[-1]}. "
            "Where numbers are only names of classes, say `--scale nominal`: alpha and the leanings then change."
        )
    reason = "There are fewer than three labels" if len(labels) < 3 else "The labels are not all numbers"
    told = (
        f"{reason}, so they were read as nominal. Where they have an order, name all of them from low to high"
    )
    if len(labels) > MOST_EXAMPLE_LABELS:
        return f"{told}, with --scale ordinal and --labels."
    return f"{told}: `--scale ordinal {labels_option(labels)}`."


def limits(overlap: Overlap, parts: int) -> list[str]:
    """What the sizes keep from being said."""
    notes = []
    if overlap.labels_per_item.high == 1:
        notes.append(
            "Every item has one label, or shares alone: agreement, bias, groups and preference cannot be measured. "
            "Have at least a part of the items labelled by two annotators or more."
        )
    elif overlap.single_label_items:
        single = overlap.single_label_items
        notes.append(
            f"{count(single, 'item')} {'has' if single == 1 else 'have'} one label and "
            f"{'says' if single == 1 else 'say'} nothing about agreement."
        )
    if overlap.annotators == 0:
        notes.append("Annotators are not named: bias, groups and preference cannot be measured.")
    if overlap.repeated:
        notes.append(
            f"{count(overlap.repeated, 'judgement')} of an item that the annotator had judged already: "
            "where annotators are compared, the first one counts."
        )
    if parts > 1:
        notes.append(
            f"Annotators fall into {parts:,} parts that share no item: how people of one part would judge the items "
            "of another cannot be told, and groups are looked for in the largest part."
        )
    return notes


def remarkable(bias: Sequence[AnnotatorBias]) -> list[str]:
    """Annotators who should be looked at before their labels are used: a single label, or turned around."""
    bound = bonferroni_z(max(len(bias), 1))
    enough = [b for b in bias if b.judgements >= _FEWEST_JUDGEMENTS]
    constant = [b for b in enough if b.constant and b.z > bound]
    notes = []
    if constant:
        shown = _some(f'{b.annotator} ("{b.leaning}", {count(b.judgements, "item")})' for b in constant)
        notes.append(
            f"One label on every item, where the others gave several: {shown}. This counts as a leaning, hence as "
            "preference; look whether they read the items."
        )
    against = [b for b in enough if 0 < b.chance < 1 and _below_chance(b) < -bound]
    if against:
        shown = _some(
            f"{b.annotator} ({format_percent(b.agreement)} instead of {format_percent(b.chance)})"
            for b in against
        )
        notes.append(
            f"Agreement with the others below that of independent labels: {shown}. Look for a scale that is turned "
            "around, or rows that belong to other items."
        )
    return notes


def _below_chance(bias: AnnotatorBias) -> float:
    """The z of agreement less chance; binomial variance, which is more than a mean of shares has."""
    return float((bias.agreement - bias.chance) / (bias.chance * (1 - bias.chance) / bias.judgements) ** 0.5)


def alike_names(annotators: Iterable[str]) -> list[str]:
    """A note on ids that differ in capitals, spaces or punctuation only, where there are some."""
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in annotators:
        plain = "".join(c for c in str(name).casefold() if c.isalnum())
        if plain:
            spellings[plain].append(str(name))
    pairs = [names for names in spellings.values() if len(names) > 1]
    pairs = [names for names in pairs if not all(_is_number(name) for name in names)]
    if not pairs:
        return []
    shown = _some(" and ".join(f'"{name}"' for name in sorted(names)) for names in pairs)
    return [f"Counted as different annotators, though written almost alike: {shown}."]


def _is_number(name: str) -> bool:
    return not any(c.isalpha() for c in name)  # 1-2 and 12 are two ids, not two spellings


def sample_of_groups(groups: Groups) -> str:
    """Whom the groups were looked for among, where not among all; else empty."""
    if groups.clustered >= groups.of:
        return ""
    return f"Looked for among {groups.clustered:,} of {groups.of:,} annotators."


def preference_sentences(preferences: Preferences) -> list[str]:
    """What the votes say, a sentence each."""
    p = preferences
    sentences = [f"A tie is called in {_with_interval(p.ties)} of the votes."]
    if p.longer.n:
        sentences.append(f"Of the votes for a side {_with_interval(p.longer)} go to the longer response.")
    if p.first.n:
        what = "side a" if p.position == "side a" else "the side shown first"
        sentences.append(f"{_with_interval(p.first)} go to {what}.")
    if p.same_vote.n:
        sides = (
            f"; if both choose a side, it is the same in {_with_interval(p.same_side)}"
            if p.same_side.n
            else ""
        )
        sentences.append(f"Two raters of one pair vote alike in {_with_interval(p.same_vote)}{sides}.")
    if p.cycles.n:
        sentences.append(
            f"By the majority of each pair {_with_interval(p.cycles)} of {p.cycles.n:,} triples of responses go in a "
            f"circle (a > b > c > a); coin flips would give {format_percent(COIN_FLIPS)}."
        )
    if p.rater_cycles.n:
        own = f"{_with_interval(p.rater_cycles)} of the {p.rater_cycles.n:,} triples that one rater compared"
        sentences.append(f"Inside raters it is {own}.")
    if p.swapped.n:
        sentences.append(
            f"Judged in both orders by one rater: {count(p.swapped.n, 'pair')}, the vote was the same in "
            f"{_with_interval(p.swapped)}."
        )
    for name, what in _HABITS:
        unlike = sum(name in rater.unlike for rater in p.raters)
        if unlike:
            sentences.append(
                f"Raters who {what} more or less often than the others do, beyond chance: {unlike:,} of "
                f"{len(p.raters):,}."
            )
    return sentences


def _with_interval(share: Share) -> str:
    if share.low is None:
        return format_percent(share.share)
    low, high = (format_number(None if end is None else 100 * end, 0) for end in (share.low, share.high))
    return f"{format_percent(share.share)} [{low}, {high}]"


def bonferroni_z(tests: int) -> float:
    """The z beyond which the largest of `tests` leanings is surprising at 5 %, two-sided."""
    return float(norm.ppf(1 - 0.025 / max(tests, 1)))


def _some(parts: Iterable[str], most: int = 3) -> str:
    parts = list(parts)
    more = f" and {len(parts) - most:,} more" if len(parts) > most else ""
    return ", ".join(parts[:most]) + more
