"""Write docs/claims.md: every figure that the README and the pages of evidence state in prose, and what it stands on.

Run: python bench/scripts/claims.py

A claim is a sentence of a page with its figures left open, and a function that computes them from the committed
results. A page that says something else than the results is an error here and in the tests; a figure in the prose of
these pages that no claim has is one too (`uncovered`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from pages import write_page
from scipy import stats

from dcpc_bench.report.comparisons import Difference
from dcpc_bench.report.content import expected_and_measured
from dcpc_bench.report.document import markdown_table
from dcpc_bench.report.metrics import METRICS
from dcpc_bench.report.records import read_results
from dcpc_bench.report.results import Column, Results, families
from dcpc_bench.report.scores import Scores
from dcpc_bench.report.tables import MetricTable, metric_table

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "claims.md"
README, EVIDENCE = "README.md", "docs/evidence.md"
MARK = "<!-- Written by bench/scripts/claims.py from the results. Do not edit by hand. -->"
ONE, ALL = "budget=1", "budget=all"


@dataclass(frozen=True)
class Claim:
    """A sentence with figures.

    Attributes:
        page: where it stands.
        text: as it stands there, line breaks aside, with `{}` for every figure.
        figures: computes them, as they are shown.
        file: the results that they come from, below results/.
        command: what makes that file.
    """

    page: str
    text: str
    figures: Callable[[], Sequence[str]]
    file: str
    command: str

    @property
    def said(self) -> str:
        """The sentence with its figures."""
        return self.text.format(*self.figures())


@cache
def store(name: str) -> Results:
    """A committed store."""
    return read_results(ROOT / "results" / name)


@cache
def scores(name: str) -> Scores:
    """Its scores, with the report's bootstrap."""
    return Scores(store(name))


@cache
def table(name: str, metric: str, family: str) -> MetricTable:
    """A metric of every method on the columns of a family, compared with DCPC."""
    kind = next(f for f in families(store(name).columns) if f.name == family)
    found = metric_table(scores(name), next(m for m in METRICS if m.name == metric), kind, "dcpc")
    assert found is not None, f"{name} has no {metric}"
    return found


def difference(name: str, metric: str, family: str, other: str) -> Difference:
    """DCPC against another method over the family."""
    return next(d for d in table(name, metric, family).pooled if d.other == other)


def lead(name: str, metric: str, family: str, other: str) -> list[str]:
    """Difference, lower and upper end of its interval, with signs and in the metric's unit."""
    found = table(name, metric, family)
    result = next(d for d in found.pooled if d.other == other).result
    return [found.metric.show(x, sign=True) for x in (result.difference, result.low, result.high)]


def best(name: str, metric: str, family: str) -> str:
    """The method other than forms of DCPC with the best mean."""
    found = table(name, metric, family)
    rivals = {m: x for m, x in zip(found.methods, found.overall, strict=True) if not m.startswith("dcpc")}
    sign = 1 if found.metric.higher_is_better else -1
    return max(rivals, key=lambda method: sign * rivals[method])


def mean(name: str, metric: str, family: str, method: str) -> str:
    """A method's mean over the columns that all have."""
    found = table(name, metric, family)
    return found.metric.show(found.overall[found.methods.index(method)])


def off(values: Sequence[str]) -> list[str]:
    """Figures without their signs, for a sentence that says which way."""
    return [value.lstrip("+−") for value in values]


def percent(share: float, digits: int = 1) -> str:
    """A relative difference."""
    return f"{100 * abs(share):.{digits}f}"


def six_seeds() -> list[str]:
    """Four wins and the divergence, of six methods with six seeds."""
    name = "real-small-seeds"
    rival = {
        m: best(name, m, ONE)
        for m in ("macro_f1", "accuracy", "cross_entropy", "judgement_error", "jensen_shannon")
    }
    divergence = difference(name, "jensen_shannon", ONE, rival["jensen_shannon"])
    return [
        *lead(name, "macro_f1", ONE, rival["macro_f1"]),
        *lead(name, "accuracy", ONE, rival["accuracy"]),
        "−" + percent(difference(name, "cross_entropy", ONE, rival["cross_entropy"]).relative),
        *lead(name, "judgement_error", ONE, rival["judgement_error"]),
        percent(divergence.relative),
        *lead(name, "jensen_shannon", ONE, rival["jensen_shannon"])[1:],
    ]


def readout_alone() -> list[str]:
    """What the adapter adds to its readout."""
    one, several = (difference("real-small", "jensen_shannon", f, "dcpc-readout") for f in (ONE, ALL))
    persons = off(lead("real-small", "judgement_error", ALL, "dcpc-readout"))[0]
    return [percent(one.relative, 0), percent(several.relative, 0), persons]


def without_parts() -> list[str]:
    """What macro-F1 loses without the readout and the persons' error without annotators, with one label and all."""
    parts = (("macro_f1", "dcpc-no-readout"), ("judgement_error", "dcpc-no-annotators"))
    return [off(lead("ablation", metric, f, other))[0] for metric, other in parts for f in (ONE, ALL)]


def floors() -> list[str]:
    """Divergence that would remain if DCPC were right, with one label and all."""
    kinds = {f.name: f for f in families(store("real-small").columns)}
    found = [expected_and_measured(store("real-small"), kinds[f], "dcpc") for f in (ONE, ALL)]
    return [f"{pair[0]:.3f}" for pair in found if pair is not None]


def voted() -> list[str]:
    """Mean macro-F1 of LoRA less that of a majority vote, which is the same with one label."""
    found = table("real-small", "macro_f1", ONE)
    values = dict(zip(found.methods, found.overall, strict=True))
    return [f"{100 * (values['lora'] - values['majority-vote']):.1f}"]


def spreads() -> list[str]:
    """Standard deviations of macro-F1 over training seeds: DCPC and P-Tuning v2, set by set."""
    rows = pd.read_json(ROOT / "results" / "stability.jsonl", lines=True)
    found = rows.groupby(["dataset", "method"], sort=False)["macro_f1"].std(ddof=1)
    sets = rows["dataset"].drop_duplicates()
    return [f"{100 * found[d, m]:.1f}" for d in sets for m in ("dcpc", "p-tuning-v2")]


def shifted_means(name: str) -> pd.DataFrame:
    """Accuracy over all conditions with conflict, %: a row per seed that has every cell, a column per method."""
    cells = pd.read_parquet(ROOT / "results" / name / "results.parquet")
    cells = cells[(cells["metric"] == "accuracy") & (cells["condition"] != "clean")]
    wide = cells.pivot_table(index="seed", columns=["method", "condition"], values="value")
    complete = wide[[m for m in wide.columns.unique("method") if wide[m].notna().any().all()]].dropna()
    return 100 * complete.T.groupby("method").mean().T


def shifted(name: str, other: str) -> list[str]:
    """DCPC's lead in accuracy on the mean of the simulated shifts, paired by seed, with its interval."""
    means = shifted_means(name)
    found = stats.ttest_rel(means["dcpc"], means[other])
    low, high = found.confidence_interval(0.95)
    return [f"{x:+.1f}".replace("-", "−") for x in ((means["dcpc"] - means[other]).mean(), low, high)]


def shift_leads() -> list[str]:
    """Leads over four methods."""
    name = "shift-small-seeds"
    adapter, probe = shifted(name, "bottleneck-adapter"), shifted(name, "linear-probe-annotators")
    lora, prefix = shifted(name, "lora")[0], shifted(name, "p-tuning-v2")[0]
    return [adapter[0].lstrip("+"), *adapter[1:], *off([lora, prefix, probe[0]]), *probe[1:]]


def far_from_chance() -> list[str]:
    """The largest distance of a method's mean from half, in points, on RTE."""
    found = [
        abs(np.nanmean(table("shift-rte", "accuracy", f.name).means, axis=1) - 0.5).max()
        for f in families(store("shift-rte").columns)
    ]
    return [f"{100 * max(found):.1f}"]


def at_500_items() -> list[str]:
    """The smallest and largest lead over LoRA on five sets: macro-F1, and judgements predicted wrong."""
    sets = ("md_agreement", "convabuse", "stanford_politeness", "gwsd_stance", "popquorn_offensiveness")
    found: list[str] = []
    for metric in ("macro_f1", "judgement_error"):
        leads = [lead_over_lora(metric, dataset, 500)[0] for dataset in sets]
        assert len({lead[0] for lead in leads}) == 1, f"{metric}: not ahead on every set: {leads}"
        sizes = sorted((lead[1:] for lead in leads), key=float)
        found += [sizes[0], sizes[-1]]
    return found


def by_default_at_2000() -> list[str]:
    """DCPC, annotator embeddings and LoRA with the settings of `dcpc train`: three metrics, means over four sets."""
    columns = [
        *(Column(name, "budget=1@2000") for name in ("md_agreement", "convabuse", "stanford_politeness")),
        Column("gwsd_stance", "budget=1@1200"),
    ]
    found: list[str] = []
    for metric in ("macro_f1", "judgement_error", "jensen_shannon"):
        figures = table("sizes-defaults", metric, ONE)
        at = [figures.columns.index(column) for column in columns]
        means = [
            figures.means[figures.methods.index(method), at].mean()
            for method in ("dcpc", "annotator-embeddings", "lora")
        ]
        found += [figures.metric.show(mean) for mean in means]
    return found


def persons_by_count() -> list[str]:
    """From the smallest to the largest lead for persons, where annotators gave few judgements and where many.

    Against a head per annotator and embeddings; few is a median below 50. With how many columns these are, and the
    medians next to 50.
    """
    counts = pd.read_json(ROOT / "results" / "annotator_counts.jsonl", lines=True)
    medians = counts["given"].str[1].groupby([counts["dataset"], counts["condition"]]).mean()
    rows = [
        (d.other, float(medians[d.column.dataset, d.column.condition]), -100 * d.result.difference)
        for family in (ONE, ALL)
        for d in table("real-small", "judgement_error", family).by_set
        if d.column is not None
    ]
    found = []
    for other in ("annotator-heads", "annotator-embeddings"):
        few = [(n, ahead) for name, n, ahead in rows if name == other and n < 50]
        many = [(n, ahead) for name, n, ahead in rows if name == other and n >= 50]
        for own, nearest in ((few, max(few)[0]), (many, min(many)[0])):
            leads = [f"{ahead(x for _, x in own):.1f}" for ahead in (min, max)]
            found += [*leads, str(len(own)), f"{nearest:.0f}"] if other == "annotator-heads" else leads
    return found


def lead_over_lora(metric: str, dataset: str, size: int) -> list[str]:
    """DCPC's difference to LoRA in the suite `sizes`, and its interval."""
    found = table("sizes", metric, ONE)
    result = next(
        d.result for d in found.by_set if d.other == "lora" and d.column == (dataset, f"budget=1@{size}")
    )
    return [found.metric.show(x, sign=True) for x in (result.difference, result.low, result.high)]


CLAIMS = (
    Claim(
        README,
        "At 500 items (five sets, two seeds) DCPC's macro-F1 is ahead of LoRA's on every set, by {} to {} points, "
        "and it predicts {} to {} points fewer judgements wrong.",
        at_500_items,
        "sizes",
        "dcpc-bench run sizes --seeds 2",
    ),
    Claim(
        README,
        "DCPC's macro-F1 is {} on the mean of four sets (annotator embeddings {}, LoRA {}); it predicts {} % of the "
        "judgements wrong ({} and {} %), and its divergence is {} bits ({} and {}).",
        by_default_at_2000,
        "sizes-defaults",
        "dcpc-bench run sizes-defaults --methods dcpc,annotator-embeddings,lora",
    ),
    Claim(
        EVIDENCE,
        "with one label the macro-F1 of its most probable labels is level with the bottleneck adapter's, and with "
        "all it is behind ({} and {} points)",
        lambda: [lead("real-small", "macro_f1_argmax", f, "bottleneck-adapter")[0] for f in (ONE, ALL)],
        "real-small",
        "dcpc-bench run real-small",
    ),
    Claim(
        EVIDENCE,
        "macro-F1 ({} points, 95 % interval {} to {}), accuracy ({}, {} to {}), cross-entropy ({} %) and the "
        "persons' errors ({} points, {} to {}) are wins after correction, and the divergence is {} % lower ({} to {} "
        "bits)",
        six_seeds,
        "real-small-seeds",
        "dcpc-bench run real-small --seeds 6, one label, six methods",
    ),
    Claim(
        EVIDENCE,
        "persons' errors are {} to {} points below those of a head per annotator on the {} columns where the median "
        "annotator gave at most {}, and {} to {} on the {} where it gave {} or more; against annotator embeddings {} "
        "to {} and {} to {}",
        persons_by_count,
        "real-small",
        "dcpc-bench run real-small, python bench/benchmarks/annotator_counts.py",
    ),
    Claim(
        EVIDENCE,
        "that the adapter takes {} % off the divergence is within chance. With all labels the adapter takes off {} % "
        "and {} points of the persons' errors.",
        readout_alone,
        "real-small",
        "dcpc-bench run real-small",
    ),
    Claim(
        EVIDENCE,
        "Without the readout macro-F1 is {} and {} points lower, and without annotators the persons' error {} and {} "
        "points higher.",
        without_parts,
        "ablation",
        "dcpc-bench run ablation",
    ),
    Claim(
        EVIDENCE,
        "even if its predictions were right, {} and {} bits would remain",
        floors,
        "real-small",
        "dcpc-bench run real-small",
    ),
    Claim(EVIDENCE, "its mean macro-F1 is {} points lower", voted, "real-small", "dcpc-bench run real-small"),
    Claim(
        EVIDENCE,
        "(standard deviations of {} and {}, {} and {} points)",
        spreads,
        "stability.jsonl",
        "python bench/benchmarks/stability.py",
    ),
    Claim(
        EVIDENCE,
        "DCPC is {} points ahead of the bottleneck adapter (95 % interval {} to {}), the best PEFT method there, "
        "{} of LoRA, {} of P-Tuning v2, and {} of the probe with annotators ({} to {})",
        shift_leads,
        "shift-small-seeds",
        "dcpc-bench run shift-small --seeds 10, three pools",
    ),
    Claim(
        EVIDENCE,
        "its readout, which alone is {} points behind it on the mean of the twelve (three seeds, {} to {})",
        lambda: [
            *off(shifted("shift-small", "dcpc-readout")[:1]),
            *shifted("shift-small", "dcpc-readout")[1:],
        ],
        "shift-small",
        "dcpc-bench run shift-small",
    ),
    Claim(
        EVIDENCE,
        "leave DCPC level: {}, as the bottleneck adapter, LoRA {}, NCR {}",
        lambda: [mean("shift-small-control", "accuracy", "clean", m) for m in ("dcpc", "lora", "ncr")],
        "shift-small-control",
        "dcpc-bench run shift-small --seeds 10 --conditions clean",
    ),
    Claim(
        EVIDENCE,
        "all methods stay within {} points of chance",
        far_from_chance,
        "shift-rte",
        "dcpc-bench run shift-rte",
    ),
)

SETUP = (
    "Python ≥ 3.11",
    "Apache-2.0",
    "95 % interval",
    "20, 30 and 40 %",
    "at 30 %",
    "reach 40 %",
)
"""Numbers in prose that say what is needed or was done, not what came out."""

_GENERATED = re.compile(r"<!-- ([\w-]+): .*?<!-- end of \1 -->", re.DOTALL)
_CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
_FIGURE = re.compile(r"[+−]?\d[\d,]*\.\d+|\d[\d,.]* (?:%|points|bits|ms|times)")


def prose(page: str) -> str:
    """What a page says beside tables that scripts write and code, on one line."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return " ".join(_CODE.sub(" ", _GENERATED.sub(" ", text)).replace("**", "").split())


def missing(claims: Sequence[Claim] = CLAIMS) -> list[str]:
    """Claims that their page does not make with these figures."""
    pages = {claim.page: prose(claim.page) for claim in claims}
    return [
        f"{claim.page} should say: {claim.said}" for claim in claims if claim.said not in pages[claim.page]
    ]


def uncovered(pages: Sequence[str] = (README, EVIDENCE)) -> Iterator[str]:
    """Figures in the prose of pages that stand in no claim."""
    for page in pages:
        text = prose(page)
        spans = [
            (found.start(), found.end())
            for said in [*(c.said for c in CLAIMS if c.page == page), *SETUP]
            for found in re.finditer(re.escape(said), text)
        ]
        for found in _FIGURE.finditer(text):
            if not any(start <= found.start() and found.end() <= end for start, end in spans):
                yield f"{page}: …{text[max(0, found.start() - 50) : found.end() + 20]}…"


def _link(page: str) -> str:
    """From docs/ to a page."""
    name = Path(page).name
    return f"[{name}]({'../' if page == README else ''}{name})"


def page() -> str:
    """The page, or an error that lists what does not hold."""
    wrong = [*missing(), *uncovered()]
    if wrong:
        raise SystemExit("\n".join(wrong))
    rows = [[c.said, _link(c.page), f"`results/{c.file}`", f"`{c.command}`"] for c in CLAIMS]
    head = (
        "# Claims\n\n"
        f"{MARK}\n\n"
        "Every figure that the README and the [evidence](evidence.md) state in prose, with the results that it is\n"
        "computed from and the command that makes them. Tables on those pages are written from the same results. A\n"
        "test computes all of them anew.\n\n"
    )
    return head + "\n".join(markdown_table(["claim", "page", "results", "made by"], rows, left=4)) + "\n"


if __name__ == "__main__":
    write_page(PAGE, page, __doc__)
