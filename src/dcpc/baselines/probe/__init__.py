"""The linear probe on frozen embeddings, with and without annotator effects."""

from dcpc.baselines.probe.linear_probe import LinearProbe, fit_linear_probe

__all__ = ["LinearProbe", "fit_linear_probe"]
