"""The method as a PEFT tuner: `peft.get_peft_model(base, DCPCConfig(...))`."""

from dcpc.tuner.config import DCPCConfig
from dcpc.tuner.forward_pass import PassRecord, Styles
from dcpc.tuner.model import DCPCModel
from dcpc.tuner.registration import register

register()

__all__ = ["DCPCConfig", "DCPCModel", "PassRecord", "Styles"]
