"""BitFit (Ben Zaken et al. 2022): train the bias terms and the head, nothing else."""

from __future__ import annotations

from transformers import PreTrainedModel

from dcpc.errors import ModelError
from dcpc.models.layers import head_modules
from dcpc_bench.method import Method
from dcpc_bench.methods.parts.in_place import InPlace


def train_only_biases(model: PreTrainedModel) -> int:
    """Freeze a classifier in place except its bias vectors and its head.

    Returns:
        The number of trainable parameters.

    Raises:
        ModelError: a backbone without biases, as of Llama: only the head would learn.
    """
    heads = tuple(f"{name}." for name in head_modules(model))
    n_biases = 0
    for name, parameter in model.named_parameters():
        of_head, is_bias = name.startswith(heads), name.endswith("bias")
        parameter.requires_grad_(of_head or is_bias)
        n_biases += is_bias and not of_head
    if n_biases == 0:
        raise ModelError(
            f"BitFit trains biases, and the backbone of {type(model).__name__} has none",
            fix="Choose another method for this base model.",
        )
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


METHOD = Method(
    "bitfit",
    "Ben Zaken et al. 2022",
    "plain cross-entropy on every judgement",
    carrier=InPlace("bitfit", train_only_biases),
)
