"""Make the report of a store: python -m dcpc_bench.report FOLDER --reference dcpc."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dcpc.errors import DCPCError
from dcpc_bench.report.write import write_report


def main(arguments: list[str] | None = None) -> int:
    """Read options, write the report; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dcpc_bench.report", description=__doc__)
    parser.add_argument("folder", type=Path, help="the --output of a benchmark, finished or not")
    parser.add_argument("--reference", default="dcpc", help="method that the others are compared with (dcpc)")
    options = parser.parse_args(arguments)
    try:
        write_report(options.folder, reference=options.reference)
    except DCPCError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    print(options.folder / "report.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
