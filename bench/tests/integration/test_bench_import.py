"""The rig's light commands load no torch, the core knows nothing of the rig, and neither has a cycle of imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import dcpc
import dcpc_bench

PACKAGES = {"dcpc": Path(dcpc.__file__).parent, "dcpc_bench": Path(dcpc_bench.__file__).parent}
HEAVY = "assert not {'torch', 'transformers', 'peft'} & set(sys.modules)"


def run(*lines: str) -> None:
    """Run lines in a fresh Python."""
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def modules(package: str) -> dict[str, Path]:
    """Every module of a package by its full name."""
    root = PACKAGES[package]
    found = {}
    for path in root.rglob("*.py"):
        parts = [package, *path.relative_to(root).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path, known: set[str], *, lazy: bool) -> set[str]:
    """The modules among `known` that a file imports when it is loaded; with `lazy` those within functions too."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not lazy:
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test) and not lazy:
                continue
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                for alias in child.names:
                    whole = f"{base}.{alias.name}"
                    found.add(whole if whole in known else base)
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def test_the_core_imports_nothing_of_the_rig() -> None:
    known = set(modules("dcpc_bench"))
    for name, path in modules("dcpc").items():
        theirs = {m for m in imported(path, known, lazy=True) if m.partition(".")[0] == "dcpc_bench"}
        assert not theirs, name


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_needs_itself_to_be_imported(package: str) -> None:
    files = modules(package)
    graph = {
        name: imported(path, set(files), lazy=False) & set(files) - {name} for name, path in files.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules


def test_the_core_knows_no_rival_by_name() -> None:
    rivals = ("adalora", "ia3", "co-teaching", "coteaching", "crowd_layer", "dcpc_bench")
    for path in PACKAGES["dcpc"].rglob("*.py"):
        text = path.read_text(encoding="utf-8").casefold()
        assert not [rival for rival in rivals if rival in text], path


def test_a_report_is_made_without_torch() -> None:
    run(
        "import sys, dcpc_bench.report.write",
        "assert not {'torch', 'transformers', 'peft'} & set(sys.modules)",
    )


def test_shifting_annotations_needs_no_torch(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("text,label,split\na film,yes,train\nan evening,no,train\na day,no,test\n")
    arguments = ["shift", "flips", str(data), "--split", "train", "--output", str(tmp_path / "shifted.csv")]
    run(
        "import sys, dcpc_bench.cli",
        f"try: dcpc_bench.cli.main({arguments})",
        "except SystemExit as stop: assert not stop.code",
        "assert not {'torch', 'transformers', 'peft'} & set(sys.modules)",
    )
    assert (tmp_path / "shifted.csv").exists()
