"""Seconds that `striate --help` takes, as a whole process.

python benchmarks/startup.py
"""

from __future__ import annotations

import argparse

import processes


def main() -> None:
    """Measure and print median and range."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    processes.run(["-m", "striate", "--help"])  # the first fills the file cache
    seconds = [processes.run(["-m", "striate", "--help"]).seconds for _ in range(runs)]
    print(processes.hardware())
    print(f"striate --help: {processes.spread(seconds, 2, 's')}, {runs} runs")


if __name__ == "__main__":
    main()
