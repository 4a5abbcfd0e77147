"""The method as a PEFT tuner: `peft.get_peft_model(base, DCPCConfig(...))`."""

from dcpc.tuner.config import DCPCConfig
from dcpc.tuner.model import DCPCModel
from dcpc.tuner.registration import register
from dcpc.tuner.state import PreferenceState

register()

__all__ = ["DCPCConfig", "DCPCModel", "PreferenceState"]
