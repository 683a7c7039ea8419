"""Write a bundle: graphs, parity, manifest and card, into a folder that appears complete or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from safetensors.numpy import save

from metaser.export.accuracy import accuracy_beside_pytorch
from metaser.export.earlier_export import equal_graphs
from metaser.export.float16 import largest_half_value
from metaser.export.golden import golden_vectors
from metaser.export.graphs import OPSET, PORTABLE_OPSET, encoder_graph, head_graph, longest_window_s
from metaser.export.identity import graph_id, model_id
from metaser.export.int8 import activations
from metaser.export.model_card import model_card
from metaser.export.observation import layer_cosines, measure_ranges
from metaser.export.parity import Graphs, measure_parity
from metaser.export.precision import contents, in_precision
from metaser.export.rewriting import PLAIN
from metaser.export.source import Source
from metaser.export.step_parity import check_step
from metaser.export.tensorrt import for_tensorrt, measure_tensorrt_parity, static_graph
from metaser.export.tuning_graph import tune_graph
from metaser.export.weights import save as save_graph
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.bundles.bundle import MANIFEST, TENSORRT_GRAPH, open_bundle, sha256_of
from metaser.runtime.bundles.manifest import AudioEntry, BackboneEntry, FileEntry, HeadEntry, Manifest, Precision, Role
from metaser.runtime.errors import InputError
from metaser.runtime.scoring.calibration import CalibrationPrior
from metaser.runtime.scoring.decision import Calibration
from metaser.runtime.system.files import SHARED, replace_file, replace_text
from metaser.runtime.system.folders import replacing_folder
from metaser.runtime.tuning.head import TUNE_GRAPH

MAX_WINDOW_S = 10.0
"""A longer clip is cut into windows: attention is quadratic in their length."""

PROVIDERS = {"fp32": ["cuda", "cpu"], "fp16": ["cuda", "cpu"], "int8": ["cpu"]}
PORTABLE_PROVIDERS = {"fp32": ["cuda", "openvino", "cpu"], "fp16": ["cuda", "openvino", "cpu"], "int8": ["cpu"]}
ROLES: dict[str, Role] = {
    "encoder.onnx": "encoder",
    "encoder.onnx.data": "external_data",
    TENSORRT_GRAPH: "tensorrt",
    f"{TENSORRT_GRAPH}.data": "external_data",
    "head.onnx": "head",
    TUNE_GRAPH: "tune",
    "head.safetensors": "parameters",
    "golden.safetensors": "golden",
    "MODEL_CARD.md": "model_card",
    "LICENSE": "licence",
    "NOTICE": "notice",
}


@dataclass(frozen=True)
class ExportSettings:
    """Settings of a bundle export."""

    name: str
    precision: Precision
    command: str
    """Command line that makes the bundle again; written into the model card."""

    max_window_s: float = MAX_WINDOW_S
    tensorrt_window_s: float | None = None
    """Window of the TensorRT graph, written in addition to the dynamic graph; None: no TensorRT graph."""

    portable: bool = False
    """Whether attention uses plain operators of an older opset, for OpenVINO, QNN and older builds."""

    clips: Sequence[Waveform] = ()
    """Speech clips on which the precision is also compared with PyTorch."""

    static: bool = False
    """Whether int8 scales are fixed on the clips."""

    corpora: Sequence[Path] = ()
    """Labelled speech on which few-shot accuracy is compared with PyTorch's."""

    calibration: Calibration | None = None
    """Calibration that replaces the source's own."""

    prior: CalibrationPrior | None = None
    """Distribution of clips around a support set, for calibration on the device."""

    accuracy: dict[str, object] | None = None
    """Measured figures for the manifest and the model card."""

    tuning: dict[str, object] | None = None
    """The values of `HeadTuningSettings` that differ from the defaults in this bundle."""

    force: bool = False
    """Replace an existing bundle."""


def export_bundle(source: Source, out: Path, settings: ExportSettings, notify: Callable[[str], None]) -> Manifest:
    """Write the bundle and return its manifest; `notify` is called with one line per step.

    Raises:
        InputError: `out` holds something else, or a bundle without `force`.
        WorkError: the graphs do not match PyTorch, or the folder cannot be written; nothing is left behind.
    """
    check_target(out, settings.force)
    with replacing_folder(out) as new:
        manifest = _write(source, new, out, settings, notify)
        open_bundle(new)
    return manifest


def check_target(out: Path, force: bool) -> None:
    """Raise InputError if a bundle must not be written here."""
    if out.exists() and not (out / MANIFEST).is_file():
        raise InputError(f"{out} exists and is not a bundle: choose another folder")
    kept = [path.name for path in out.iterdir() if path.name not in {*ROLES, MANIFEST}] if out.is_dir() else []
    if kept:
        raise InputError(f"{out} holds {kept[0]}, which does not belong to a bundle: move it, or choose another folder")
    if out.exists() and not force:
        raise InputError(f"{out} holds a bundle: pass --force to replace it, or choose another folder")


def _write(
    source: Source, folder: Path, earlier: Path, settings: ExportSettings, notify: Callable[[str], None]
) -> Manifest:
    graphs = _write_graphs(source, folder, settings, notify)
    accuracy = dict(settings.accuracy or {})
    if settings.corpora:
        notify("measuring few-shot accuracy")
        embed = Graphs(folder, source.network).embed
        accuracy |= accuracy_beside_pytorch(source.network, embed, graphs.max_window_s, settings.corpora)
    replace_text(folder / "LICENSE", source.licence_text or f"Licence of the weights: {source.licence}\n", mode=SHARED)
    if source.notice_text:
        replace_text(folder / "NOTICE", source.notice_text, mode=SHARED)
    equal = equal_graphs(earlier, folder, source.network, settings.precision, settings.clips)
    manifest = _manifest(source, graph_id(folder), graphs, settings, accuracy, equal)
    card = source.card_text or model_card(manifest, settings.command)
    replace_text(folder / "MODEL_CARD.md", card, mode=SHARED)
    manifest.files.update(_entries(folder))
    replace_text(folder / MANIFEST, manifest.to_json(), mode=SHARED)
    return manifest


@dataclass(frozen=True)
class _Graphs:
    """Facts about the written graphs."""

    max_window_s: float
    operators: dict[str, dict[str, object]]
    """Graph -> its content."""
    parity: dict[str, object]
    """Differences between the graphs and PyTorch."""


def _write_graphs(source: Source, folder: Path, settings: ExportSettings, notify: Callable[[str], None]) -> _Graphs:
    """Write graphs, parameters and golden vectors, and compare them with PyTorch."""
    network = source.network
    notify(f"tracing {network.backbone.layers} layers of {source.name}")
    if settings.portable:
        notify("writing attention in plain operators, for execution providers other than the CPU's")
    elif plain := PLAIN.get(network.backbone.model_type):
        notify(f"not rewritten, kept as PyTorch exports it: {plain}")
    max_window_s = longest_window_s(network.backbone, settings.max_window_s)
    exact = encoder_graph(network.backbone, max_window_s, portable=settings.portable)
    head = head_graph(network.head, portable=settings.portable)
    tune = tune_graph(network.head)
    notify(f"writing {settings.precision} graphs")
    ranges = measure_ranges(exact, activations(exact), settings.clips) if settings.static else None
    encoder = in_precision(exact, settings.precision, ranges)
    graphs = {"encoder.onnx": encoder, "head.onnx": head, TUNE_GRAPH: tune}
    operators = {name: contents(graph) for name, graph in graphs.items()}
    waveform, frames, embedding = golden_vectors(network)
    inside = _compare_inside(exact, encoder, settings, waveform)
    for name, graph in graphs.items():
        save_graph(graph, folder / name)
    del exact, encoder, graphs  # gigabytes, which the comparisons need
    parameters = {name: value.detach().numpy() for name, value in network.head.named_parameters()}
    _save_tensors(parameters, folder / "head.safetensors")
    _save_tensors({"waveform": waveform, "frames": frames, "embedding": embedding}, folder / "golden.safetensors")
    notify("comparing with PyTorch")
    parity = asdict(measure_parity(folder, network, settings.precision, max_window_s, settings.clips)) | inside
    parity["tuning_step_max_difference"] = check_step(tune, network.head)
    if settings.tensorrt_window_s is not None:
        operators[TENSORRT_GRAPH], parity["tensorrt"] = _write_tensorrt(source, folder, settings, notify)
    return _Graphs(max_window_s, operators, parity)


def _manifest(  # noqa: PLR0913, PLR0917 # what was measured, each by its own step
    source: Source,
    graph: str,
    graphs: _Graphs,
    settings: ExportSettings,
    accuracy: dict[str, object],
    equal: list[str],
) -> Manifest:
    """The manifest, without the files."""
    backbone, head = source.network.backbone, source.network.head
    return Manifest(
        name=settings.name,
        model_id=model_id(source.network),
        graph_id=graph,
        backbone=BackboneEntry(
            family=backbone.family,
            model_type=backbone.model_type,
            source=source.name,
            layers=backbone.layers,
            width=backbone.width,
        ),
        head=HeadEntry(
            kind=head.kind,
            embedding_size=head.embedding_size,
            parameters={name: list(value.shape) for name, value in head.named_parameters()},
        ),
        audio=AudioEntry(
            sample_rate_hz=SAMPLE_RATE_HZ,
            hop_samples=backbone.hop_samples,
            receptive_field_samples=backbone.receptive_field_samples,
            max_window_s=graphs.max_window_s,
        ),
        precision=settings.precision,
        opset=PORTABLE_OPSET if settings.portable else OPSET,
        providers=(PORTABLE_PROVIDERS if settings.portable else PROVIDERS)[settings.precision],
        calibration=settings.calibration or source.calibration or Calibration(),
        licence=source.licence,
        training_corpora=list(source.corpora),
        training_languages=list(source.languages),
        files={},
        parity=graphs.parity,
        operators=graphs.operators,
        prior=settings.prior,
        tuning=settings.tuning or {},
        accuracy=accuracy,
        equal_graphs=equal,
    )


def _compare_inside(
    exact: onnx.ModelProto, encoder: onnx.ModelProto, settings: ExportSettings, waveform: Waveform
) -> dict[str, object]:
    """Cosine of each layer in another precision, and the largest value that float16 has to hold."""
    found: dict[str, object] = {}
    if settings.precision != "fp32":
        found["layer_cosines"] = [round(cosine, 6) for cosine in layer_cosines(exact, encoder, waveform)]
    if settings.precision == "fp16":
        found["largest_half_value"] = largest_half_value(exact, [waveform, *settings.clips])
    return found


def _write_tensorrt(
    source: Source, folder: Path, settings: ExportSettings, notify: Callable[[str], None]
) -> tuple[dict[str, object], dict[str, object]]:
    """Write the graph for TensorRT; return its content and its differences from PyTorch."""
    assert settings.tensorrt_window_s is not None
    backbone, path = source.network.backbone, folder / TENSORRT_GRAPH
    window_s = longest_window_s(backbone, settings.tensorrt_window_s)
    notify(f"writing the graph for TensorRT, for windows of {window_s:g} s")
    model = for_tensorrt(static_graph(backbone, round(window_s * SAMPLE_RATE_HZ)), settings.precision)
    save_graph(model, path)
    return contents(model), asdict(measure_tensorrt_parity(path, backbone, settings.precision))


def _save_tensors(tensors: dict[str, np.typing.NDArray[np.float32]], path: Path) -> None:
    replace_file(path, save({name: np.array(value, order="C") for name, value in tensors.items()}), mode=SHARED)


def _entries(folder: Path) -> dict[str, FileEntry]:
    return {
        path.name: FileEntry(role=ROLES[path.name], sha256=sha256_of(path), size_bytes=path.stat().st_size)
        for path in sorted(folder.iterdir())
    }
