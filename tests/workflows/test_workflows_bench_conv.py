"""A race between the algorithms of convolution: what it measures, and whom it leaves out."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest

import striate
from striate import schemas
from striate.engine import race
from striate.engine.algorithms import ALGORITHMS
from striate.engine.algorithms.choice import automatic
from striate.engine.functional import conv2d_geometry
from striate.errors import UserError
from striate.workflows import racing
from striate.workflows.bench_conv import COLUMNS, bench_conv

SMALL = {"shape": (2, 3, 8, 9), "out_channels": 4, "padding": 1, "runs": 2, "torch": False}


def geometry(size, weight, **arguments):
    return conv2d_geometry(np.zeros(size, "f"), np.zeros(weight, "f"), **arguments)


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    return bench_conv(**SMALL | {"runs": 1}, out=tmp_path_factory.mktemp("race"))


def test_all_that_serve_the_shape_are_raced_and_no_others(raced):
    shape = geometry((2, 3, 8, 9), (4, 3, 3, 3), padding=1)
    serving = {name for name in ALGORITHMS if ALGORITHMS[name].refusal(shape) is None}
    assert set(raced.table["algorithm"]) == serving
    assert set(raced.refused) == set(ALGORITHMS) - serving
    assert raced.table.loc[raced.table["auto"] == 1, "algorithm"].tolist() == [automatic(shape)]
    assert raced.multiply_adds == 2 * 4 * 8 * 9 * 3 * 3 * 3


def test_every_contender_comes_close_to_the_reference_within_its_tolerance(raced):
    assert raced.reference == "loops in float64"
    for row in raced.table.itertuples():
        assert 0 < row.difference <= max(ALGORITHMS[row.algorithm].TOLERANCE["float32"], 1e-5), row


def test_the_fastest_stands_first_and_speeds_follow_from_times(raced):
    table = raced.table
    total = table["forward_seconds"] + table["backward_seconds"]
    assert (total > 0).all()
    assert total.is_monotonic_increasing
    work = 2e-9 * raced.multiply_adds
    np.testing.assert_allclose(table["forward_gflops"], work / table["forward_seconds"])
    np.testing.assert_allclose(table["backward_gflops"], 2 * work / table["backward_seconds"])
    assert (table["turns"] == 1).all()


def test_table_chart_and_environment_are_written(raced):
    assert [path.name for path in raced.figures] == ["conv.png", "conv.svg"]
    assert all(path.stat().st_size > 1000 for path in raced.figures)
    table = schemas.read_table(raced.folder / "conv.csv")
    assert tuple(table.columns) == COLUMNS
    assert table["algorithm"].tolist() == raced.table["algorithm"].tolist()
    assert "openblas" in json.loads((raced.folder / "environment.json").read_text())["conditions"]


def test_who_takes_too_long_is_stopped_and_the_table_says_so():
    result = striate.bench_conv(
        (16, 16, 64, 64), out_channels=16, padding=1, algorithms=["pixels", "im2col"], torch=False, limit=0.3
    )
    pixels = result.table.set_index("algorithm").loc["pixels"]
    assert pixels["note"] == "stopped after 0.3 s"
    assert pixels["turns"] < 5
    assert result.reference == "im2col in float64"


@pytest.mark.slow
def test_torch_computes_the_same_in_both_layouts_with_uneven_padding_dilation_and_groups():
    result = bench_conv(
        "2,4,9,8",
        out_channels=6,
        kernel=(2, 4),
        padding="same",
        dilation="3,1",
        groups=2,
        dtype="float64",
        algorithms=["auto"],
        runs=1,
    )
    assert set(result.table["algorithm"]) >= {"torch", "torch-channels-last"}
    assert (result.table["difference"] < 1e-13).all()
    assert "dilation 3x1" in result.convolution


def test_peak_memory_sees_what_is_held_at_once():
    code = (
        "import numpy as np; from striate.engine import race;"
        "print(race.peak_bytes(lambda: np.ones(64 * 2**20, np.uint8).sum()))"
    )
    peak = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert peak.strip() == "None" or 60 * 2**20 < int(peak) < 80 * 2**20


def test_a_call_is_timed_by_its_median_without_the_first(monkeypatch):
    clock = iter(np.cumsum([0, 9, 0, 1, 0, 1, 0, 3]))
    monkeypatch.setattr(race.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(race, "TURN_SECONDS", 12)
    assert race.seconds(lambda: None) == 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"shape": "256,3,32"}, "expected four numbers"),
        ({"shape": "a,3,8,8"}, "expected four numbers"),
        ({"shape": "0,3,8,8"}, "at least 1"),
        ({"kernel": 11}, "no larger than the padded input, 10x11, got 11x11"),
        ({"kernel": "3,3,3"}, "kernel is '3,3,3'"),
        ({"padding": -1}, "padding is -1"),
        ({"padding": "same", "stride": 2}, "'same' and stride"),
        ({"groups": 2}, "divisor of in_channels = 3"),
        ({"groups": 0}, "groups is 0"),
        ({"out_channels": 0}, "out-channels is 0"),
        ({"dtype": "float16"}, "dtype is 'float16'"),
        ({"algorithms": ["im2cool"]}, "did you mean 'im2col'"),
        ({"shape": (1, 3, 512, 512), "algorithms": ["loops"]}, "take too long"),
        ({"shape": (10**6, 3, 512, 512), "algorithms": ["im2col"]}, "GiB"),
        ({"runs": 0}, "runs is 0"),
        ({"limit": 0}, "limit is 0"),
        ({"limit": float("inf")}, "limit is inf"),
        ({"shape": (99999999, 99999, 99999, 99999)}, "no such convolution"),
        ({"threads": -2}, "threads is -2"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_what_cannot_be_raced_is_refused_with_the_reason(change, text):
    with pytest.raises(UserError, match=text) as refused:
        bench_conv(**SMALL | change)
    assert "\n" not in str(refused.value)


def test_a_folder_that_cannot_be_made_is_told_before_the_race(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("striate.workflows.racing.run", lambda *_, **__: pytest.fail("it has begun"))
    with pytest.raises(UserError, match="file"):
        bench_conv(**SMALL, out=tmp_path / "file")


def test_memory_that_is_not_known_stays_empty_in_the_table(raced):
    from striate.evaluation import figures

    unknown = raced.table.assign(peak_bytes=pd.array([pd.NA] * len(raced.table), "Int64"))
    assert figures.png(figures.convolution_race(unknown, "unknown"))
    nobody = raced.table.assign(turns=0)
    assert figures.png(figures.convolution_race(nobody, "nobody"))


def test_ctrl_c_while_a_contender_is_read_leaves_no_timer_behind(monkeypatch):
    class Interrupted:
        """A process during whose answer the user presses Ctrl-C."""

        stdout = property(lambda self: self)

        def readline(self):
            raise KeyboardInterrupt

        def kill(self):
            """Nothing to end."""

        def communicate(self):
            """Nothing to read."""

    monkeypatch.setattr(racing.subprocess, "Popen", lambda *_, **__: Interrupted())
    before = set(threading.enumerate())
    contender = racing.Contender("im2col", "nowhere", 1)
    with pytest.raises(KeyboardInterrupt):
        contender.get_ready()
    left = set(threading.enumerate()) - before
    for timer in left:
        timer.join(1)
    assert not any(timer.is_alive() for timer in left)
