"""The benchmark: its statistics on made-up values, and its real processes."""

from pathlib import Path

import numpy as np
import pytest

from metaser.diagnostics.bench import Result, names, run_cases
from metaser.diagnostics.bench_case import Case, Measured, measure_case, peak_mb
from metaser.diagnostics.energy import Energy
from metaser.runtime import InputError, MissingDependencyError, NotFoundError, WorkError

CASE = Case(bundle=None, provider="cpu", threads=1, window_s=0.5, runs=2, warm_up=1)


def measured(load_ms: float, encoder_ms: list[float], peak: float, energy: Energy | None = None) -> Measured:
    stages_ms = {"encoder": encoder_ms, "head": [1.0, 2.0, 3.0], "decision": [0.5, 0.5, 0.5]}
    return Measured("frozen", "int8", 2, "cpu", 10.0, load_ms, stages_ms, peak, energy)


def test_percentiles_are_over_the_runs_of_all_repetitions() -> None:
    result = Result(CASE, (measured(100, [10, 20, 30], 90), measured(300, [40, 50, 60], 80)))
    totals = [11.5, 22.5, 33.5, 41.5, 52.5, 63.5]
    assert result.latency_ms["p50"] == (33.5 + 41.5) / 2
    assert result.latency_ms["p90"] == pytest.approx(np.quantile(totals, 0.9))
    assert result.real_time_factor == pytest.approx(0.0375 / 0.5)


def test_bundles_of_one_name_are_shown_as_given() -> None:
    first, second = (
        Result(Case(bundle, "cpu", threads=1, window_s=0.5, runs=1, warm_up=0), (measured(1, [1, 1, 1], 1),))
        for bundle in (None, "mine/frozen")
    )
    assert names([first]) == ["frozen int8, cpu, 1 thread, 0.5 s"]
    assert names([first, second]) == [
        "default: frozen int8, cpu, 1 thread, 0.5 s",
        "mine/frozen: frozen int8, cpu, 1 thread, 0.5 s",
    ]


def test_stages_are_medians_and_memory_is_the_largest() -> None:
    energy = Energy("RAPL package-0", joules=6.0, seconds=2.0, runs=30)
    repetitions = (
        measured(100, [10, 20, 30], 90),
        measured(300, [40, 50, 60], 80),
        measured(150, [1, 2, 3], 70, energy),
    )
    result = Result(CASE, repetitions)
    assert result.stages_ms == {"import": 10.0, "load": 150, "encoder": 20, "head": 2.0, "decision": 0.5}
    assert result.peak_mb == 90
    assert result.energy is not None
    assert (result.energy.joules_a_run, result.energy.watts) == (0.2, 3.0)
    assert result.as_json()["energy"]["joules_a_run"] == 0.2


def test_cases_take_turns_in_fresh_processes() -> None:
    ballast = np.ones(40_000_000)  # 320 MB, which a child would inherit as its ru_maxrss
    longer = Case(bundle="frozen", provider="auto", threads=1, window_s=4.0, runs=2, warm_up=1)
    done: list[tuple[int, int]] = []
    short, long = run_cases([CASE, longer], repetitions=2, progress=lambda *step: done.append(step))
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert long.first.provider == "cpu"
    assert [len(one.stages_ms["encoder"]) for one in (*short.measured, *long.measured)] == [2, 2, 2, 2]
    assert long.stages_ms["encoder"] > 2 * short.stages_ms["encoder"] > 0
    assert short.stages_ms["load"] > 0
    assert 30 < short.peak_mb < 250 < ballast.nbytes / 1e6 < peak_mb()
    assert (short.energy, short.no_energy) == (None, None)


def test_an_error_in_a_process_is_the_error_it_met(tmp_path: Path) -> None:
    def refusal(**changed: object) -> str:
        with pytest.raises((InputError, MissingDependencyError)) as caught:
            run_cases([Case(**{**vars(CASE), **changed})], repetitions=1)
        return f"{caught.value.exit_code}: {caught.value}"

    assert refusal(bundle=str(tmp_path / "absent")).startswith("2: no such bundle")
    assert refusal(provider="tensorrt").startswith("3: provider tensorrt is not in this onnxruntime")
    assert refusal(threads=0).startswith("2: threads is 0")
    with pytest.raises(InputError, match="0 repetitions"):
        run_cases([CASE], repetitions=0)


def test_a_process_that_dies_is_reported_with_its_last_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise SystemExit('out of memory')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(WorkError, match=r"died \(out of memory\)"):
        run_cases([CASE], repetitions=1)


@pytest.mark.parametrize("window_s", [0.05, 10.5])
def test_a_window_the_bundle_does_not_take_is_refused(window_s: float) -> None:
    with pytest.raises(InputError, match=r"can be benchmarked with 0\.1 to 10 s"):
        measure_case(Case(bundle=None, provider="cpu", threads=1, window_s=window_s, runs=1, warm_up=0))


def test_an_absent_bundle_is_an_error_here_too(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        measure_case(Case(str(tmp_path / "absent"), "cpu", threads=1, window_s=1.0, runs=1, warm_up=0))
