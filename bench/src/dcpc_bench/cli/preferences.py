"""`dcpc-bench preferences`: methods that know raters, on votes between two responses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    data: Annotated[Path, typer.Option(help="Folder with the sets of votes.")],
    output: Annotated[Path, typer.Option(help="Folder of the store; what it has is not run again.")],
    sets: Annotated[str | None, typer.Option(help="Sets, by commas; all of them by default.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Splits per set.")] = 5,
    trained: Annotated[
        bool, typer.Option("--trained", help="Train reward models instead, and TRL's besides.")
    ] = False,
    pairs: Annotated[int, typer.Option(min=20, help="With --trained: pairs drawn of a set.")] = 300,
    methods: Annotated[
        str | None, typer.Option(help="With --trained: methods, by commas; all of them by default.")
    ] = None,
    base_model: Annotated[
        str,
        typer.Option(
            help="Whose frozen features are used, or what trains: `minilm`, `smollm2`, an id or a path."
        ),
    ] = "minilm",
    policies: Annotated[
        bool, typer.Option("--policies", help="Train policies on simulated votes instead; reads no data.")
    ] = False,
) -> None:
    """Predict held-out votes of known and new raters from frozen features: every method, every set, every seed."""
    from dcpc.names import check_name
    from dcpc_bench.preferences.data import SETS
    from dcpc_bench.preferences.page import summary
    from dcpc_bench.preferences.suite import CELLS, read_cells, run

    names = list(SETS) if sets is None else [name.strip() for name in sets.split(",")]
    for name in names:
        check_name(name, list(SETS), "set of votes")
    if policies:
        from dcpc_bench.preferences import policies as study
        from dcpc_bench.preferences.policy_page import policy_table

        study.run(output, seeds)
        typer.echo(policy_table(read_cells(output / study.CELLS)))
        return
    if trained:
        from dcpc_bench.preferences import trained as rewards

        chosen = list(rewards.TITLES) if methods is None else [name.strip() for name in methods.split(",")]
        for name in chosen:
            check_name(name, list(rewards.TITLES), "method")
        rewards.run(data, output, rewards.NAMES if sets is None else names, seeds, pairs, chosen, base_model)
        return
    run(data, output, names, seeds, base_model)
    shown = [cell for cell in read_cells(output / CELLS) if cell["base_model"] == base_model]
    typer.echo(summary(shown).to_string())
