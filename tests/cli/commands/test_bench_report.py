"""`metaser bench --report`: a folder with the measurement of everything that can run, on a board and on a computer."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import pytest

from metaser.cli.view.bench_report import PLOTS, draw_report, make_folder, markdown, verdict, write_report
from metaser.diagnostics import bench
from metaser.diagnostics.bench_case import Case, Measured
from metaser.diagnostics.conditions import check_conditions
from metaser.diagnostics.device import read_device
from metaser.diagnostics.energy import Energy
from metaser.diagnostics.report import Report, combined, measure_report, providers_here
from metaser.runtime.errors import MissingDependencyError
from tests.diagnostics.boards import BOARDS, ORIN_NANO, tree_of, write_tree

Run: TypeAlias = Callable[..., CompletedProcess[str]]
LIKE = Case(None, "auto", None, 0.0, runs=2, warm_up=0)
MISSING = "provider tensorrt is not in this onnxruntime"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process of a case on the CPU or CUDA finds fixed times; TensorRT is missing."""

    def found(case: Case) -> Measured:
        if case.provider == "tensorrt":
            raise MissingDependencyError(MISSING)
        encoder_ms = 30.0 * case.window_s / (case.threads or 6)
        stages_ms = {"encoder": [encoder_ms] * 2, "head": [0.4] * 2, "decision": [0.1] * 2}
        energy = Energy("INA3221 VDD_IN", joules=12.0, seconds=2.0, runs=100) if case.energy_s else None
        name = case.bundle or "default"
        return Measured(name, "int8", 3, case.provider, 30.0, 90.0, stages_ms, 98.4, energy)

    monkeypatch.setattr(bench, "_in_a_process", found)


def report_on(root: Path, repetitions: int = 2) -> Report:
    cases = combined(
        ["tiny", "default"], ["cpu", "tensorrt"], [1, 6], [1.0, 3.0], Case(**{**vars(LIKE), "energy_s": 2.0})
    )
    *_, last = measure_report(cases, repetitions, check_conditions(root, load_s=0.0), root=root)
    return last


def test_a_gpu_has_no_number_of_threads() -> None:
    cases = combined(["tiny"], ["cpu", "cuda"], [1, 2], [1.0, 3.0], LIKE)
    assert [(case.provider, case.threads, case.window_s) for case in cases] == [
        ("cpu", 1, 1.0), ("cpu", 1, 3.0), ("cpu", 2, 1.0), ("cpu", 2, 3.0), ("cuda", None, 1.0), ("cuda", None, 3.0),
    ]  # fmt: skip


@pytest.mark.parametrize("name", BOARDS)
def test_a_jetson_is_asked_for_cuda_and_tensorrt_even_if_they_are_missing(name: str, tmp_path: Path) -> None:
    here = providers_here(read_device(write_tree(tmp_path, tree_of(BOARDS[name]))))
    assert here[0] == "cpu"
    assert {"cuda", "tensorrt"} <= set(here)
    assert len(here) == len(set(here))


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("name", BOARDS)
def test_the_report_of_a_board_says_what_made_it_slow_and_what_was_missing(name: str, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "root", tree_of(BOARDS[name]))
    report = report_on(root)
    text = markdown(report, [])
    assert text.startswith(f"# metaser on {BOARDS[name].model}\n")
    for line in ("sudo nvpmodel -m", "sudo jetson_clocks", MISSING, "INA3221 VDD_IN", "over-current events: 0"):
        assert line in text
    assert [case.provider for case, _ in report.not_measured] == ["tensorrt"] * 4
    assert "| tiny | tensorrt | 1 s, 3 s |" in text
    assert len(report.results) == 8
    assert all(len(result.measured) == 2 for result in report.results)


@pytest.mark.usefixtures("measured")
def test_the_summary_is_the_fastest_setting_of_each_bundle(tmp_path: Path) -> None:
    report = report_on(write_tree(tmp_path, tree_of(ORIN_NANO, mode=2, fixed_clocks=True)))
    lines = [line for line in verdict(report) if line.startswith("- ")]
    assert lines == [
        f"- {name} int8: 15.5 ms for 3 s of speech, 194 times faster than real time (cpu, 6 threads)"
        for name in ("tiny", "default")
    ]
    assert not any("can be improved" in line for line in verdict(report))


@pytest.mark.usefixtures("measured")
def test_heat_and_events_during_the_measurement_are_in_the_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = write_tree(tmp_path / "root", tree_of(ORIN_NANO))
    cases = combined(["tiny"], ["cpu"], [1], [3.0], LIKE)
    monkeypatch.setattr("metaser.diagnostics.report.WATCH_S", 0.01)
    reports = measure_report(cases, 2, [], root=root)
    while not next(reports).turn_ended:
        pass
    hot = tree_of(ORIN_NANO, celsius=97.0) | {
        "sys/class/thermal/cooling_device1/cur_state": "1\n", "sys/class/hwmon/hwmon5/oc3_event_cnt": "30\n",
    }  # fmt: skip
    write_tree(root, hot)
    time.sleep(0.5)
    *_, last = reports
    text = markdown(last, [])
    assert "temperature at the hottest place: 49 °C before, at most 97 °C" in text
    assert re.search(r"slowed down: cpu, in [1-9]\d* of \d+ readings", text)
    assert "over-current events: 3" in text


def write_all(folder: Path, reports: Iterator[Report]) -> None:
    """As the command does."""
    make_folder(folder)
    for report in reports:
        if report.turn_ended:
            draw_report(folder, report)
        write_report(folder, report)


@pytest.mark.usefixtures("measured")
def test_the_report_is_written_before_the_measurement_and_after_each_process(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "root", tree_of(ORIN_NANO))
    reports = measure_report(combined(["tiny"], ["cpu"], [1, 6], [3.0], LIKE), 2, [], root=root)
    found = []
    make_folder(tmp_path / "report")
    write_report(tmp_path / "report", next(reports))
    for report in reports:
        document = json.loads((tmp_path / "report" / "report.json").read_text())
        found.append((document["turns"], [each["repetitions"] for each in document["results"]]))
        write_report(tmp_path / "report", report)
        assert document["snapshots"][0]["at_s"] == 0
    assert found == [(0, []), (0, [1]), (0, [1, 1]), (1, [1, 1]), (1, [2, 1]), (1, [2, 2])]
    assert "2 of 2 turns" in (tmp_path / "report" / "report.md").read_text()


@pytest.mark.usefixtures("measured")
def test_a_report_has_the_plots_of_what_was_measured_and_none_of_an_earlier_report(tmp_path: Path) -> None:
    folder, root = tmp_path / "report", write_tree(tmp_path / "root", tree_of(ORIN_NANO))
    cases = combined(["tiny"], ["cpu"], [1], [3.0], replace(LIKE, energy_s=2.0))
    write_all(folder, measure_report(cases, 1, [], root=root))
    assert {path.name for path in folder.iterdir()} == {"report.json", "report.md", *PLOTS}
    assert (folder / "energy.png").read_bytes().startswith(b"\x89PNG")
    write_all(folder, measure_report(combined(["tiny"], ["cpu"], [1], [3.0], LIKE), 1, [], root=tmp_path / "empty"))
    assert {path.name for path in folder.iterdir()} == {"report.json", "report.md", "latency.png"}
    text = (folder / "report.md").read_text()
    assert "![latency](latency.png)" in text
    assert "energy.png" not in text


@pytest.mark.usefixtures("measured")
def test_without_matplotlib_there_are_no_plots_and_the_rest_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("metaser.cli.view.bench_report.find_spec", lambda _: None)
    write_all(
        tmp_path / "report", measure_report(combined(["tiny"], ["cpu"], [1], [3.0], LIKE), 1, [], root=tmp_path)
    )  # fmt: skip
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"report.json", "report.md"}
    assert ".png" not in (tmp_path / "report" / "report.md").read_text()


@pytest.mark.usefixtures("measured")
def test_two_bundles_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    *_, last = measure_report(combined(["a/tiny", "b/tiny"], ["cpu"], [1], [3.0], LIKE), 1, [], root=tmp_path)
    alike = [replace(one, measured=(replace(one.first, bundle="tiny"),)) for one in last.results]
    lines = verdict(replace(last, results=tuple(alike)))
    assert [line.split(":")[0] for line in lines if line.startswith("- ")] == [
        "- tiny int8 (a/tiny)", "- tiny int8 (b/tiny)",
    ]  # fmt: skip


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    ("factor", "words"),
    [(2.5, "2.5 times as long as"), (1.0, "1.0 times faster"), (0.75, "1.3 times faster"), (0.004, "250 times faster")],
)
def test_what_is_slower_than_real_time_is_not_called_faster(factor: float, words: str, tmp_path: Path) -> None:
    *_, last = measure_report(combined(["tiny"], ["cpu"], [1], [3.0], LIKE), 1, [], root=tmp_path)
    stages_ms = {"encoder": [3000.0 * factor], "head": [0.0], "decision": [0.0]}
    (result,) = last.results
    slow = replace(result, measured=(replace(result.first, stages_ms=stages_ms),))
    assert words in "".join(verdict(replace(last, results=(slow,))))


def test_the_command_writes_a_report_of_this_machine(run: Run, tmp_path: Path) -> None:
    options = ("--runs", "2", "--warm-up", "0", "--repetitions", "1", "--bundle", "tiny", "--window", "0.5")
    done = run("bench", "--report", tmp_path / "report", *options, "--provider", "cpu", "--provider", "tensorrt")
    assert done.returncode == 0
    assert "tiny int8: " in done.stdout
    assert "times faster than real time" in done.stdout
    assert "report.md" in done.stderr
    document = json.loads((tmp_path / "report" / "report.json").read_text())
    assert {each["provider"] for each in document["results"]} == {"cpu"}
    assert [each["provider"] for each in document["not_measured"]] == ["tensorrt"]


def test_a_report_without_a_single_measurement_is_an_error_that_names_the_reason(run: Run, tmp_path: Path) -> None:
    done = run("bench", "--report", tmp_path / "report", "--bundle", "tiny", "--provider", "tensorrt")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"nothing could be measured: {MISSING}" in done.stderr
    assert json.loads((tmp_path / "report" / "report.json").read_text())["not_measured"]


def test_what_a_report_excludes_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert "exclude each other" in refused("bench", "--report", tmp_path / "report", "--json")
    assert "leave out --plot" in refused("bench", "--report", tmp_path / "report", "--plot", tmp_path / "a.png")
    assert "is not a folder" in refused("bench", "--report", file)
    assert "is not a folder" in refused("bench", "--report", file / "report")


def test_a_bundle_that_cannot_be_opened_is_in_the_report_and_the_others_are_measured(run: Run, tmp_path: Path) -> None:
    options = ("--runs", "1", "--warm-up", "0", "--repetitions", "1", "--window", "0.5", "--threads", "1")
    absent = tmp_path / "absent"
    done = run("bench", "--report", tmp_path / "report", *options, "--bundle", absent, "--bundle", "tiny")
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "report" / "report.json").read_text())
    assert [each["bundle"] for each in document["results"]] == ["tiny"]
    assert f"no such bundle: {absent}" in document["not_measured"][0]["reason"]
