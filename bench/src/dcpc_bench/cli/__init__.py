"""The `dcpc-bench` command: one file per subcommand; heavy imports happen inside them, so `--help` is quick."""

from __future__ import annotations

import typer

from dcpc import cli

app = typer.Typer(
    name="dcpc-bench",
    help="Compare DCPC with other methods: on suites, on your own annotations, on simulated annotators.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit code 0 when done, 1 when the work failed, 2 on wrong usage, 130 when stopped."""
    if not app.registered_commands:
        from dcpc_bench.cli import demo, pack, preferences, report, run, shift

        cli.register(app, (demo, run, report, pack, shift, preferences))
    cli.run(app, arguments)
