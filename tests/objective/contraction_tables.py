"""The tables of docs/contraction.md. Run this file to print them; test_contraction.py compares them to the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dcpc.models import load_base_model
from dcpc.objective import alignment_loss, pool_layers

LEARNING_RATES = (0.0, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 1.0)
LIPSCHITZ = (0.2, 0.5, 0.6, 0.7, 0.9, 1.0, 1.2)
WIDTH, PREFIX = 12, 3


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def prefix_step(
    a: Tensor, b: Tensor, learning_rate: float, *, n_layers: int = 2, mean: bool = False
) -> tuple[Tensor, Tensor]:
    """Both prefixes [P, m, W] of the first layer after one gradient step on L_align of `n_layers` layers."""
    a, b = a.clone().requires_grad_(), b.clone().requires_grad_()
    rest = [draw(*a.shape, seed=layer) for layer in range(1, n_layers)]
    tokens_a, tokens_b = draw(n_layers, len(a), WIDTH, seed=8), draw(n_layers, len(a), WIDTH, seed=9)
    alignment_loss([a, *rest], [b, *rest], tokens_a, tokens_b, mean=mean).sum().backward()
    return (a - learning_rate * a.grad).detach(), (b - learning_rate * b.grad).detach()


def measured_factor(learning_rate: float, **settings) -> float:
    """Prefix distance after one step, as a multiple of that before it."""
    a, b = draw(1, PREFIX, WIDTH, seed=1), draw(1, PREFIX, WIDTH, seed=2)
    after_a, after_b = prefix_step(a, b, learning_rate, **settings)
    return float((after_a - after_b).norm() / (a - b).norm())


def rotation(seed: int = 3) -> Tensor:
    return torch.linalg.qr(draw(WIDTH, WIDTH, seed=seed)).Q


def plain_layer(lipschitz: float) -> Callable[[Tensor], Tensor]:
    """x → ℓ·Qx, exactly ℓ-Lipschitz."""
    return lambda x: lipschitz * x @ rotation()


def residual_layer(lipschitz: float) -> Callable[[Tensor], Tensor]:
    """x → x + ℓx: what a transformer layer with a residual connection may do when its block is ℓ-Lipschitz."""
    return lambda x: x + lipschitz * x


def layer_factor(layer: Callable[[Tensor], Tensor], lipschitz: float) -> float:
    """Distance after one step with η = (1 − ℓ)/4 and one layer, as a multiple of that before."""
    a, b = draw(1, PREFIX, WIDTH, seed=1), draw(1, PREFIX, WIDTH, seed=2)
    after_a, after_b = prefix_step(a, b, (1 - lipschitz) / 4)
    return float((layer(after_a) - layer(after_b)).norm() / (a - b).norm())


def shared_matrix_factor(p_a: Tensor, p_b: Tensor, learning_rate: float) -> float:
    """As `measured_factor`, where the step is on M of P + M p_pref, which both sides share."""
    matrix = draw(len(p_a), PREFIX, WIDTH).requires_grad_()
    tokens = torch.zeros(2, 1, 1, dtype=torch.float64)

    def prefix(meta: Tensor, p: Tensor) -> Tensor:
        return torch.einsum("k,kmw->mw", p, meta)[None]

    a, b = prefix(matrix, p_a), prefix(matrix, p_b)
    alignment_loss([a, a], [b, b], tokens, tokens, mean=False).sum().backward()
    after = (matrix - learning_rate * matrix.grad).detach()
    return float((prefix(after, p_a) - prefix(after, p_b)).norm() / (a - b).detach().norm())


def verdict(factor: float) -> str:
    if abs(factor - 1) < 1e-9:
        return "stays"
    return "contracts" if factor < 1 else "grows"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def step_table() -> str:
    rows = [
        [
            f"{rate:g}",
            f"{abs(1 - 4 * rate):.2f}",
            f"{measured_factor(rate):.2f}",
            verdict(measured_factor(rate)),
        ]
        for rate in LEARNING_RATES
    ]
    return table(["η", "\\|1 − 4η\\|", "measured", "distance"], rows)


def layer_table() -> str:
    rows = []
    for lipschitz in LIPSCHITZ:
        plain, residual = (layer_factor(make(lipschitz), lipschitz) for make in (plain_layer, residual_layer))
        rate = (1 - lipschitz) / 4
        row = [f"{lipschitz:g}", f"{rate:g}" if rate >= 0 else f"−{-rate:g}", f"{lipschitz**2:.2f}"]
        rows.append([*row, f"{plain:.2f}, {verdict(plain)}", f"{residual:.2f}, {verdict(residual)}"])
    return table(["ℓ", "η = (1 − ℓ)/4", "ℓ²", "layer ℓ·Qx", "layer x + ℓx"], rows)


def matrix_table() -> str:
    rows = []
    for styles in ([1.0, 0.0], [0.9, 0.1], [0.7, 0.3], [0.55, 0.45]):
        p_a = torch.tensor(styles, dtype=torch.float64)
        squared = float((p_a - p_a.flip(0)).square().sum())
        factors = [f"{shared_matrix_factor(p_a, p_a.flip(0), rate):.2f}" for rate in (0.1, 0.25, 0.5, 1.0)]
        rows.append([f"({styles[0]:g}, {styles[1]:g})", f"{squared:.2f}", *factors])
    return table(
        ["p_A, with p_B its mirror image", "‖p_A − p_B‖²", *(f"η = {r}" for r in (0.1, 0.25, 0.5, 1.0))], rows
    )


def encoder_stretch() -> Tensor:
    """By how much each layer of minilm stretches the distance of two sentences' mean states, [L, pairs]."""
    nouns, degrees = ("film", "meal", "room", "story", "service"), ("very", "not", "rather")
    adjectives = ("good", "poor", "quiet", "lovely")
    texts = [f"the {noun} was {degree} {last}" for noun in nouns for degree in degrees for last in adjectives]
    model, tokenizer = load_base_model("minilm", ["no", "yes"])
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = model.eval()(**batch, output_hidden_states=True).hidden_states
    pooled = pool_layers([states[0], *states], batch["attention_mask"])  # [L + 1, B, H], embeddings included
    a, b = torch.triu_indices(len(texts), len(texts), offset=1)
    distance = (pooled[:, a] - pooled[:, b]).norm(dim=-1)
    return distance[1:] / distance[:-1]


def encoder_table() -> str:
    rows = [
        [
            str(layer),
            f"{ratio.min():.2f}",
            f"{ratio.median():.2f}",
            f"{ratio.max():.2f}",
            f"{(ratio > 1).float().mean():.0%}",
        ]
        for layer, ratio in enumerate(encoder_stretch(), start=1)
    ]
    return table(["layer", "least", "median", "most", "pairs that move apart"], rows)


def exact_tables() -> list[str]:
    return [step_table(), layer_table(), matrix_table()]


if __name__ == "__main__":
    print("\n\n".join([*exact_tables(), encoder_table()]))
