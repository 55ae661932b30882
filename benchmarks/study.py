"""Studies: what one change at a time does to a test accuracy, over seeds.

    python benchmarks/study.py regularisation       # that of the lecture notes: stride-cnn on 9,500 images
    python benchmarks/study.py choices --seeds 5    # what each choice of the recipe `fast` is worth
    python benchmarks/study.py --list

Each is one `striate ablate`; the table is printed as Markdown. `choices` is measured on training images of
CIFAR-10 alone: a tenth of them stands in for the test split. A study that was cut short goes on where it
stopped, in the same `--out`.
"""

from __future__ import annotations

import argparse
import json
import shlex
import zipfile
from pathlib import Path
from typing import Any

import processes

TRAINING_ALONE = "cifar10-train.zip"

STUDIES = {
    "regularisation": "{data}/cifar10.zip --fraction 0.19 --model stride-cnn --vary batch_norm=off,on "
    "--vary dropout=0,0.5 --vary augment=none,flip-crop --design one-at-a-time --epochs 20 --lr 1e-3 "
    "--weight-decay 1e-4 --best-by last",
    "choices": f"{{out}}/{TRAINING_ALONE} --recipe fast --target 0.8 --test-fraction 0.1 --val-fraction 0.02 "
    "--design one-at-a-time --vary first_layer=whitening,learned --vary optimizer=muon,sgd "
    "--vary bias_lr=13,none --vary schedule=linear,one-cycle --vary augment=alternate,flip-crop,none "
    "--vary label_smoothing=0.2,0",
}
"""Arguments of `striate ablate`; `{data}` is the folder of data sets, `{out}` that of the results."""


def main() -> None:
    """Run what the command line names and print a table each."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("study", nargs="*", choices=[*STUDIES, []])
    parser.add_argument("--list", action="store_true", help="print the commands and end")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    if arguments.list:
        for name, words in STUDIES.items():
            print(f"{name}: striate ablate {words.format(data=arguments.data, out=arguments.out)}")
        return
    print(processes.hardware(), flush=True)
    for name in arguments.study:
        if TRAINING_ALONE in STUDIES[name]:
            write_training_alone(Path(arguments.data) / "cifar10.zip", arguments.out / TRAINING_ALONE)
        print(f"\n{table(measure(name, arguments))}", flush=True)


def measure(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train what is not trained yet; return the content of `comparison.json`."""
    folder = arguments.out / f"study-{name}"
    words = shlex.split(STUDIES[name].format(data=arguments.data, out=arguments.out))
    finished = processes.run(
        ["-m", "striate", "ablate", *words, "--seeds", str(arguments.seeds), "--out", str(folder), "--quiet"]
    )
    print(f"{name}: {finished.seconds:.0f} s")
    result: dict[str, Any] = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    return result


def write_training_alone(source: Path, target: Path) -> None:
    """Copy the training images of a zip file, into class folders without splits."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".part")
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(unfinished, "w") as part:
        for entry in whole.infolist():
            split, _, name = entry.filename.partition("/")
            if split == "train" and not entry.is_dir():
                part.writestr(name, whole.read(entry))
    unfinished.replace(target)


def table(result: dict[str, Any]) -> str:
    """Return the accuracy of each entry, and what it differs by from the first, as Markdown."""
    lines = ["| recipe | accuracy | against the base, points | p (Holm) | |", "|---|---|---|---|---|"]
    with_base = {found["first"]: found for found in result["comparisons"] if found["second"] == 0}
    for position, entry in enumerate(result["entries"]):
        score = next(iter(entry["scores"].values()))["accuracy"]
        own = f"| {entry['name']} | {100 * score['value']:.2f} ± {100 * score['deviation']:.2f} %"
        if position not in with_base:
            lines.append(f"{own} | | | |")
            continue
        found = with_base[position]["accuracy"]
        low, change, high = (100 * found[key] for key in ("low", "difference", "high"))
        effect = f"{change:+.2f} ({low:+.2f} to {high:+.2f})"
        lines.append(f"{own} | {effect} | {found['p_adjusted']:.2g} | {found['verdict']} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
