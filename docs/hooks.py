"""What the site needs beyond the pages: the README as its start, and no links to files that are not part of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the README as the first page."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links to files of the repository that are no pages become their text."""
    docs = Path(config["docs_dir"])
    folder = (docs / page.file.src_uri).parent

    def mended(link: re.Match[str]) -> str:
        text, target = link[1], link[2]
        path = target.partition("#")[0]
        if (
            not path
            or "://" in path
            or (
                (folder / path).resolve().is_relative_to(docs.resolve())
                and (folder / path).suffix in (".md", ".png")
            )
        ):
            return link[0]
        return text

    return LINK.sub(mended, markdown)
