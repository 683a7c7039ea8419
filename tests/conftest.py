"""Fixtures of several parts' tests: a real bundle of a few kilobytes, and sounds that it can distinguish.

The sounds are vowels sung by a formant synthesiser of twenty lines, close enough to speech for voice activity
detection. "calm" has open back vowels, "keen" has close front ones, so their spectra differ plainly. The bundle's
encoder measures six bands of the spectrum, 50 times a second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import soundfile
from safetensors.numpy import save_file

from metaser.runtime import Calibration
from metaser.runtime.bundles.manifest import AudioEntry, BackboneEntry, FileEntry, HeadEntry, Manifest
from tests.virtual_microphone import PROGRAMS, VirtualMicrophone, is_possible

if TYPE_CHECKING:
    import onnx

RATE_HZ = 16_000
FORMANTS_HZ = {
    "calm": ((650, 1000, 2400), (450, 800, 2300), (350, 650, 2200)),
    "keen": ((300, 2300, 3000), (450, 2000, 2700), (600, 1800, 2600)),
}
BANDS_HZ = (300.0, 650.0, 1000.0, 1800.0, 2300.0, 2900.0)
TAPS, STRIDE, POOL = 64, 16, 20
HOP = STRIDE * POOL
RECEPTIVE_FIELD = TAPS + STRIDE * (POOL - 1)

Floats: TypeAlias = npt.NDArray[np.float32]
ClipMaker: TypeAlias = Callable[[str, float, int], Floats]


def sing(label: str, seconds: float, seed: int) -> Floats:
    """Float32 [T] at 16 kHz: vowels of a class, about four syllables a second, in a rhythm of the seed's own."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    own = np.random.default_rng((seed, *label.encode()))
    lengths, stress = own.uniform(((0.12,), (0.4,)), ((0.4,), (1.0,)), (2, round(8 * seconds) + 2))
    beats = np.interp(t, np.append(0, np.cumsum(lengths)), np.arange(len(lengths) + 1))  # syllables so far
    pitch_hz = 130 * (1 + 0.15 * np.sin(4.4 * t + rng.uniform(0, 6)) + 0.02 * np.sin(31 * t))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    syllable = beats.astype(int) % 3
    sound: npt.NDArray[np.float64] = np.zeros(len(t))
    for harmonic in range(1, 28):
        for vowel, formants_hz in enumerate(FORMANTS_HZ[label]):
            bands = zip(formants_hz, (80, 100, 150), (1.0, 0.6, 0.3), strict=True)
            gain = sum(height / (1 + ((harmonic * pitch_hz - hz) / width) ** 2) for hz, width, height in bands)
            sound += np.where(syllable == vowel, gain, 0) * np.sin(harmonic * phase) / np.sqrt(harmonic)
    sound *= stress[beats.astype(int)] * (0.1 + 0.9 * np.abs(np.sin(np.pi * beats)) ** 0.7)
    return (0.3 * sound / np.abs(sound).max() + 1e-4 * rng.normal(size=len(t))).astype(np.float32)


@pytest.fixture(scope="session", autouse=True)
def own_runtime_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep lock files away from the user's own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        yield


@pytest.fixture
def microphone(tmp_path: Path) -> Iterator[VirtualMicrophone]:
    """A virtual microphone that is plugged in."""
    if not is_possible():
        pytest.skip(f"a virtual microphone needs {', '.join(PROGRAMS)}")
    (tmp_path / "pulse").mkdir(mode=0o700)
    with VirtualMicrophone(tmp_path / "pulse") as device:
        yield device


@pytest.fixture(scope="session")
def make_clip() -> ClipMaker:
    """`make_clip(label, seconds, seed)` -> float32 [T] at 16 kHz; the labels are calm and keen."""
    return sing


@pytest.fixture(scope="session")
def support_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A support set of three clips of each of two classes; not to be changed."""
    folder = tmp_path_factory.mktemp("support")
    for label in FORMANTS_HZ:
        (folder / label).mkdir()
        for seed in range(3):
            soundfile.write(folder / label / f"{seed}.wav", sing(label, 1.5, seed), RATE_HZ)
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a few kilobytes with real graphs; not to be changed, copy it first."""
    onnx = pytest.importorskip("onnx", reason="needs onnx, with which its graphs are made")

    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    folder.mkdir()
    width = len(BANDS_HZ)
    head = {
        "projection.weight": np.eye(width, dtype=np.float32),
        "projection.bias": np.zeros(width, np.float32),
        "scale": np.array(40.0, np.float32),
    }
    onnx.save(_encoder(), folder / "encoder.onnx")
    onnx.save(_head(), folder / "head.onnx")
    save_file(head, folder / "head.safetensors")
    save_file(_golden(folder, head), folder / "golden.safetensors")
    (folder / "MODEL_CARD.md").write_text("A bundle for tests.\n")
    (folder / "LICENSE").write_text("No rights are reserved.\n")
    manifest = Manifest(
        name="tiny",
        model_id="1" * 64,
        graph_id="2" * 64,
        backbone=BackboneEntry("test", "bands", "none", layers=1, width=width),
        head=HeadEntry("mean-fc", width, {name: list(value.shape) for name, value in head.items()}),
        audio=AudioEntry(RATE_HZ, HOP, RECEPTIVE_FIELD, max_window_s=10.0),
        precision="fp32",
        opset=20,
        providers=["cpu"],
        calibration=Calibration(),
        licence="CC0-1.0",
        training_corpora=[],
        training_languages=[],
        files={path.name: _entry(path) for path in sorted(folder.iterdir())},
    )
    (folder / "bundle.json").write_text(manifest.to_json())
    return folder


def _entry(path: Path) -> FileEntry:
    content = path.read_bytes()
    role: Any = path.stem
    return FileEntry(role, hashlib.sha256(content).hexdigest(), len(content))


def _encoder() -> onnx.ModelProto:
    """[B, T] -> [B, N, D]: the energy of each band in each hop, as a share of the frame's energy."""
    from onnx import helper

    times = np.arange(TAPS) / RATE_HZ
    waves = [wave(2 * np.pi * hz * times) * np.hanning(TAPS) for wave in (np.cos, np.sin) for hz in BANDS_HZ]
    width = len(BANDS_HZ)
    constants: dict[str, npt.NDArray[Any]] = {
        "filters": np.stack(waves)[:, None].astype(np.float32),  # [2 D, 1, taps]
        "pairs": np.hstack([np.eye(width), np.eye(width)])[:, :, None].astype(np.float32),  # [D, 2 D, 1]
        "axis": np.array([1], np.int64),
        "last": np.array([2], np.int64),
        "tiny": np.array(1e-6, np.float32),
        "field": np.array(RECEPTIVE_FIELD, np.int64),
        "hop": np.array(HOP, np.int64),
        "one": np.array(1, np.int64),
    }
    nodes = [
        helper.make_node("Unsqueeze", ["input_values", "axis"], ["mono"]),
        helper.make_node("Conv", ["mono", "filters"], ["waves"], strides=[STRIDE]),
        helper.make_node("Mul", ["waves", "waves"], ["squares"]),
        helper.make_node("AveragePool", ["squares"], ["pooled"], kernel_shape=[POOL], strides=[POOL]),
        helper.make_node("Conv", ["pooled", "pairs"], ["energy"]),
        helper.make_node("Transpose", ["energy"], ["by_frame"], perm=[0, 2, 1]),
        helper.make_node("ReduceSum", ["by_frame", "last"], ["sum"]),
        helper.make_node("Add", ["sum", "tiny"], ["total"]),
        helper.make_node("Div", ["by_frame", "total"], ["last_hidden_state"]),
        helper.make_node("Sub", ["input_lengths", "field"], ["beyond"]),
        helper.make_node("Div", ["beyond", "hop"], ["hops"]),
        helper.make_node("Add", ["hops", "one"], ["frame_lengths"]),
    ]
    return _model(
        nodes,
        {"input_values": ["batch", "samples"], "input_lengths": ["batch"]},
        {"last_hidden_state": ["batch", "frames", width], "frame_lengths": ["batch"]},
        constants,
    )


def _head() -> onnx.ModelProto:
    """[B, N, D] -> [B, E]: the masked mean, then a linear layer whose parameters are inputs."""
    from onnx import helper

    width = len(BANDS_HZ)
    nodes = [
        helper.make_node("Unsqueeze", ["frame_mask", "last"], ["mask"]),
        helper.make_node("Mul", ["frames", "mask"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "axis"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["mask", "axis"], ["count"], keepdims=0),
        helper.make_node("Div", ["sum", "count"], ["mean"]),
        helper.make_node(
            "Gemm", ["mean", "parameter.projection.weight", "parameter.projection.bias"], ["embedding"], transB=1
        ),
    ]
    inputs: dict[str, list[str | int]] = {
        "frames": ["batch", "frames", width],
        "frame_mask": ["batch", "frames"],
        "parameter.projection.weight": [width, width],
        "parameter.projection.bias": [width],
    }
    constants = {"axis": np.array([1], np.int64), "last": np.array([2], np.int64)}
    return _model(nodes, inputs, {"embedding": ["batch", width]}, constants)


def _model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[str | int]],
    outputs: dict[str, list[str | int]],
    constants: Mapping[str, npt.NDArray[Any]],
) -> onnx.ModelProto:
    import onnx
    from onnx import helper, numpy_helper

    def described(values: dict[str, list[str | int]]) -> list[onnx.ValueInfoProto]:
        kinds = {name: onnx.TensorProto.INT64 if "lengths" in name else onnx.TensorProto.FLOAT for name in values}
        return [helper.make_tensor_value_info(name, kinds[name], shape) for name, shape in values.items()]

    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "test", described(inputs), described(outputs), stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def _golden(folder: Path, head: dict[str, Floats]) -> dict[str, Floats]:
    waveform = sing("calm", 0.5, 99)
    encoder, pooling = (onnxruntime.InferenceSession(folder / name) for name in ("encoder.onnx", "head.onnx"))
    lengths = np.array([len(waveform)], np.int64)
    frames = encoder.run(["last_hidden_state"], {"input_values": waveform[None], "input_lengths": lengths})[0]
    parameters = {f"parameter.{name}": value for name, value in head.items() if name != "scale"}
    mask = np.ones(frames.shape[:2], np.float32)
    embedding = pooling.run(["embedding"], {"frames": frames, "frame_mask": mask, **parameters})[0]
    return {"waveform": waveform, "frames": frames[0], "embedding": embedding[0]}
