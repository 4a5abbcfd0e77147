"""Conflict pairs: the same or nearly the same content, labelled apart by different annotators."""

from dcpc.data.pairs.cache import cache_notes, embedding_cache
from dcpc.data.pairs.index import Neighbours, nearest_neighbours
from dcpc.data.pairs.mining import JudgementPairs, mine_judgement_pairs, mine_pairs

__all__ = [
    "JudgementPairs",
    "Neighbours",
    "cache_notes",
    "embedding_cache",
    "mine_judgement_pairs",
    "mine_pairs",
    "nearest_neighbours",
]
