"""`metaser bench`: the table, the JSON, the row to share, the plot, and what it refuses."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import pytest

from metaser.cli.view.bench_cells import markdown_row, milliseconds
from metaser.diagnostics.bench import Result
from metaser.diagnostics.bench_case import Case, Measured
from metaser.diagnostics.device import Device
from metaser.diagnostics.energy import Energy

Run: TypeAlias = Callable[..., CompletedProcess[str]]
QUICK = ("bench", "--runs", "3", "--warm-up", "1", "--repetitions", "1", "--window", "1")
JETSON = Device(
    model="NVIDIA Jetson Orin Nano",
    processor="aarch64",
    flags=("asimddp",),
    cores=6,
    system="Linux",
    power_mode="MAXN_SUPER",
    governor="schedutil",
    cpu_mhz=(1728.0, 1728.0),
    gpu_mhz=None,
    jetson="36.4.3 (JetPack 6)",
)
ENERGY = Energy("INA3221 VDD_IN", joules=14.0, seconds=2.0, runs=100)


def result(energy: Energy | None) -> Result:
    stages_ms = {"encoder": [18.0], "head": [1.5], "decision": [0.5]}
    case = Case("frozen", "cpu", threads=2, window_s=2.0, runs=1, warm_up=1)
    return Result(case, (Measured("frozen", "int8", 2, "cpu", 30.0, 90.0, stages_ms, 98.4, energy),))


def test_the_row_to_share_says_what_was_measured_on_what() -> None:
    assert markdown_row(result(ENERGY), JETSON) == (
        "| NVIDIA Jetson Orin Nano, L4T 36.4.3 (JetPack 6) | MAXN_SUPER | frozen int8, 2 layers | cpu, 2 threads | 2 s "
        "| 20.0 ms | 20.0 ms | 0.0100 | 98 MB | 0.14 (INA3221 VDD_IN) |"
    )
    plain = markdown_row(result(None), replace(JETSON, jetson=None, power_mode=None, model="A | B"))
    assert plain.startswith("| A / B | schedutil |")
    assert plain.endswith("| 98 MB | - |")


def test_the_row_fits_the_documented_table() -> None:
    page = (Path(__file__).parents[3] / "docs" / "devices.md").read_text()
    (header,) = (line for line in page.splitlines() if line.startswith("| device | power mode |"))
    assert markdown_row(result(ENERGY), JETSON).count("|") == header.count("|")


@pytest.mark.parametrize(
    ("time_ms", "text"), [(0.0123, "0.012"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (1234.0, "1234")]
)
def test_times_have_three_digits(time_ms: float, text: str) -> None:
    assert milliseconds(time_ms) == text


def test_every_combination_is_a_case_and_json_names_the_machine(run: Run) -> None:
    done = run(*QUICK, "--window", "2", "--threads", "1", "--threads", "2", "--json")
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["threads"], line["window_s"]) for line in lines] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    for line in lines:
        assert (line["bundle"], line["precision"], line["provider"]) == ("tiny", "fp32", "cpu")
        assert 0 < line["latency_ms"]["p50"] <= line["latency_ms"]["p90"] <= line["latency_ms"]["p99"]
        assert set(line["stages_ms"]) == {"import", "load", "encoder", "head", "decision"}
        assert line["real_time_factor"] == pytest.approx(line["latency_ms"]["p50"] / 1e3 / line["window_s"], abs=1e-6)
        assert (line["runs"], line["warm_up"], line["repetitions"]) == (3, 1, 1)
        assert {"model", "flags", "power_mode", "cpu_mhz", "versions"} <= set(line["machine"])
        assert "numpy" in line["machine"]["versions"]


def test_the_table_and_the_plot_are_for_people(run: Run, tmp_path: Path) -> None:
    done = run(*QUICK, "--plot", tmp_path / "cases.png")
    assert done.returncode == 0
    for word in ("tiny fp32, cpu, 1 s", "p99", "real-time factor", "encoder", "1 x 3 runs"):
        assert word in done.stdout
    assert (tmp_path / "cases.png").read_bytes().startswith(b"\x89PNG")


def test_the_rows_go_to_standard_output_and_how_to_report_them_to_standard_error(run: Run) -> None:
    done = run(*QUICK, "--share")
    assert done.returncode == 0
    assert done.stdout.startswith("| ")
    assert done.stdout.count("\n") == 1
    assert "To report" in done.stderr


def test_what_cannot_be_measured_is_refused_before_any_work(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "exclude each other" in refused("bench", "--share", "--json")
    assert "no such folder" in refused("bench", "--plot", tmp_path / "absent" / "cases.png")
    assert "is not a .png file" in refused("bench", "--plot", tmp_path / "cases.pdf")
    assert "no such bundle" in refused("bench", "--bundle", tmp_path / "absent")
    assert "can be benchmarked with" in refused("bench", "--window", "11")


def test_a_provider_that_is_absent_is_code_3(run: Run) -> None:
    done = run(*QUICK, "--provider", "tensorrt")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "provider tensorrt is not in this onnxruntime" in done.stderr
