"""The scripts of this folder one after the other, for the figures of RESULTS.md. It takes many hours.

    python benchmarks/all.py --list
    python benchmarks/all.py                       # what was measured already is not measured again
    python benchmarks/all.py --only fast --only "engine.py conv"

What each prints is kept in `--out` as a text of its own, whose first lines are the command, the machine and
the libraries. Nothing else should run meanwhile. The data sets lie in `--data`.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import accuracy
import fast
import processes
import study

LINE = "-" * 40
SLOWED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Left out of the environment: where they are set, NumPy's products may be slow."""
MEASUREMENTS = (
    "startup.py",
    "loading.py {data}/cifar10.zip",
    "report.py",
    "report.py --classes 1000 --images 50000 --runs 3",
    "audit.py {data}/cifar10.zip",
    "audit.py mnist --data-root {data} --runs 2",
    "audit.py fashion-mnist --data-root {data} --runs 2",
    "audit.py {data}/cifar10.zip --planted 4500",
    "audit.py mnist --data-root {data} --planted 1800 --images 10000",
    "audit.py fashion-mnist --data-root {data} --planted 1800 --images 10000",
    "audit.py {data}/coffee-leaf.zip --planted 120 --images 400",
    "explain.py",
    "transfer.py coffee {data}/coffee-leaf.zip",
    "transfer.py resplits {data}/coffee-leaf.zip",
    "transfer.py features --images 200",
    "heads.py {data}/coffee-leaf.zip --images 1905 400 100",
    "heads.py {data}/cifar10.zip --images 2000 200 --option model=lite0 fraction=0.06 val_fraction=0.02 "
    "--rounds 5",
    *(f"transfer.py memory --images {images}" for images in (1000, 4000, 20_000)),
    "throughput.py {data}/cifar10.zip",
    "throughput.py {data}/cifar10.zip --untuned-allocator",
    "throughput.py {data}/cifar10.zip --precision 32",
    "throughput.py {data}/cifar10.zip --precision 32 --untuned-allocator",
    *(f"engine.py {what}" for what in ("conv", "depthwise", "pixels", "memory", "threads", "scaling")),
    "lite0.py",
    "versions.py 04d4b04 --data {data} --now=--no-audit",
    "engine_steps.py",
    "engine_steps.py --memory",
    "equal_recipes.py --studies 1000",
    "ladder.py hidden --budget 6m",
    "ladder.py plain --budget 2m",
    "ladder.py photos --data {data}/coffee-leaf.zip --budget 3m",
    "ladder.py photos --data {data}/coffee-leaf.zip --budget 5m",
    "ladder.py photos --data {data}/coffee-leaf.zip --budget 15m",
    *(f"study.py {name} --data {{data}}" for name in study.STUDIES),
    *(f"fast.py {name} --first-seed 1 --data {{data}}" for name in fast.EXPERIMENTS),
    *(f"accuracy.py {name} --data {{data}}" for name in accuracy.EXPERIMENTS),
)
"""Scripts of this folder with what they are to measure, the quickest first."""


def main() -> None:
    """Measure what the command line names; end with status 1 where something failed."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--list", action="store_true", help="print the commands and end")
    parser.add_argument("--only", action="append", default=[], help="commands that contain this; repeatable")
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/figures"))
    arguments = parser.parse_args()
    commands = [command.format(data=arguments.data) for command in MEASUREMENTS]
    wanted = [c for c in commands if not arguments.only or any(part in c for part in arguments.only)]
    if arguments.list:
        print("\n".join(f"python benchmarks/{command}" for command in wanted))
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed = [command for command in wanted if not _measured(command, arguments.out)]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _measured(command: str, folder: Path) -> bool:
    """Measure once, unless a text in `folder` holds it already; return whether all went well."""
    script, *words = shlex.split(command)
    parts = (part.rpartition("/")[2].strip("-") for part in (script.removesuffix(".py"), *words))
    kept = folder / f"{'-'.join(parts)}.txt"
    if kept.exists():
        print(f"{kept} is there: {command}", flush=True)
        return True
    print(f"{command} ...", flush=True)
    environment = {name: value for name, value in os.environ.items() if name not in SLOWED}
    begun = time.monotonic()
    finished = subprocess.run(
        [sys.executable, str(Path(__file__).parent / script), *words],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env=environment,
    )
    head = f"python benchmarks/{command}\n{processes.hardware()}\n{LINE}\n"
    print(f"{finished.stdout}{time.monotonic() - begun:.0f} s", flush=True)
    if finished.returncode == 0:
        kept.write_text(head + finished.stdout, encoding="utf-8")
    return finished.returncode == 0


if __name__ == "__main__":
    main()
