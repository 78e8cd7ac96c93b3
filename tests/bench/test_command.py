"""The command: errors that a person can act on, and the files it writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from monitor.bench import plot
from monitor.bench.report import Lengths, Report
from monitor.bench.rounds import Measured, Round
from monitor.cli import app
from monitor.errors import MonitorError


def refused(*arguments: str) -> str:
    found = CliRunner().invoke(app, ["bench", *arguments])
    assert isinstance(found.exception, MonitorError), found.output
    return str(found.exception)


def test_an_unknown_corpus_is_refused_with_those_there_are() -> None:
    assert "--corpus tweets: choose among mix, headlines, long" == refused("--corpus", "tweets")


def test_a_file_in_no_folder_is_refused_before_the_work(tmp_path: Path) -> None:
    assert "does not exist; create it first" in refused("--json", str(tmp_path / "no" / "b.json"))


def test_a_plot_of_nothing_compared_is_refused() -> None:
    assert "--plot draws the comparison" in refused("--memory", "100", "--plot", "b.png")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_gpu_is_refused() -> None:
    assert "this torch sees no CUDA device" in refused("--device", "cuda")


def test_a_model_that_is_no_folder_is_refused() -> None:
    assert "neither a folder nor one of default, bert-base-random" in refused(
        "--device", "cpu", "--model", "no-such-folder"
    )


def test_help_has_examples() -> None:
    found = CliRunner().invoke(app, ["bench", "--help"])
    assert 0 == found.exit_code
    assert "monitor bench --quick" in found.output


def test_it_starts_where_the_rest_of_the_monitor_is_missing() -> None:
    blocked = ["kafka", "sqlalchemy", "streamlit", "apscheduler", "starlette", "alembic", "uvicorn"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked}));"
        "import monitor.bench.run, monitor.bench.render, monitor.bench.plot, monitor.bench.ours;"
        "sys.argv = ['bench', '--help']; from monitor.bench.__main__ import main; main()"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 0 == found.returncode, found.stderr
    assert "--open-loop" in found.stdout


def test_memory_is_watched_over_the_texts_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    arguments = ["--device", "cpu", "--memory", "60", "--json", str(path)]
    found = subprocess.run(
        [sys.executable, "-m", "monitor.bench", *arguments], capture_output=True, text=True
    )
    assert 0 == found.returncode, found.stderr
    memory = json.loads(path.read_text("utf-8"))["memory"]
    assert list(range(0, 61, 6)) == [mark["texts"] for mark in memory["marks_mb"]]
    assert "last third adds" in found.stdout


def test_the_plot_is_a_picture_also_where_nobody_may_be_reported(tmp_path: Path) -> None:
    def contestant(agreement: float) -> Measured:
        return Measured("monitor", "fp32", 10, 100, 1.0, 10.0, [Round(1.0, 1.0)], agreement, 20)

    for agreed in (1.0, 0.5):
        path = tmp_path / f"{agreed}.png"
        report = Report(
            date="2026-02-03T04:05:06+00:00",
            options={},
            hardware={"cpu": "Test CPU", "gpu": None},
            versions={},
            model="default",
            device="cpu",
            threads=1,
            lengths={"mix": Lengths(10, 78.0, 8, 512)},
            contests={"mix": [contestant(agreed)]},
        )
        plot.draw(report, path)
        assert path.read_bytes().startswith(b"\x89PNG")
