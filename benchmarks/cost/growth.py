"""Cost against the length of a clip and the number of streams, with fitted growth.

    python -m benchmarks.cost.growth [--compare NAME=DIR] [--repetitions N]

Length: embeddings of clips of 1 to 30 s by the shipped bundles and others by name, one process per bundle, runs in
turn on one thread. Clips over a bundle's longest window are cut into equal windows, so the growth is fitted twice: over
all lengths, and over those in one window, there also with a quadratic term for attention. Streams: 1 to 16 live streams
of the default bundle in real time, in processor seconds per second of one stream. Takes about 6 minutes.
Writes `results/growth.json`, `.md` and `.png`.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cost.growth_fit import fit_power_law, fit_quadratic
from benchmarks.cost.growth_report import draw, to_markdown
from benchmarks.cost.latency_peer import Peer, Timed, start, time_in_turn
from benchmarks.cost.streaming_live import serve
from benchmarks.machine import RESULTS, matrix_product_s, read_result, write_result
from metaser.runtime import Engine, StreamSettings, load_audio, open_bundle
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.bundles.bundle import shipped_bundles, shipped_folder
from metaser.runtime.system.files import SHARED, replace_text

NAME = "growth"
LENGTHS_S = (1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0)
STREAMS = (1, 2, 4, 8, 16)
REPETITIONS = 5
THREADS = 1
STREAMED_S = 30.0
LEAST_POINTS = 3


def lengths(bundles: dict[str, str], repetitions: int) -> dict[str, Any]:
    """Milliseconds by bundle and length, lengths in a new random order each time, and the fits."""
    peers = [Peer(name, "embed", folder) for name, folder in bundles.items()]
    rng = np.random.default_rng(0)
    timed: dict[str, dict[float, Timed]] = {name: {} for name in bundles}
    with ExitStack() as stack:
        running, failures = start(peers, THREADS, stack)
        assert not failures, failures
        for _ in range(repetitions):
            for seconds in map(float, rng.permutation(LENGTHS_S)):
                found, failures = time_in_turn(running, seconds, runs=1)
                assert not failures, failures
                for name, own in found.items():
                    before = timed[name].setdefault(seconds, own)
                    if before is not own:
                        before.times_ms += own.times_ms
    longest = {name: open_bundle(folder).manifest.audio.max_window_s for name, folder in bundles.items()}
    return {name: growth_of_lengths(own, longest[name]) for name, own in timed.items()}


def growth_of_lengths(timed: dict[float, Timed], longest_window_s: float) -> dict[str, Any]:
    """Medians by length, and the fits over them."""
    medians = {seconds: timed[seconds].median_ms for seconds in sorted(timed)}
    whole = {seconds: ms for seconds, ms in medians.items() if seconds <= longest_window_s}
    quadratic = fit_quadratic(list(whole), list(whole.values()))
    return {
        "ms": {f"{seconds:g}": ms for seconds, ms in medians.items()},
        "times_ms": {f"{seconds:g}": timed[seconds].times_ms for seconds in medians},
        "longest_window_s": longest_window_s,
        "power_law": vars(fit_power_law(list(medians), list(medians.values()))),
        "power_law_in_one_window": vars(fit_power_law(list(whole), list(whole.values()))),
        "quadratic_in_one_window": vars(quadratic),
        "quadratic_share_of_longest": quadratic.quadratic_share(max(whole)),
    }


def streams(streamed_s: float) -> dict[str, Any]:
    """Processor seconds by number of live streams, and the fit over the runs that kept up."""
    engine = Engine.open(provider="cpu", threads=THREADS)
    demo = shipped_folder() / "demo"
    profile = engine.enroll(demo / "support")
    conversation = load_audio(demo / "conversation.flac")[: round(streamed_s * SAMPLE_RATE_HZ)]
    runs = {
        count: serve(engine, profile, conversation, StreamSettings(), streams=count, in_step=False) for count in STREAMS
    }
    kept_up = {count: float(str(run["cores_all_streams"])) for count, run in runs.items() if not run["overload_events"]}
    enough = len(kept_up) >= LEAST_POINTS
    return {
        "bundle": engine.bundle.manifest.name,
        "runs": {str(count): run for count, run in runs.items()},
        "power_law": vars(fit_power_law(list(kept_up), list(kept_up.values()))) if enough else None,
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost.growth", description=__doc__.split("\n")[0])
    parser.add_argument("--compare", action="append", default=[], metavar="NAME=DIR", help="another bundle")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, metavar="N", help="runs of each length")
    parser.add_argument("--streamed", type=float, default=STREAMED_S, metavar="S", help="audio of each stream")
    given = parser.parse_args()
    bundles = {name: name for name in shipped_bundles()} | dict(one.split("=", 1) for one in given.compare)
    products_ms = [1000 * matrix_product_s()]
    by_length = lengths({name: _absolute(folder) for name, folder in bundles.items()}, given.repetitions)
    products_ms.append(1000 * matrix_product_s())
    by_streams = streams(given.streamed)
    products_ms.append(1000 * matrix_product_s())
    figures = {
        "command": "python -m benchmarks.cost.growth" + "".join(f" --compare {one}" for one in _names(given.compare)),
        "threads": THREADS,
        "repetitions": given.repetitions,
        "warm_up_runs": "one before each run",
        "streamed_s": given.streamed,
        "matrix_product_ms": products_ms,
        "lengths": by_length,
        "streams": by_streams,
    }
    write_result(NAME, figures)
    document = read_result(NAME)
    draw(document, RESULTS / f"{NAME}.png")
    replace_text(RESULTS / f"{NAME}.md", to_markdown(document, f"{NAME}.png"), mode=SHARED)


def _absolute(bundle: str) -> str:
    """The absolute path of a folder; a shipped name stays as it is."""
    return bundle if bundle in shipped_bundles() else str(Path(bundle).resolve())


def _names(bundles: list[str]) -> list[str]:
    """The given bundles, without paths of this machine."""
    return [f"'{one.split('=', 1)[0]}=DIR'" for one in bundles]


if __name__ == "__main__":
    main()
