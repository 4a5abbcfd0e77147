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
    flips = [share for share in FLIPS if any(cell["flips"] == share for cell in cells)]
    rows = []
    for method in METHODS:
        row = [TITLES[method]]
        for share in flips:
            found = [c["accuracy"] for c in cells if c["flips"] == share and c["method"] == method]
            row.append(f"{100 * np.mean(found):.1f} ± {100 * np.std(found):.1f}" if found else "–")
        rows.append(row)
    rows.append(["difference to the best other", *(_difference(cells, share) for share in flips)])
    seeds = min(len({c["seed"] for c in cells if c["flips"] == share}) for share in flips)
    polite = sum(sign > 0 for sign in RATERS.values())
    note = (
        f"Per cent of clean held-out pairs on which the policy's implicit reward prefers the reply that {polite} of "
        f"{len(RATERS)} simulated raters like and the others dislike; {VOTES} votes per pair, the share of votes at "
        f"the head flipped; mean and standard deviation over {seeds} seeds or more, each with votes of its own. A "
        "tiny random Llama: about losses, not about language. Each method's setting is that whose margins predict "
        "noisy validation votes best; the simulated share is nowhere among what is tried. DPO, robust DPO and IPO "
        f"have a row per vote, and {VOTES} times as many passes. The last row: paired by seed, to the best of the "
        "others on the mean, which favours it, with a 95 % t interval over seeds. Regenerate with `dcpc-bench "
        "preferences --policies --data FOLDER --output results/preferences`."
    )
    head = "| " + " | ".join(["method", *(f"{share:.0%} flipped" for share in flips)]) + " |"
    lines = [head, "|" + " --- |" * (len(flips) + 1), *("| " + " | ".join(row) + " |" for row in rows)]
    return "\n".join(lines) + "\n\n" + note


def _difference(cells: Sequence[dict[str, Any]], share: float) -> str:
    by_method = {
        method: {c["seed"]: c["accuracy"] for c in cells if c["flips"] == share and c["method"] == method}
        for method in METHODS
    }
    seeds = sorted(set.intersection(*(set(found) for found in by_method.values())))
    if len(seeds) < 2:
        return "–"
    mean = {method: np.mean([found[seed] for seed in seeds]) for method, found in by_method.items()}
    best = max((method for method in METHODS if method != OURS), key=lambda method: mean[method])
    gain = np.array([by_method[OURS][seed] - by_method[best][seed] for seed in seeds])
    half = stats.t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / len(gain) ** 0.5
    low, high = gain.mean() - half, gain.mean() + half
    return f"{100 * gain.mean():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] ({TITLES[best]})"
