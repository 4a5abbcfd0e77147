"""A trained adapter in forms that other software loads without `dcpc`: `dcpc export ADAPTER --as FORM`."""

from dcpc.export.export import FORMS, Exported, export_adapter

__all__ = ["FORMS", "Exported", "export_adapter"]
