"""The path of a report: a path for programs, the page for a notebook."""

from __future__ import annotations

import os
import pickle
from html.parser import HTMLParser
from pathlib import Path

import pytest

from striate.report_file import ReportFile
from striate.runs import Run

PAGE = "<!doctype html><title>a &amp; b</title><script>let x = '\"><script>alert(1)</script>'</script>&#34;"


@pytest.fixture
def report(tmp_path):
    report = Run(tmp_path).report
    report.write_text(PAGE, encoding="utf-8")
    return report


def test_it_is_a_path_in_every_way(report, tmp_path):
    assert isinstance(report, Path)
    assert report == tmp_path / "report.html"
    assert hash(report) == hash(tmp_path / "report.html")
    assert str(report) == os.fspath(report) == str(tmp_path / "report.html")
    assert report.parent == tmp_path
    assert report.with_suffix(".pdf").name == "report.pdf"
    assert f"{report}" == str(report)
    with open(report, encoding="utf-8") as file:
        assert file.read() == PAGE
    assert pickle.loads(pickle.dumps(report)) == report


class Frame(HTMLParser):
    """What a browser sees of the frame."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)


def test_a_notebook_shows_the_page_in_a_frame_that_reaches_nothing(report):
    frame = Frame(report._repr_html_())
    assert [tag for tag, _ in frame.found] == ["iframe"]
    assert frame.texts == []
    attributes = frame.found[0][1]
    assert attributes["srcdoc"] == PAGE
    assert attributes["sandbox"] == "allow-scripts"


def test_without_a_page_a_notebook_shows_the_path(tmp_path):
    report = Run(tmp_path).report
    assert report._repr_html_() is None
    assert report.parent._repr_html_() is None
    assert "report.html" in repr(report)
    assert isinstance(report, ReportFile)
