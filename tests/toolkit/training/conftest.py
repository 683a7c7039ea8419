"""Two small corpora of whistles, whose classes differ in pitch, and runs on them that take a second."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import soundfile

from metaser.toolkit.config import Config
from metaser.toolkit.toml_config import to_dataclass

MakeConfig: TypeAlias = Callable[..., Config]
PITCHES_HZ = {"low": 250, "middle": 600, "high": 1500}
SPEAKERS = ("a", "b", "c", "d", "e", "f")
RATE_HZ = 16_000


def whistle(pitch_hz: float, seconds: float, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float32]]:
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    sound = np.sin(2 * np.pi * pitch_hz * t * rng.uniform(0.9, 1.1)) * (0.3 + 0.1 * np.sin(20 * t))
    return (sound + rng.normal(0, 0.01, len(t))).astype(np.float32)


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Two folders LABEL/SPEAKER/clip.wav of 54 clips of 0.3 to 0.5 s."""
    roots = []
    rng = np.random.default_rng(0)
    for name in ("birds", "kettles"):
        root = tmp_path_factory.mktemp("corpora") / name
        for label, pitch_hz in PITCHES_HZ.items():
            for speaker in SPEAKERS:
                folder = root / label / speaker
                folder.mkdir(parents=True)
                for take in range(3):
                    clip = whistle(pitch_hz, rng.uniform(0.3, 0.5), rng)
                    soundfile.write(folder / f"{label}{speaker}{take}.wav", clip, RATE_HZ)
        roots.append(root)
    return tuple(roots)


@pytest.fixture
def make_config(corpora: tuple[Path, ...], saved: Callable[[str], Any], tmp_path: Path) -> MakeConfig:
    """`make_config({"episodes": {"count": 3}})`: settings over those of a run of 8 episodes; `backbone` by name."""

    def make(changes: dict[str, Any] | None = None, backbone: str = "whisper") -> Config:
        table: dict[str, Any] = {
            "out": str(tmp_path / "run"),
            "device": "cpu",  # resuming is bit-exact on a CPU
            "threads": 1,
            "workers": 1,
            "data": {
                "corpora": [str(root) for root in corpora],
                "crop_s": 0.4,
                "cache": "memory",
                "validation_speakers": {"birds": ["e", "f"], "kettles": ["e", "f"]},
            },
            "model": {"backbone": str(saved(backbone).folder), "layers": 2, "embedding_size": 8},
            "episodes": {"n_way": 3, "k_shot": 2, "n_query": 2, "count": 8},
            "optimiser": {"warmup": 2, "backbone_lr": 1e-3, "head_lr": 1e-2},
            "validation": {"every": 4, "episodes": 5, "n_query": 2},
        }
        for name, value in (changes or {}).items():
            table[name] = {**table.get(name, {}), **value} if isinstance(value, dict) else value
        return to_dataclass(Config, table, "test")

    return make


@pytest.fixture(scope="session")
def to_toml() -> Callable[[Config], str]:
    """A configuration as a TOML file: settings outside of sections first."""

    def value_of(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{name} = {value_of(part)}" for name, part in value.items()) + "}"
        return str(value).lower() if isinstance(value, bool) else repr(value)

    def lines(values: dict[str, Any]) -> list[str]:
        return [f"{name} = {value_of(value)}" for name, value in values.items() if value is not None]

    def write(config: Config) -> str:
        plain = config.plain()
        sections = {name: values for name, values in plain.items() if isinstance(values, dict)}
        text = lines({name: value for name, value in plain.items() if name not in sections})
        for name, values in sections.items():
            text += [f"[{name}]", *lines(values)]
        return "\n".join(text)

    return write
