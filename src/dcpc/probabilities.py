"""What probabilities are read as, wherever their logarithm is taken."""

from __future__ import annotations

import numpy as np

SMALLEST = float(np.finfo(np.float64).eps)
"""Probabilities below this are raised to it in logarithms, as scikit-learn's `log_loss` does."""
