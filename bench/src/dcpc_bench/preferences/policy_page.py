"""The table of the policies' study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from dcpc_bench.preferences.policies import FLIPS, METHODS, RATERS, TITLES, VOTES

OURS = "raters"


def policy_table(cells: Sequence[dict[str, Any]]) -> str:
    """Accuracy of implicit rewards per method and share of flips, and what knowing the raters adds to the best other.

    Args:
        cells: of `dcpc_bench.preferences.policies`.
    """
    whole = {share: _whole(cells, share) for share in FLIPS}  # accuracy by method and seed
    whole = {share: found for share, found in whole.items() if found["dpo"]}
    rows = []
    for method in METHODS:
        found = [np.array(list(of[method].values())) for of in whole.values()]
        rows.append(
            [TITLES[method], *(f"{100 * each.mean():.1f} ± {100 * each.std():.1f}" for each in found)]
        )
    rows.append(["difference to the best other", *(_difference(of) for of in whole.values())])
    polite = sum(sign > 0 for sign in RATERS.values())
    note = (
        f"Per cent of clean held-out pairs on which the policy's implicit reward prefers the reply that {polite} of "
        f"{len(RATERS)} simulated raters like and the others dislike; {VOTES} votes per pair, the share of votes at "
        "the head flipped; mean and standard deviation over seeds, each with votes of its own. A "
        "tiny random Llama: about losses, not about language. Each method's setting is that whose margins predict "
        "noisy validation votes best; the simulated share is nowhere among what is tried. DPO, robust DPO and IPO "
        f"have a row per vote, and {VOTES} times as many passes. The last row: paired by seed, to the best of the "
        "others on the mean, which favours it, with a 95 % t interval over the n seeds. Regenerate with `dcpc-bench "
        "preferences --policies --data FOLDER --output results/preferences`."
    )
    head = (
        "| "
        + " | ".join(
            ["method", *(f"{share:.0%} flipped, n = {len(of['dpo'])}" for share, of in whole.items())]
        )
        + " |"
    )
    lines = [head, "|" + " --- |" * (len(whole) + 1), *("| " + " | ".join(row) + " |" for row in rows)]
    return "\n".join(lines) + "\n\n" + note


def _whole(cells: Sequence[dict[str, Any]], share: float) -> dict[str, dict[int, float]]:
    """Accuracy by method and seed, of the seeds that all methods have."""
    found = {
        method: {c["seed"]: c["accuracy"] for c in cells if c["flips"] == share and c["method"] == method}
        for method in METHODS
    }
    seeds = sorted(set.intersection(*(set(each) for each in found.values())))
    return {method: {seed: each[seed] for seed in seeds} for method, each in found.items()}


def _difference(accuracy: dict[str, dict[int, float]]) -> str:
    mean = {method: float(np.mean(list(found.values()))) for method, found in accuracy.items()}
    best = max((method for method in METHODS if method != OURS), key=lambda method: mean[method])
    gain = 100 * (np.array(list(accuracy[OURS].values())) - np.array(list(accuracy[best].values())))
    shown = f"{gain.mean():+.1f}"
    if len(gain) > 1:
        half = stats.t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / len(gain) ** 0.5
        shown += f" [{gain.mean() - half:+.1f}, {gain.mean() + half:+.1f}]"
    return f"{shown} ({TITLES[best]})"
