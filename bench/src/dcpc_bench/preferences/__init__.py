"""Votes between two responses on frozen features: what knowing the raters is worth, method by method."""
