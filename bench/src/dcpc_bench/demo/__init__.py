"""The demo: three adapters trained on generated reviews that simulated annotators disagree on."""
