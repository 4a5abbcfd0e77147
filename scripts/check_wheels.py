"""Build the wheels of both distributions, install them in a fresh environment, and use them as a user would.

Run: python scripts/check_wheels.py [FOLDER]

Their dependencies are those of the environment that runs this script: what is tested is what the wheels hold, how
their commands start, and that one training each works. FOLDER keeps the wheels; without it they are thrown away.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = {"dcpc": "dcpc", "dcpc-bench": "dcpc_bench"}
MOST_SECONDS = 0.5
"""Of processor time until `--help` is printed: torch must not be loaded for it."""
TINY = """
import sys
from tiny_models import save_tiny_bert, sentiment_judgements
save_tiny_bert(__import__("pathlib").Path(sys.argv[1]) / "tiny", mean_pooling=True)
sentiment_judgements(40, ("ann", "bob", "cem")).table.to_csv(sys.argv[1] + "/reviews.csv", index=False)
"""


def main() -> None:
    """Build, install, run; the first thing that fails ends the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="where to keep the wheels")
    kept = parser.parse_args().folder
    with tempfile.TemporaryDirectory(prefix="dcpc-wheels-") as scratch:
        work = Path(scratch)
        wheels = build(work, kept or work / "wheels")
        binaries = install(wheels, work / "environment")
        for command, package in COMMANDS.items():
            seconds = min(help_seconds(binaries / command) for _ in range(3))
            print(f"{command} --help: {seconds:.2f} s of processor time")
            if seconds > MOST_SECONDS:
                raise SystemExit(f"{command} --help takes more than {MOST_SECONDS} s.")
            code = f"import {package}; print({package}.__file__)"
            found = run(binaries / "python", "-c", code, cwd=work).strip()
            if not found.startswith(str(work)):
                raise SystemExit(f"{package} was not imported from its wheel, but from {found}")
        train(binaries, work)
    print("Both wheels install, start and train.")


def build(work: Path, folder: Path) -> list[Path]:
    """The wheels, made from copies of the sources: a build leaves files, which the next one would take along."""
    for name in (".", "bench"):
        source = work / "sources" / name
        for path in (ROOT / name).iterdir():
            if path.is_file():
                source.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, source)
        ignored = shutil.ignore_patterns("*.egg-info", "__pycache__")
        shutil.copytree(ROOT / name / "src", source / "src", ignore=ignored)
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source)
    wheels = sorted(folder.glob("dcpc*.whl"))
    print(*(wheel.name for wheel in wheels), sep="\n")
    return wheels


def install(wheels: list[Path], folder: Path) -> Path:
    """A fresh environment with the wheels, and all else from this one; the folder of its commands."""
    venv.create(folder, with_pip=False)
    binaries = folder / "bin"
    site = Path(
        run(binaries / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    )
    # A path in a .pth file is searched last, and .pth files inside it (of editable installs) are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", binaries / "python", "install", "--quiet", "--no-deps"]
    run(*pip, "--force-reinstall", *wheels)
    return binaries


def train(binaries: Path, work: Path) -> None:
    """One training with each command, on a tiny random base model."""
    environment = {**clean_environment(), "PYTHONPATH": str(ROOT / "tests")}
    run(binaries / "python", "-c", TINY, work, cwd=work, environment=environment)
    data, model = work / "reviews.csv", work / "tiny"
    output = work / "adapter"
    run(binaries / "dcpc", "train", data, "--model", model, "--output", output, "--set", "num_train_epochs=1")
    run(binaries / "dcpc", "predict", output, data, "--output", work / "predictions.csv")
    options = ("--methods", "dcpc,lora", "--seeds", 1, "--epochs", 1, "--conditions", "budget=all")
    store = work / "store"
    run(binaries / "dcpc-bench", "run", "--data", data, "--model", model, "--output", store, *options)
    for path in (output / "adapter_model.safetensors", work / "predictions.csv", store / "report.html"):
        if not path.is_file():
            raise SystemExit(f"{path.name} was not written")


def help_seconds(command: Path) -> float:
    """Processor time of `command --help`, so that a busy machine does not count."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(command, "--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def clean_environment() -> dict[str, str]:
    """This process's environment without what would let a checkout be imported."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


def run(*command: object, cwd: Path | None = None, environment: dict[str, str] | None = None) -> str:
    """Standard output of a command; its error ends the script."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd or tempfile.gettempdir(),
        env=environment or clean_environment(),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
