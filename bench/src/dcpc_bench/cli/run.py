"""`dcpc-bench run`: methods compared on the suites that come with the package, or on one's own annotations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcpc.cli import options
from dcpc.cli.reading import DataOptions
from dcpc.errors import UsageError

if TYPE_CHECKING:
    from dcpc_bench.rig.suite import Suite

OWN_METHODS = "dcpc,lora,majority-vote,soft-labels,linear-probe"


def command(
    output: Annotated[Path, typer.Option(help="Folder for results; a stopped run goes on there.")],
    suite: Annotated[
        str | None,
        typer.Argument(
            metavar="SUITE",
            help="smoke, real-small, real-full, sizes, sizes-defaults, shift-small, shift-rte, shift-full, ablation, "
            "paper-llm, paper-llm-cut, paper-llm-longer, head-or-words, or a YAML file.",
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Your own annotations, in any format that `dcpc train` reads.")
    ] = None,
    data_folder: Annotated[
        Path | None, typer.Option(envvar="DCPC_DATA", help="Folder that holds a suite's data sets.")
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help=f"Comma-separated. With --data: {OWN_METHODS}. All are compared with dcpc, or without it the first."
        ),
    ] = None,
    datasets: Annotated[str | None, typer.Option(help="Only these data sets of the suite.")] = None,
    conditions: Annotated[
        str | None,
        typer.Option(help="Only these, where the suite has them: budget=1,clean,… (docs/benchmark.md)."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Number of seeds (splits, draws, training).")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Base model: Hugging Face id, local path, or `minilm`.")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="Epochs of a full training.")] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Cells at a time, each on one thread; by default 1, or with --ray all that it has room for.",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Run the cells on Ray: `local` starts one on this machine, `auto` or an address joins a cluster.",
        ),
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")] = False,
    rerun: Annotated[
        str | None, typer.Option(metavar="METHOD", help="Drop all records of a method and run it again.")
    ] = None,
    columns: options.Columns = None,
    format: options.Format = None,
    scale: options.Scale = None,
    labels: options.Labels = None,
) -> None:
    """Compare methods: same splits, same search, same budgets, several seeds, tested differences."""
    from rich.console import Console

    from dcpc_bench.report import write_report
    from dcpc_bench.rig import overview
    from dcpc_bench.rig.runner import check_suite, run_suite

    if (suite is None) == (data is None):
        raise UsageError("a suite or --data is needed, and not both.", fix="Write e.g. dcpc-bench run smoke.")
    if data is None:
        if columns or format or scale or labels:
            raise UsageError("--columns, --format, --scale and --labels belong to --data.")
        chosen = _suite(str(suite))
    else:
        chosen = _own(data, columns, format, scale, labels)
    chosen = narrow(
        chosen,
        methods=options.parse_list(methods),
        datasets=options.parse_list(datasets),
        conditions=options.parse_list(conditions),
        seeds=seeds,
        training={"base_model": model, "epochs": epochs},
    )
    check_suite(chosen, data_folder)
    console = Console(highlight=False)
    console.print(overview.budgets(chosen))
    records = run_suite(
        chosen,
        output,
        data_folder=data_folder,
        workers=workers,
        ray=ray,
        retry_failed=retry_failed,
        rerun=options.parse_list(rerun) or (),
    )
    write_report(output, reference=chosen.reference)
    console.print(overview.results(chosen, records.values()))
    console.print(f"Written to {output}", soft_wrap=True)


def narrow(
    suite: Suite,
    *,
    methods: list[str] | None = None,
    datasets: list[str] | None = None,
    conditions: list[str] | None = None,
    seeds: int | None = None,
    training: dict[str, Any] | None = None,
) -> Suite:
    """A suite with other methods, fewer data sets, other conditions, seeds or training; None leaves it.

    Raises:
        UsageError: a name that is not known, with the nearest ones; a setting that makes no sense.
    """
    from dcpc.names import check_name
    from dcpc_bench.rig.suite import check_names, make_suite

    content = suite.model_dump()
    if methods is not None:
        content["methods"] = list(dict.fromkeys(methods))
        if suite.reference not in methods:
            content["reference"] = methods[0]
    for name in datasets or []:
        check_name(name, [d.name for d in suite.datasets], "data set in this suite")
    if datasets is not None:
        content["datasets"] = [d for d in content["datasets"] if d["name"] in datasets]
    if conditions is not None:
        content |= _only(suite, content["datasets"], list(dict.fromkeys(conditions)))
    if seeds is not None:
        content["seeds"] = seeds
    content["training"] |= {k: v for k, v in (training or {}).items() if v is not None}
    narrowed = make_suite(content)
    check_names(narrowed)
    return narrowed


def _only(suite: Suite, datasets: list[dict[str, Any]], conditions: list[str]) -> dict[str, Any]:
    """Conditions and data sets of a suite that runs these conditions only.

    Data sets that the suite runs in none of them are left out. A condition that is new to the suite is run on all.

    Raises:
        UsageError: nothing is left to run.
    """
    known = {c for d in suite.datasets for c in suite.conditions_of(d)}

    def run(of: list[str]) -> list[str]:
        return [c for c in conditions if c in of or c not in known]

    kept = []
    for dataset in datasets:
        own = dataset["conditions"]
        if left := run(own or suite.conditions):
            kept.append({**dataset, "conditions": own and left})
    if not kept:
        names = ", ".join(d["name"] for d in datasets)
        raise UsageError(
            f"the suite does not run {', '.join(conditions)} on {names}.",
            fix="Give other --conditions, or --datasets that have them.",
        )
    return {"conditions": run(suite.conditions) or suite.conditions, "datasets": kept}


def _suite(name: str) -> Suite:
    from dcpc_bench.rig.suite import load_suite

    return load_suite(name)


def _own(data: str, columns: str | None, format: str | None, scale: str | None, labels: str | None) -> Suite:
    """A suite of one's own file: the default methods, both budgets, three seeds."""
    import re

    from dcpc_bench.rig.suite import make_suite

    read = DataOptions(columns=columns, format=format, scale=scale, labels=labels).annotations(
        data
    )  # says what it skipped
    if "split" in read.table:
        options.show_notes(
            ["The column `split` is not used: every seed splits the items anew, the same for all methods."]
        )
    here = Path(data).exists()  # what was read and is not here came from the Hugging Face Hub
    name = re.sub(r"[^\w.-]+", "-", Path(data).stem).strip("-") or "data"
    dataset = {
        "name": name,
        "path": str(Path(data).resolve()) if here else data,
        "columns": options.parse_columns(columns),
        "format": format if here else "huggingface",
        "scale": scale,
        "label_set": options.parse_list(labels),
    }
    methods = options.parse_list(OWN_METHODS) or []
    return make_suite(
        {
            "name": "own",
            "datasets": [dataset],
            "methods": methods,
            "reference": methods[0],
            "training": {"max_length": 128},
        }
    )
