"""The suite's tables: losses per set and method, differences to Bradley-Terry with intervals, new raters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dcpc.models.minilm import MINILM
from dcpc_bench.preferences.data import LONGEST_READ, SETS
from dcpc_bench.preferences.methods import METHODS
from dcpc_bench.preferences.policy_page import policy_table
from dcpc_bench.preferences.trained import REFERENCE as RATERS_ALIKE
from dcpc_bench.preferences.trained import TITLES as REWARDS
from dcpc_bench.statistics.significance import Comparison, compare_over_seeds, draw_items, quotient

REFERENCE = "bradley-terry"
REPLICATES = 1000
HEAD = """\
# Votes between two responses: what knowing the raters is worth

<!-- Written by bench/scripts/preference_tables.py from results/preferences. Do not edit by hand. -->

Held-out votes predicted from frozen features (principal directions of `minilm` embeddings, length, likeness to the
prompt): so this is about raters, not about a base model. Split by prompt (topic for ukpconvarg1, story for squality).
Ridge and setting are those that predict validation votes best; DCPC's search tries five settings, the others' three
or one. Methods that are "-like" are the published idea on these features, fitted as all others, not their authors'
code. Regenerate with `dcpc-bench preferences --data FOLDER --output results/preferences`, then
`python bench/scripts/preference_tables.py`.
"""


def summary(cells: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Mean cross-entropy of votes over seeds, one row per method, one column per set."""
    table = pd.DataFrame([{key: cell[key] for key in ("set", "method", "loss")} for cell in cells])
    wide = table.pivot_table(index="method", columns="set", values="loss", sort=False)
    return wide.loc[[name for name in METHODS if name in wide.index]].round(4)


def page(
    cells: Sequence[dict[str, Any]],
    trained: Sequence[dict[str, Any]] = (),
    policies: Sequence[dict[str, Any]] = (),
) -> str:
    """The whole page, in Markdown.

    Args:
        cells: of the suite on frozen features.
        trained: of trained reward models; none leave their part out.
        policies: of policies on simulated votes; likewise.
    """
    bases = dict.fromkeys(cell["base_model"] for cell in cells)
    by_base = {name: [cell for cell in cells if cell["base_model"] == name] for name in bases}
    cells = by_base.pop(MINILM, [])
    sets = _sets(cells)
    parts = [HEAD, "## Cross-entropy of held-out votes (nats)\n", _losses(cells, sets)]
    parts += ["\n## Against Bradley-Terry with ties\n", _differences(cells, sets)]
    parts += ["\n## Votes predicted right, and raters counted alike\n", _accuracies(cells, sets)]
    parts += ["\n## New raters\n", _new_raters(cells, sets)]
    for name, own in by_base.items():
        parts += [f"\n## Features of {name}\n", _other_base(own, name)]
    if trained:
        parts.append("\n## Trained reward models\n")
        for name, pairs in sorted({(cell["base_model"], cell["pairs"]) for cell in trained}):
            study = [c for c in trained if (c["base_model"], c["pairs"]) == (name, pairs)]
            parts += [_trained_part(study, name) + "\n"]
    if policies:
        parts += ["\n## Policies: two tastes, and flipped votes\n", policy_table(policies)]
    return "\n".join(parts) + "\n"


def _sets(cells: Sequence[dict[str, Any]]) -> list[str]:
    """In the order of `SETS`, then others."""
    found = dict.fromkeys(cell["set"] for cell in cells)
    return [*(name for name in SETS if name in found), *(name for name in found if name not in SETS)]


def _other_base(cells: Sequence[dict[str, Any]], name: str) -> str:
    """Losses and differences on the features of a base model other than `minilm`."""
    sets = _sets(cells)
    told = (
        f"As above, on the mean last states of `{name}`, which read the first {LONGEST_READ} tokens of a prompt, of "
        "a response, and of both together: a cap that keeps a language model on a CPU within minutes a set, so that "
        "the end of long responses is seen in their length alone. "
        f"`dcpc-bench preferences --base-model {name} --data FOLDER --output results/preferences`."
    )
    losses, differences = _losses(cells, sets), _differences(cells, sets)
    return f"{told}\n\n{losses}\n\nAgainst Bradley-Terry with ties:\n\n{differences}"


def _trained_part(cells: Sequence[dict[str, Any]], base_model: str) -> str:
    """Both tables of trained reward models, and what was done."""
    sets = list(dict.fromkeys(cell["set"] for cell in cells))
    seeds = {name: len({cell["seed"] for cell in cells if cell["set"] == name}) for name in sets}
    of_sets = ", ".join(f"{name} {n}" for name, n in seeds.items())
    n_pairs = cells[0]["pairs"]
    as_they_are = [
        {**cell, "loss": cell["plain_loss"], "unit_losses": cell["plain_unit_losses"]} for cell in cells
    ]
    return "\n\n".join(
        [
            f"On `{base_model}`, {n_pairs} pairs drawn of each set, split by prompt, one pass (seeds: {of_sets}). "
            "Cross-entropy of held-out votes in nats and accuracy of votes for a side; then the relative difference "
            "of the cross-entropy to raters who are all alike, with 95 % intervals over seeds and prompts, not "
            "corrected for many comparisons; n where a method has fewer seeds than the rest, whose losses compare by "
            "their differences alone. All methods train the same tensors with the same steps, and at one rate but "
            "where the head is said to have its own. TRL 1.16's "
            '`RewardTrainer` has no label smoothing. Methods that are "-like" are the published idea on this '
            "encoder with our likelihood, trained jointly with it, at one setting each, not their authors' code. "
            "Regenerate with `dcpc-bench preferences --trained --data FOLDER --output results/preferences`.",
            "Rewards as they are, ties and raters as the training votes say:",
            _trained(as_they_are, sets),
            "With a factor of the margins and the pool's threshold of ties fitted on validation votes, which takes "
            "the scale of rewards out of the comparison and adds the noise of a few dozen votes:",
            _trained(cells, sets),
        ]
    )


def _trained(cells: Sequence[dict[str, Any]], sets: list[str]) -> str:
    """Losses per set, their difference to raters who are all alike, and accuracies."""
    rows = []
    for method, title in REWARDS.items():
        row = [title]
        for name in sets:
            found, reference = _of(cells, name, method), _of(cells, name, RATERS_ALIKE)
            if not found:
                row.append("–")
                continue
            loss, side = (float(np.mean([cell[key] for cell in found])) for key in ("loss", "side_accuracy"))
            text = f"{loss:.4f}, {100 * side:.1f} %"
            if len(found) < len(reference):
                text = f"n = {len(found)}: {text}"
            if method != RATERS_ALIKE:
                both = [
                    [c for c in part if c["seed"] in _seeds(found) & _seeds(reference)]
                    for part in (found, reference)
                ]
                change = relative_difference(*both)
                text += (
                    f"; {100 * change.difference:+.2f} % [{100 * change.low:+.2f}, {100 * change.high:+.2f}]"
                )
            row.append(text)
        rows.append(row)
    return _markdown(rows, ["method", *sets])


def _seeds(cells: Sequence[dict[str, Any]]) -> set[int]:
    return {cell["seed"] for cell in cells}


def _markdown(rows: list[list[str]], head: list[str]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _of(cells: Sequence[dict[str, Any]], name: str, method: str) -> list[dict[str, Any]]:
    return sorted((c for c in cells if c["set"] == name and c["method"] == method), key=lambda c: c["seed"])


def _losses(cells: Sequence[dict[str, Any]], sets: list[str]) -> str:
    rows = []
    for method, entry in METHODS.items():
        found = [[cell["loss"] for cell in _of(cells, name, method)] for name in sets]
        shown = [
            f"{np.mean(f):.4f} ± {np.std(f, ddof=1) if len(f) > 1 else 0:.4f}" if f else "–" for f in found
        ]
        rows.append([entry.title, entry.source, *shown])
    return _markdown(rows, ["method", "after", *sets])


def _differences(cells: Sequence[dict[str, Any]], sets: list[str]) -> str:
    rows = []
    for method, entry in METHODS.items():
        if method == REFERENCE:
            continue
        row = [entry.title]
        for name in sets:
            found = relative_difference(_of(cells, name, method), _of(cells, name, REFERENCE))
            row.append(f"{100 * found.difference:+.2f} % [{100 * found.low:+.2f}, {100 * found.high:+.2f}]")
        rows.append(row)
    note = (
        "\nRelative difference of the cross-entropy, with 95 % intervals over seeds and units (a bootstrap of "
        "prompts, topics or stories within seeds; [metrics](metrics.md)); not corrected for many comparisons."
    )
    return _markdown(rows, ["method", *sets]) + "\n" + note


def relative_difference(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> Comparison:
    """(loss of the first − loss of the second) / loss of the second: its mean over seeds, with an interval.

    Args:
        first: cells of a method on one set, by seed.
        second: cells of the reference on the same seeds.
    """
    units = sorted({unit for cell in first for unit in cell["unit_losses"]})
    draws = draw_items(len(units), REPLICATES, seed=0)  # [R, units]
    points, samples = [], []
    for a, b in zip(first, second, strict=True):
        sums = np.array([[cell["unit_losses"].get(unit, [0.0])[0] for unit in units] for cell in (a, b)])
        total = draws @ sums.T  # [R, 2]
        points.append(a["loss"] / b["loss"] - 1)
        samples.append(quotient(total[:, 0], total[:, 1]) - 1)
    return compare_over_seeds(np.array(points), np.stack(samples, axis=1), len(units))


def _accuracies(cells: Sequence[dict[str, Any]], sets: list[str]) -> str:
    rows = []
    for method, entry in METHODS.items():
        row = [entry.title]
        for name in sets:
            found = _of(cells, name, method)
            mean = {key: np.mean([cell[key] for cell in found]) for key in ("accuracy", "loss_by_rater")}
            row.append(f"{100 * mean['accuracy']:.1f} % / {mean['loss_by_rater']:.4f}")
        rows.append(row)
    note = "\nShare of votes whose most probable vote was given / cross-entropy as a mean over raters."
    return _markdown(rows, ["method", *sets]) + "\n" + note


def _new_raters(cells: Sequence[dict[str, Any]], sets: list[str]) -> str:
    parts = []
    for name in sets:
        curves = {method: [cell["new_raters"] for cell in _of(cells, name, method)] for method in METHODS}
        known = [curve for curve in curves[REFERENCE] if curve]
        if not known:
            continue
        steps = [point["known_votes"] for point in known[0]]
        rows = []
        for method, entry in METHODS.items():
            losses = np.mean(
                [[point["loss"] for point in curve] for curve in curves[method] if curve], axis=0
            )
            rows.append([entry.title, *(f"{loss:.4f}" for loss in losses)])
        raters = round(float(np.mean([curve[0]["raters"] for curve in known])))
        parts.append(
            f"**{name}** ({raters} new raters a seed): cross-entropy of their votes after so many of them\n\n"
            + _markdown(rows, ["method", *map(str, steps)])
        )
    return "\n\n".join(parts)
