"""DCPC: parameter-efficient fine-tuning on labels that several annotators gave, and disagreed on."""

__version__ = "0.1.0"
