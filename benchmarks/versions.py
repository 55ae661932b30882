"""Whether training became slower since an earlier version: the same commands with both, in turns.

    python benchmarks/versions.py REVISION
    python benchmarks/versions.py REVISION --data ../shared/data --pairs 5 --only digits --now=--no-audit

The earlier version is taken from the repository, as `git archive` gives it, and runs with the libraries that
are installed. Each run is a process of its own, from its start to the report, with images that an earlier run
has decoded. Printed are medians and ranges of seconds, and of the ratio now / before, pair by pair.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import tarfile
import tempfile
from pathlib import Path

import processes

ROOT = Path(__file__).resolve().parent.parent

CIFAR10 = "{data}/cifar10.zip --fraction 0.1 --epochs 3"

COMMANDS = {
    "digits": "digits",
    "mynet": CIFAR10,
    "custom-cnn": f"{CIFAR10} --model custom-cnn --batch-size 256",
    "numpy": "digits --model simple-cnn --engine numpy --epochs 5",
}
"""Arguments of `striate train`, by name."""


def main() -> None:
    """Compare what the command line names."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("revision", help="of git: the earlier version")
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--now", action="append", default=[], help="option of the present version alone")
    parser.add_argument("--only", default="", help="commands whose name contains this")
    arguments = parser.parse_args()
    print(f"{processes.hardware()}\nbefore: {arguments.revision}\n")
    print("| command | pairs | before, s | now, s | now / before |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        before = extract(arguments.revision, Path(folder) / "before")
        for name, words in COMMANDS.items():
            if arguments.only in name:
                train = words.format(data=arguments.data).split()
                versions = {"before": (before, train), "now": (ROOT / "src", [*train, *arguments.now])}
                print(row(name, versions, Path(folder), arguments.pairs), flush=True)


def extract(revision: str, folder: Path) -> Path:
    """Write the tree of `revision` to `folder`; return its `src`."""
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", revision, "src"], stdout=subprocess.PIPE, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder / "src"


def row(name: str, versions: dict[str, tuple[Path, list[str]]], folder: Path, pairs: int) -> str:
    """Return the Markdown row of a command: a run of each to warm up, then in turns.

    Args:
        name: of the command.
        versions: source and arguments of `striate train` of each, by "before" and "now".
        folder: for what the runs write.
        pairs: that are counted.
    """
    taken: dict[str, list[float]] = {version: [] for version in versions}
    for turn in range(pairs + 1):
        for version, (source, words) in versions.items():
            out = folder / f"{name}-{version}-{turn}"
            command = ["-m", "striate", "train", *words, "--quiet", "--out", str(out)]
            environment = {"PYTHONPATH": str(source), "STRIATE_CACHE": str(folder / f"cache-{version}")}
            taken[version].append(processes.run(command, environment).seconds)
    counted = {version: seconds[1:] for version, seconds in taken.items()}
    ratios = [now / old for old, now in zip(counted["before"], counted["now"], strict=True)]
    shown = " | ".join(processes.spread(seconds) for seconds in counted.values())
    return f"| {name} | {pairs} | {shown} | **{processes.spread(ratios, 3)}** |"


if __name__ == "__main__":
    main()
