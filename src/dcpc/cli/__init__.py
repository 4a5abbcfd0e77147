"""The `dcpc` command: one file per subcommand; heavy imports happen inside them, so `--help` is quick."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from dcpc.errors import DCPCError

app = typer.Typer(
    name="dcpc",
    help="Fine-tune on labels that annotators disagree on: see the disagreement, correct for it, prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _register_commands() -> None:
    from dcpc.cli import benchmark, demo, evaluate, inspect, predict, shift, train

    for module in (train, predict, evaluate, demo, inspect, shift, benchmark):
        app.command(module.__name__.rpartition(".")[2])(module.command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit code 0 when done, 1 when the work failed, 2 on wrong usage."""
    if not app.registered_commands:
        _register_commands()
    try:
        app(arguments)
    except DCPCError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"[bold red]Error:[/] {_escape(str(error))}"
        )
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        Console(stderr=True).print("Stopped.")
        sys.exit(130)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
