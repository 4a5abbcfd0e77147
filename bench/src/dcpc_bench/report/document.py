"""A report as a list of blocks, and its two renderings: Markdown, and one HTML page without a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from dcpc.report import render_page


@dataclass(frozen=True)
class Heading:
    """A heading; `level` 1 is the first below the title."""

    text: str
    level: int = 1


@dataclass(frozen=True)
class Text:
    """A paragraph, or a list of them; a `note` should not be overlooked, a `soft` one explains what stands before."""

    text: str
    kind: str = ""
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table of texts; the first `left` columns are words, the others are aligned as numbers."""

    frame: pd.DataFrame
    left: int = 1


@dataclass(frozen=True)
class Figure:
    """A plot, on the page alone."""

    svg: Markup
    caption: str = ""


@dataclass(frozen=True)
class Details:
    """What only some readers want: folded on the page, left out of a brief Markdown."""

    summary: str
    blocks: tuple[Block, ...]


Block = Heading | Text | Table | Figure | Details


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> Table:
    """A table from its header and rows of texts."""
    return Table(pd.DataFrame([list(row) for row in rows], columns=list(header), dtype=object), left)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> list[str]:
    """Lines of a Markdown table."""
    return _markdown_of_table(table(header, rows, left=left)).splitlines()


def to_markdown(title: str, blocks: Iterable[Block], *, level: int = 1, brief: bool = False) -> str:
    """The report as Markdown.

    Args:
        title: the first heading.
        blocks: the report.
        level: depth of the first heading.
        brief: leave the details out.
    """
    parts = ["#" * level + f" {title}"]
    for block in blocks:
        parts += _markdown(block, level, brief)
    return "\n\n".join(parts) + "\n"


def _markdown(block: Block, level: int, brief: bool) -> list[str]:
    match block:
        case Heading():
            return ["#" * (level + block.level) + f" {block.text}"]
        case Text():
            text = f"> {block.text}" if block.kind == "note" else block.text
            items = "\n".join(f"- {item}" for item in block.items)
            return [part for part in (text, items) if part]
        case Table():
            return [_markdown_of_table(block)]
        case Details() if not brief:
            inner = [part for own in block.blocks for part in _markdown(own, level, brief)]
            return [f"**{block.summary}**", *inner]
    return []


def _markdown_of_table(block: Table) -> str:
    escaped = block.frame.map(lambda text: str(text).replace("|", "\\|"))
    aligned = ["left" if i < block.left else "right" for i in range(escaped.shape[1])]
    return escaped.to_markdown(index=False, tablefmt="pipe", colalign=aligned, disable_numparse=True)


def to_page(title: str, lead: str, key_figures: Sequence[tuple[str, str]], blocks: Iterable[Block]) -> str:
    """The report as one HTML page.

    Args:
        title: of the page.
        lead: one sentence below it.
        key_figures: (value, name) pairs for the top.
        blocks: the report.
    """
    return render_page(
        "document",
        package="dcpc_bench.report",
        heading=title,
        lead=lead,
        key_figures=key_figures,
        blocks=list(blocks),
        kind=lambda block: type(block).__name__,
    )
