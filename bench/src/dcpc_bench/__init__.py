"""The research rig around DCPC: rival methods, benchmarks on real and simulated disagreement, reports, the demo.

Everything here goes through the interfaces that `dcpc` gives to anybody; `dcpc` knows nothing of it.
"""

__version__ = "0.2.0"
