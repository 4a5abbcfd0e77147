"""Diagnostics of annotations: who disagrees with whom, on what, and whether it is preference or noise."""

from dcpc.inspection.summary import Inspection, inspect_annotations, to_json

__all__ = ["Inspection", "inspect_annotations", "to_json"]
