"""What the README and the other pages tell people to type works, and what they point to is there."""

from __future__ import annotations

import os
import pkgutil
import re
import shlex
import shutil
import signal
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import documents
import striate
from striate.cli import run
from striate.data.named import FASHION
from striate.workflows.listener import Listener


@pytest.fixture
def scratch(write_stripes, tmp_path, monkeypatch) -> Path:
    """A working folder with what the pages take for granted: photos, pictures, a net.yaml, Fashion-MNIST."""
    for name, seed in (("photos", 0), ("other_photos", 1)):
        write_stripes(tmp_path / name, {"cat": 12, "dog": 12, "owl": 12}, side=16, seed=seed)
    (tmp_path / "photos-marks.csv").write_text("image,action,label\ncat/000.png,drop,\n", encoding="utf-8")
    shutil.copytree(tmp_path / "other_photos" / "cat", tmp_path / "new")
    (tmp_path / "net.yaml").write_text(documents.blocks("docs/networks.md", "yaml")[0], encoding="utf-8")
    Image.new("L", (8, 8), 90).save(tmp_path / "three.png")
    write_fashion_mnist(tmp_path / "data" / "FashionMNIST" / "raw")
    monkeypatch.setenv("STRIATE_DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("STRIATE_TUNE_ALLOCATOR", "0")  # it would stay for the tests after this one
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_fashion_mnist(folder: Path) -> None:
    """Write noise in the form of Fashion-MNIST: few images, 12 pixels wide."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for prefix, count in (("train", 600), ("t10k", 20)):
        images = generator.integers(0, 256, (count, 12, 12), np.uint8)
        labels = np.arange(count, dtype=np.uint8) % len(FASHION)
        for array, name in ((images, "images-idx3"), (labels, "labels-idx1")):
            header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            (folder / f"{prefix}-{name}-ubyte").write_bytes(header + array.tobytes())


class CtrlC(Listener):
    """Presses Ctrl-C after the second epoch."""

    def epoch(self, record, epochs):
        if record.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)


def cut_short(folder: str) -> None:
    """Put a run that was interrupted in the place of the one in `folder`."""
    shutil.rmtree(folder)
    interrupted = striate.train("photos", out=folder, listener=CtrlC())
    assert interrupted.facts()["training"]["stopped"] == "interrupted"


def commands_of_the_table() -> list[list[str]]:
    cells = [row[0] for row in documents.table("README.md", "Your own pictures")]
    return [shlex.split(documents.quoted(cell)[0])[1:] for cell in cells]


@pytest.mark.slow
def test_commands_of_the_readme_run_in_the_order_in_which_they_stand(scratch, capsys):
    commands = documents.commands("README.md") + commands_of_the_table()
    assert len(commands) == 21
    for arguments in commands:
        if "--resume" in arguments:
            cut_short(arguments[-1])
        assert run(arguments) == 0, arguments
        assert capsys.readouterr().out
    assert len(striate.Run("runs/photos").history()) == 20
    assert (scratch / "predictions.csv").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/bundle.md",
        "docs/engine.md",
        "docs/lesson.md",
        "docs/networks.md",
        "docs/training.md",
        "docs/transfer.md",
        "docs/verify.md",
    ],
)
def test_python_of_the_pages_runs(page, scratch, capsys):
    if page == "docs/bundle.md":
        striate.train("photos", epochs=1, out="runs/leaves-mynet")
    found = documents.blocks(page, "python")
    assert found
    for block in found:
        exec(compile(block, page, "exec"), {})


@pytest.mark.parametrize("page", ["docs/audit.md", "docs/data.md", "docs/networks.md"])
def test_commands_of_the_pages_run(page, scratch, capsys):
    commands = documents.commands(page)
    assert commands
    for arguments in commands:
        assert run(arguments) == 0, arguments


@pytest.mark.slow
def test_commands_of_the_recipes_run_on_another_data_set(scratch, capsys):
    for arguments in documents.commands("docs/recipes.md"):
        shorter = ["--epochs", "2"] if arguments[0] == "train" else []
        words = ["fashion-mnist" if word == "cifar10" else word for word in arguments]
        assert run([*words, *shorter]) == 0, arguments
        assert capsys.readouterr().out


def test_every_code_block_is_run_by_a_test_here_or_in_the_tests_of_its_subject():
    found = {
        (page.name, language)
        for page in documents.PAGES
        for language in re.findall(r"^```(\w+)$", page.read_text("utf-8"), re.MULTILINE)
    }
    assert found == {
        ("README.md", "sh"),
        ("README.md", "python"),
        ("CONTRIBUTING.md", "sh"),
        ("audit.md", "sh"),
        ("bundle.md", "json"),
        ("bundle.md", "python"),
        ("data.md", "sh"),
        ("engine.md", "python"),
        ("lesson.md", "python"),
        ("networks.md", "sh"),
        ("networks.md", "yaml"),
        ("networks.md", "python"),
        ("recipes.md", "sh"),
        ("training.md", "python"),
        ("transfer.md", "python"),
        ("verify.md", "sh"),
        ("verify.md", "python"),
    }


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", documents.read("Makefile"), re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md"):
        shell = "\n".join([*documents.blocks(page, "sh"), *documents.quoted(documents.read(page))])
        named = set(re.findall(r"\bmake ([a-z]+)\b", shell))
        assert named
        assert named <= targets


def test_versions_to_install_by_hand_are_the_tested_ones():
    tested = re.findall(r"^[\w-]+==[\w.]+", documents.read("constraints.txt"), re.MULTILINE)
    named = re.findall(r"\S+==\S+", "".join(documents.blocks("README.md", "sh")))
    assert len(named) == 2
    assert set(named) <= set(tested)


@pytest.mark.parametrize("page", [page.relative_to(documents.ROOT).as_posix() for page in documents.PAGES])
def test_links_lead_somewhere(page):
    for link in documents.links(page):
        path, _, anchor = link.partition("#")
        target = (documents.ROOT / page).parent / path if path else documents.ROOT / page
        name = os.path.relpath(target, documents.ROOT)
        assert target.exists(), link
        assert not anchor or anchor in documents.anchors(name), link


def test_names_of_the_library_that_the_pages_name_exist():
    text = " ".join(page.read_text("utf-8") for page in documents.PAGES)
    for name in set(re.findall(r"\bstriate(?:\.[A-Za-z_]+)+(?=[`(,\s])", text)):
        assert pkgutil.resolve_name(name), name
