"""`metaser export`: choose the model and the folder, print both, write the bundle."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metaser.export.bundle import MAX_WINDOW_S, ExportSettings, check_target, export_bundle
from metaser.export.golden import GOLDEN_S
from metaser.export.layer_choice import recommended, score_layers
from metaser.export.source import DEFAULT_MODEL, default_model, open_source
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.audio.load import load_audio
from metaser.runtime.audio.recordings import find_recordings
from metaser.runtime.bundles.manifest import Precision
from metaser.runtime.errors import InputError, NotFoundError
from metaser.runtime.scoring.calibration import CalibrationPrior
from metaser.runtime.scoring.decision import Calibration
from metaser.runtime.stream.stream import StreamSettings
from metaser.runtime.tuning.head import HeadTuningSettings
from metaser.toolkit.model.backbone import load_backbone
from metaser.toolkit.torch_threads import set_threads

RUNS = Path("runs")

MOST_CLIPS = 64
CLIP_S = 5.0
"""At most this many clips of at most this length are compared: the float32 activations of each are inspected."""


@dataclass(frozen=True)
class ExportRequest:
    """Options of `metaser export`."""

    model: str | None
    out: Path
    precision: Precision = "fp32"
    layers: int | None = None
    tensorrt: bool = False
    window_s: float | None = None
    """Window of the TensorRT graph; None: the window of a stream."""

    portable: bool = False
    """Write attention in plain operators, which more providers support."""

    longest_s: float = MAX_WINDOW_S
    """Longest window of the encoder; longer clips are cut and averaged. Whisper's positions grow with it."""

    clips: Path | None = None
    """A folder of speech on which the precision is also compared with PyTorch."""

    static: bool = False
    corpus: tuple[Path, ...] = ()
    """Labelled speech on which accuracy is measured."""

    pick_layers: bool = False
    """Write nothing, and print accuracy and cost after each layer."""

    force: bool = False
    name: str | None = None
    licence: str | None = None
    calibration: Path | None = None


def run_export(
    request: ExportRequest, notify: Callable[[str], None], progress: Callable[[int, int], None] | None = None
) -> None:
    """Export a bundle.

    Parameters:
        notify: called with one line per step.
        progress: called with the number of finished clips and of all clips, while layers are scored.

    Raises:
        MetaserError: the model, the folder or an option cannot be used, or the graphs miss their tolerance.
    """
    if request.pick_layers:
        print_layers(request, notify, progress)
        return
    check_target(request.out, request.force)
    tensorrt_window_s = _tensorrt_window_s(request)
    if not StreamSettings().window_s <= request.longest_s <= MAX_WINDOW_S:
        raise InputError(
            f"--longest {request.longest_s:g}: give {StreamSettings().window_s:g}, the window of a stream, "
            f"to {MAX_WINDOW_S:g} seconds"
        )
    clips = _read_clips(request)
    measured = read_calibration(request.calibration) if request.calibration else Measured()
    model = request.model or default_model(RUNS)
    notify(f"exporting {model} to {request.out}{'' if request.model else ' (no MODEL was given)'}")
    if request.precision == "fp16":
        notify("float16 is for GPUs: on a CPU it is slower than float32; use --int8 for a CPU")
    set_threads()
    source = open_source(model, request.layers, request.licence)
    layers = source.network.backbone.layers
    name = request.name or f"{re.sub('[^A-Za-z0-9.-]+', '-', source.name)}-{layers}-layers"
    settings = ExportSettings(
        name=name,
        precision=request.precision,
        command=_command(request, source.name, layers),
        tensorrt_window_s=tensorrt_window_s,
        max_window_s=request.longest_s,
        portable=request.portable,
        clips=clips,
        static=request.static,
        corpora=request.corpus,
        calibration=measured.calibration,
        prior=measured.prior,
        accuracy=measured.accuracy,
        tuning=measured.tuning,
        force=request.force,
    )
    manifest = export_bundle(source, request.out, settings, notify)
    size_mb = sum(entry.size_bytes for entry in manifest.files.values()) / 1e6
    notify(f"wrote {request.out}: {size_mb:.1f} MB, licence of the weights {manifest.licence}")
    notify(f"next: metaser enroll support/ --bundle {shlex.quote(str(request.out))}")


def print_layers(
    request: ExportRequest, notify: Callable[[str], None], progress: Callable[[int, int], None] | None
) -> None:
    """Report the accuracy and the cost of a pre-trained encoder after each layer, through `notify`.

    Raises:
        MetaserError: the model or a corpus cannot be used.
    """
    given = [
        f"--{name}"
        for name in ("tensorrt", "window", "portable", "clips", "static", "force", "name", "licence", "calibration")
        if getattr(request, "window_s" if name == "window" else name) not in (None, False)
    ]
    if request.precision != "fp32":
        given.insert(0, f"--{request.precision}")
    if given:
        raise InputError(f"--pick-layers writes no bundle: leave out {' and '.join(given)}")
    if not request.corpus:
        raise InputError("--pick-layers measures on labelled speech: pass --corpus DIR as well")
    model = request.model or DEFAULT_MODEL
    set_threads()
    backbone = load_backbone(model, request.layers)
    scores = score_layers(backbone, request.corpus, progress)
    names = list(scores[0].by_corpus)
    notify(f"{model}, 4-way 5-shot accuracy on unseen speakers in per cent;")
    notify("cost is the share of the time that all layers take")
    notify("layers  cost  mean  " + "  ".join(names))
    for score in scores:
        own = "  ".join(f"{100 * score.by_corpus[name].accuracy.mean:{len(name)}.1f}" for name in names)
        notify(f"{score.layers:6}  {score.cost:4.0%}  {100 * score.accuracy:4.1f}  {own}")
    best, cheap = recommended(scores)
    half = 50 * max(found.accuracy.high - found.accuracy.low for found in best.by_corpus.values())
    notify(f"best: --layers {best.layers}, intervals ± {half:.1f}; at most one point lower: --layers {cheap.layers}")


def _tensorrt_window_s(request: ExportRequest) -> float | None:
    """The window of the TensorRT graph; None if it was not requested."""
    if not request.tensorrt:
        if request.window_s is not None:
            raise InputError("--window is for --tensorrt: pass both, or neither")
        return None
    if request.precision == "int8":
        raise InputError("--tensorrt does not go with --int8, which is for CPUs: choose --fp16 or --fp32")
    window_s = StreamSettings().window_s if request.window_s is None else request.window_s
    if not GOLDEN_S <= window_s <= MAX_WINDOW_S:  # `metaser verify` runs the golden vectors in one window
        raise InputError(f"--window {window_s:g}: give {GOLDEN_S:g} to {MAX_WINDOW_S:g} seconds")
    return window_s


def _read_clips(request: ExportRequest) -> list[Waveform]:
    """Clips of the given folder, each cut to one window."""
    if request.static and (request.precision != "int8" or request.clips is None):
        raise InputError("--static fixes the scales of int8 on clips: pass --int8 and --clips DIR as well")
    if request.clips is None:
        return []
    if not request.clips.is_dir():
        raise NotFoundError(f"no such folder: {request.clips}")
    files = find_recordings(request.clips).recordings
    if not files:
        raise InputError(f"{request.clips} holds no audio files: give a folder with some minutes of speech")
    chosen = files[:: -(-len(files) // MOST_CLIPS)]  # spread over all
    return [load_audio(path)[: int(CLIP_S * SAMPLE_RATE_HZ)] for path in chosen]


@dataclass(frozen=True)
class Measured:
    """Measured values of a model for its manifest."""

    calibration: Calibration | None = None
    prior: CalibrationPrior | None = None
    accuracy: dict[str, Any] | None = None
    tuning: dict[str, Any] | None = None


def read_calibration(path: Path) -> Measured:
    """Read {"calibration": {"temperature", "threshold", "margin"}, "accuracy": {...}, "prior": {...}, "tuning":
    {...}}, as the benchmarks write it; the last three are optional.

    Raises:
        NotFoundError: there is no such file.
        InputError: its content is not of this form.
    """
    if not path.is_file():
        raise NotFoundError(f"no such file: {path}")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        values = {name: float(value) for name, value in document["calibration"].items()}
        prior = CalibrationPrior(**document["prior"]) if "prior" in document else None
        tuning = dict(document.get("tuning", {}))
        HeadTuningSettings(**tuning)  # checks the values
        measured = Measured(Calibration(**values), prior, dict(document.get("accuracy", {})), tuning)
    except (ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        raise InputError(f"{path} holds no calibration ({error}): give temperature, threshold and margin") from error
    if measured.prior and not measured.prior.is_valid:
        raise InputError(f"the prior in {path} is not valid: measure it again")
    return measured


def _command(request: ExportRequest, source_name: str, layers: int) -> str:
    """The command line that makes the bundle again, without paths of this machine."""
    words = ["metaser export", source_name, request.out.name, f"--{request.precision}", f"--layers {layers}"]
    words += [f"--tensorrt --window {_tensorrt_window_s(request):g}"] if request.tensorrt else []
    words += ["--portable"] if request.portable else []
    words += [f"--longest {request.longest_s:g}"] if request.longest_s != MAX_WINDOW_S else []
    words += [f"--clips {request.clips.name}"] if request.clips else []
    words += ["--static"] if request.static else []
    words += [f"--name {request.name}"] if request.name else []
    words += [f"--licence {request.licence}"] if request.licence else []
    words += [f"--calibration {request.calibration.name}"] if request.calibration else []
    return " ".join(words)
