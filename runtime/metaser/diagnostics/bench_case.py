"""One benchmark case in a process of its own, `python -m metaser.diagnostics.bench_case`: JSON line in, JSON line out.

Each case has its own process for two reasons: the peak memory of one model cannot be separated from that of another,
and only the first load in a process is what a user waits for. The peak is `VmHWM` of `/proc/self/status` if present,
because `ru_maxrss` starts at the peak of the parent process, and Linux never lowers it.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metaser.diagnostics.energy import Energy, find_meter, measure
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.engine import Engine
from metaser.runtime.enrolment.changes import new_profile
from metaser.runtime.enrolment.profile import Profile
from metaser.runtime.errors import InputError, MetaserError, MissingDependencyError, WorkError
from metaser.runtime.providers.session import import_onnxruntime
from metaser.runtime.system.kernel_files import read_text

STAGES = ("encoder", "head", "decision")
CLASSES = 4
LOUDNESS = 0.1
MIN_WINDOW_S = 0.1


@dataclass(frozen=True)
class Case:
    """The settings of a benchmark case."""

    bundle: str | None
    """A folder or a shipped name; None is the shipped default."""

    provider: str
    threads: int | None
    window_s: float
    runs: int
    warm_up: int
    energy_s: float = 0.0
    """How long to run while energy is measured; 0 measures no energy."""


@dataclass(frozen=True)
class Measured:
    """The measurements of one process; times in milliseconds."""

    bundle: str
    precision: str
    layers: int
    provider: str
    """The provider that was actually used."""

    import_ms: float
    """Import time of onnxruntime."""

    load_ms: float
    """Time to check every file of the bundle, create the sessions, and verify a provider other than the CPU."""

    stages_ms: dict[str, list[float]] = field(default_factory=dict)
    """Stage -> time of each run."""

    peak_mb: float = 0.0
    energy: Energy | None = None
    no_energy: str | None = None
    """Why no energy was measured."""


def measure_case(case: Case) -> Measured:
    """Load, warm up, and time each stage of labelling one window, for each run.

    The window contains quiet noise: the time does not depend on the content.

    Raises:
        InputError: the window is longer than the bundle accepts, or too short to benchmark.
        MetaserError: the bundle or the provider cannot be used.
    """
    began = time.perf_counter()
    import_onnxruntime()
    imported = time.perf_counter()
    engine = Engine.open(case.bundle, provider=case.provider, threads=case.threads)
    loaded = time.perf_counter()
    longest_s = engine.bundle.manifest.audio.max_window_s
    if not MIN_WINDOW_S <= case.window_s <= longest_s:
        raise InputError(
            f"a window of {case.window_s:g} s: {engine.bundle.manifest.name} can be benchmarked with {MIN_WINDOW_S:g} "
            f"to {longest_s:g} s"
        )
    noise = np.random.default_rng(0)
    clips = [_noise(noise, case.window_s) for _ in range(CLASSES)]
    support = engine.embed_support({f"class {index}": [clip] for index, clip in enumerate(clips)})
    profile = new_profile(engine.model, support)
    engine.hint(profile)  # noise gives no reliable profile, which is no news here
    for _ in range(case.warm_up):
        _stages_ms(engine, clips[0], profile)
    runs = [_stages_ms(engine, clips[0], profile) for _ in range(case.runs)]
    energy, no_energy = _energy(engine, clips[0], profile, case.energy_s)
    return Measured(
        bundle=engine.bundle.manifest.name,
        precision=engine.bundle.manifest.precision,
        layers=engine.bundle.manifest.backbone.layers,
        provider=engine.provider,
        import_ms=1e3 * (imported - began),
        load_ms=1e3 * (loaded - imported),
        stages_ms={stage: [run[stage] for run in runs] for stage in STAGES},
        peak_mb=peak_mb(),
        energy=energy,
        no_energy=no_energy,
    )


def peak_mb() -> float:
    """Peak memory of this process, in 10^6 bytes."""
    for line in (read_text(Path("/proc/self/status")) or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_per_unit / 1e6


def _noise(generator: np.random.Generator, seconds: float) -> Waveform:
    return generator.uniform(-LOUDNESS, LOUDNESS, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)


def _stages_ms(engine: Engine, clip: Waveform, profile: Profile) -> dict[str, float]:
    began = time.perf_counter()
    frames = engine.model.frames(clip)
    encoded = time.perf_counter()
    embedding = engine.model.pool(frames)
    pooled = time.perf_counter()
    engine.decide(embedding, profile)
    decided = time.perf_counter()
    return dict(zip(STAGES, (1e3 * (encoded - began), 1e3 * (pooled - encoded), 1e3 * (decided - pooled)), strict=True))


def _energy(engine: Engine, clip: Waveform, profile: Profile, seconds: float) -> tuple[Energy | None, str | None]:
    """Measure energy; called after the timed runs, so that reading the meter does not slow them down."""
    if not seconds:
        return None, None
    try:
        return measure(find_meter(), lambda: _stages_ms(engine, clip, profile), seconds), None
    except (MissingDependencyError, WorkError) as error:
        return None, str(error)


def main() -> None:
    """Measure the case from standard input; an error is also written as JSON, with its exit code."""
    case = Case(**json.loads(sys.stdin.read()))
    answer: dict[str, Any]
    try:
        answer = asdict(measure_case(case))
    except MetaserError as error:
        answer = {"error": str(error), "exit_code": error.exit_code}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
