"""What a benchmark's store says: long-form results, Markdown tables, a page. Made from the store alone."""

from dcpc_bench.report.write import write_report

__all__ = ["write_report"]
