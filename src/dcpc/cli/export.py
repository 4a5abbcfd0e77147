"""`dcpc export`: an adapter in a form that other software loads without dcpc."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dcpc.cli import options


def command(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="Folder that `dcpc train` wrote.")],
    output: Annotated[Path, typer.Option(help="Folder for the export.")],
    as_: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="FORM",
            help="lora (an ordinary PEFT LoRA with its head), merged (a transformers folder, for pipeline), onnx, or "
            "gguf-ready (a merged language model, for llama.cpp's converter).",
        ),
    ],
    annotator: Annotated[
        str | None, typer.Option(help="Predict as this annotator; the consensus by default.")
    ] = None,
    group: Annotated[str | None, typer.Option(help="Predict as this group of annotators.")] = None,
    force: options.Force = False,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Write ADAPTER in a form that PEFT, transformers, vLLM, onnxruntime or llama.cpp load without dcpc.

    ADAPTER stays as it is. onnx takes every form of a classifier and is exact; lora, merged and gguf-ready take
    low-rank adapters: train with `--set rank=8 --set readout=false`.
    """
    from dcpc.export import export_adapter

    done = export_adapter(
        adapter,
        output,
        as_,
        annotator=annotator,
        group=group,
        force=force,
        trust_remote_code=trust_remote_code,
    )
    options.show_notes(done.notes)
    typer.echo(f"{output} holds the adapter as {as_}, for {done.whose}. README.md there says how to load it.")
