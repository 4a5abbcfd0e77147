"""How well an adapter writes like its writers: likelihood of held-out replies, overlap with them, and style.

| figure | definition | library |
|---|---|---|
| `nll` | −log p per token of held-out replies, in nats: as their writer's, and as the dominant style's | ours |
| `chrf` | character n-gram F-score of generated replies against held-out ones, 0 to 100 (Popović 2015) | sacrebleu |
| `rouge1`, `rougeL` | F1 of shared words, and of the longest common subsequence, 0 to 1 (Lin 2004) | rouge-score |
| `style_accuracy` | share of generated replies that a classifier of styles gives to the right writer | scikit-learn |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from tqdm.auto import tqdm

from dcpc.errors import UsageError
from dcpc.tasks.write.adapter import WritingAdapter
from dcpc.tasks.write.batches import ReplyCollator, ReplyDataset
from dcpc.tasks.write.generation import Generation, write_replies
from dcpc.tasks.write.loss import reply_log_likelihoods
from dcpc.tasks.write.replies import Replies
from dcpc.training.length_order import LongestFirst

INSTALL = "pip install 'dcpc[write]'"
FOLDS = 5
OTHERS = "unknown writers"
"""Under which replies without a known writer are reported."""


@dataclass(frozen=True)
class WriterScores:
    """Figures of one writer, or of all.

    Attributes:
        n_replies: held-out replies.
        nll: −log p per token as the writer's, in nats.
        nll_dominant: the same without knowing the writer.
        chrf, rouge1, rouge_l: of generated replies; None where none were generated.
        style_accuracy: share of generated replies in the right style; None where styles cannot be told.
    """

    n_replies: int
    nll: float
    nll_dominant: float
    chrf: float | None = None
    rouge1: float | None = None
    rouge_l: float | None = None
    style_accuracy: float | None = None


@dataclass(frozen=True)
class WritingScores:
    """An adapter against the held-out replies of its writers.

    Attributes:
        overall: all replies together; `nll` is a mean over tokens.
        writers: by writer.
        style_ceiling: accuracy of the classifier of styles on held-out replies of people, by cross-validation over
            prompts: what `style_accuracy` can be expected to reach; None where styles cannot be told.
        generated: the generated replies, one per held-out one; empty where none were generated.
        notes: what was cut or left out, one sentence each.
    """

    overall: WriterScores
    writers: dict[str, WriterScores]
    style_ceiling: float | None = None
    generated: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()


def evaluate_writing(
    adapter: WritingAdapter,
    replies: Replies,
    *,
    generation: Generation | None = None,
    batch_size: int = 8,
    progress: bool = False,
) -> WritingScores:
    """Measure an adapter on held-out replies.

    Args:
        adapter: from `train_writers` or `load_writing_adapter`.
        replies: that it was not trained on.
        generation: how to generate a reply for every held-out one, which are then compared; None only computes
            likelihoods, which is much faster.
        batch_size: replies at a time.
        progress: show progress bars.

    Raises:
        UsageError: a library for comparing replies is missing.
    """
    if generation is not None:
        check_libraries()
    names = [name if name in adapter.writers or not adapter.writers else None for name in replies.writer_ids]
    likelihoods, dominant, tokens, notes = _likelihoods(adapter, replies, batch_size, progress)
    generated: list[str] = []
    style, ceiling = None, None
    if generation is not None:
        generated = write_replies(
            adapter, replies.prompts, names, generation, batch_size=batch_size, progress=progress, notes=notes
        )
        style, ceiling, why = style_hits(replies, generated)
        notes += [why] if why else []

    def scores(rows: np.ndarray) -> WriterScores:
        n_tokens = tokens[rows].sum()
        overlap = _overlap(replies, generated, rows) if generated else {}
        return WriterScores(
            n_replies=int(rows.sum()),
            nll=float(-likelihoods[rows].sum() / n_tokens),
            nll_dominant=float(-dominant[rows].sum() / n_tokens),
            style_accuracy=None if style is None else _mean(style[rows]),
            **overlap,
        )

    who = np.array([OTHERS if name is None else name for name in replies.writer_ids])
    by_writer = {str(name): scores(who == name) for name in dict.fromkeys(sorted(who))}
    return WritingScores(scores(np.ones(len(who), dtype=bool)), by_writer, ceiling, generated, tuple(notes))


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _likelihoods(
    adapter: WritingAdapter, replies: Replies, batch_size: int, progress: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Log-likelihood of each reply as its writer's and as the dominant style's, its tokens [R], and notes."""
    format = adapter.format()
    index = {name: number for number, name in enumerate(adapter.writers)}
    data = ReplyDataset(replies, format, index, last_only=True)
    pad_id = adapter.tokenizer.eos_token_id
    collate, order = ReplyCollator(pad_id), list(LongestFirst(np.asarray(data.lengths)))
    own, dominant, tokens = np.zeros(len(data)), np.zeros(len(data)), np.zeros(len(data), dtype=int)
    for start in tqdm(range(0, len(order), batch_size), "Reading", leave=False, disable=not progress):
        places = order[start : start + batch_size]
        batch = {name: value.to(adapter.device) for name, value in collate([data[p] for p in places]).items()}
        given, n_tokens = reply_log_likelihoods(adapter.model, batch)
        own[places], tokens[places] = given.cpu().numpy(), n_tokens.cpu().numpy()
        if adapter.writers:
            given, _ = reply_log_likelihoods(adapter.model, batch, as_writers=False)
        dominant[places] = given.cpu().numpy()
    return own, dominant, tokens, format.cuts.notes(adapter.task.max_length)


def _overlap(replies: Replies, generated: Sequence[str], rows: np.ndarray) -> dict[str, float]:
    """chrF over all rows together, and mean ROUGE F1."""
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics import CHRF

    found = [text for text, kept in zip(generated, rows, strict=True) if kept]
    wanted = [text for text, kept in zip(replies.responses, rows, strict=True) if kept]
    scorer = RougeScorer(["rouge1", "rougeL"])
    each = [scorer.score(target, text) for target, text in zip(wanted, found, strict=True)]
    return {
        "chrf": float(CHRF().corpus_score(found, [wanted]).score),
        "rouge1": float(np.mean([score["rouge1"].fmeasure for score in each])),
        "rouge_l": float(np.mean([score["rougeL"].fmeasure for score in each])),
    }


def check_libraries() -> None:
    """Refuse, before anything is generated, to compare replies without the libraries for it.

    Raises:
        UsageError: naming the command that installs them.
    """
    try:
        import rouge_score.rouge_scorer  # noqa: F401
        import sacrebleu.metrics  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"comparing replies needs the package {error.name}, which is not installed.",
            fix=f"Install it with: {INSTALL}. Or leave generation out: --no-generate.",
        ) from error


def style_classifier() -> Pipeline:
    """Tells writers by their style: logistic regression on character 1- to 4-grams, TF-IDF weighted.

    Character n-grams are the strongest simple features of authorship (Stamatatos 2009). Classes are weighted equally,
    so that a writer with many replies is no better guess.
    """
    features = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True, min_df=2)
    return make_pipeline(features, LogisticRegression(C=10.0, class_weight="balanced", max_iter=2000))


def style_hits(
    replies: Replies, generated: Sequence[str]
) -> tuple[np.ndarray | None, float | None, str | None]:
    """Which generated replies a classifier, fitted on held-out ones, takes for their writer's.

    A generated reply is judged by a classifier that has not seen the replies to the same prompt, which share its
    topic.

    Args:
        replies: held-out, R.
        generated: R, one for each.

    Returns:
        Hits, float [R], NaN where the writer is unknown; the accuracy on the held-out replies themselves; or None
        twice and why styles cannot be told.
    """
    who = np.array([name or "" for name in replies.writer_ids])
    rows = np.flatnonzero(who != "")
    names, counts = np.unique(who[rows], return_counts=True)
    if len(names) < 2:
        return None, None, "Styles cannot be told: the held-out replies are of fewer than two writers."
    groups = replies.table["item_id"].to_numpy()[rows]
    n_folds = min(FOLDS, len(np.unique(groups)))
    if n_folds < 2 or counts.min() < 2:
        return (
            None,
            None,
            "Styles cannot be told: there is a writer with one held-out reply, or one prompt only.",
        )
    texts, found, labels = np.array(replies.responses)[rows], np.array(generated)[rows], who[rows]
    right, ceiling = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for train, test in GroupKFold(n_folds).split(texts, labels, groups):
        if len(np.unique(labels[train])) < 2:
            continue
        judge = style_classifier().fit(texts[train], labels[train])
        right[test] = judge.predict(found[test]) == labels[test]
        ceiling[test] = judge.predict(texts[test]) == labels[test]
    hits = np.full(len(who), np.nan)
    hits[rows] = right
    return hits, _mean(ceiling), None
