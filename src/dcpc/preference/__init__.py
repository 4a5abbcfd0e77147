"""Votes of people between two responses: their likelihoods, their raters, reward models and policies."""

from dcpc.preference.likelihood import PreferenceScale, vote_log_probabilities
from dcpc.preference.raters import Comparison, RaterConfig, RaterModel

__all__ = ["Comparison", "PreferenceScale", "RaterConfig", "RaterModel", "vote_log_probabilities"]
