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
    """Links to files of the repository that are no pages become their text; what leads nowhere stays, and warns."""
    docs = Path(config["docs_dir"]).resolve()
    folder = (docs / page.file.src_uri).parent
    folders = [folder, ROOT] if page.file.src_uri == "index.md" else [folder]

    def mended(link: re.Match[str]) -> str:
        path = link[2].partition("#")[0]
        if not path or "://" in path:
            return link[0]
        found = next((place for start in folders if (place := (start / path).resolve()).exists()), None)
        if found is None or _is_page(found, docs, files):
            return link[0]
        return link[1]

    return LINK.sub(mended, markdown)


def _is_page(place: Path, docs: Path, files: Any) -> bool:
    return (
        place.is_relative_to(docs)
        and files.get_file_from_path(place.relative_to(docs).as_posix()) is not None
    )
