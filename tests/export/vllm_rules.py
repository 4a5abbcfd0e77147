"""What vLLM's LoRA loader asks of a folder, in our words, and without vLLM.

Read from its public sources of 2024 to 2026 (`vllm/lora`: `peft_helper`, `lora_model`, `utils`, `worker_manager`):

- `adapter_config.json` says `r`, `lora_alpha` and `target_modules`; `r` is at most the server's `--max-lora-rank`
  (16 unless said otherwise). Updates are scaled by α / r, or α / √r with `use_rslora`.
- no `modules_to_save`, no DoRA, no biases: it has nowhere to put them, so a classifier's head has no place.
- `adapter_model.safetensors` holds nothing but `….lora_A.weight` [r, in] and `….lora_B.weight` [out, r], in pairs,
  named after the module behind `base_model.model.`; the last part of that name is a linear layer the server knows.
  vLLM joins layers (query, key and value; gate and up), and takes updates of each under its own name.
- what names no module of the served model is passed over without a word: names must be those of the base model.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from safetensors import safe_open

MAX_RANK = 16
LLAMA_LINEAR = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
"""Linear layers of Llama, Mistral, Qwen and others of that shape, each under its own name."""
START = "base_model.model."


def scale(config: dict) -> float:
    """The factor of B A x."""
    return config["lora_alpha"] / config["r"] ** (0.5 if config.get("use_rslora") else 1)


def refusals(folder: Path, modules: set[str], linear: set[str], max_rank: int = MAX_RANK) -> list[str]:
    """Why the folder would not be taken, or would not act whole; empty where all is well.

    Args:
        folder: of the LoRA.
        modules: names of all modules of the base model.
        linear: last parts of the names of linear layers that the server knows.
        max_rank: of the server.
    """
    config = json.loads((folder / "adapter_config.json").read_text())
    wrong = [f"no {name}" for name in ("r", "lora_alpha", "target_modules") if not config.get(name)]
    wrong += [name for name in ("modules_to_save", "use_dora") if config.get(name)]
    if config.get("bias", "none") != "none":
        wrong.append("bias")
    if (rank := config.get("r") or 0) > max_rank:
        wrong.append(f"rank {rank} over {max_rank}")
    sides: dict[str, dict[str, tuple[int, ...]]] = defaultdict(dict)
    with safe_open(folder / "adapter_model.safetensors", framework="pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118
            module, _, side = name.removeprefix(START).removesuffix(".weight").rpartition(".")
            if not name.endswith(".weight") or side not in ("lora_A", "lora_B"):
                wrong.append(f"a tensor that is no LoRA: {name}")
                continue
            sides[module][side] = tuple(tensors.get_slice(name).get_shape())
    for module, shapes in sides.items():
        if module not in modules:
            wrong.append(f"no such module: {module}")
        if module.rpartition(".")[2] not in linear:
            wrong.append(f"no linear layer: {module}")
        if shapes.keys() != {"lora_A", "lora_B"} or (shapes["lora_A"][0], shapes["lora_B"][1]) != (
            rank,
            rank,
        ):
            wrong.append(f"no pair of rank {rank}: {module}")
    return wrong
