"""The valid files that the robustness benchmark damages: clips, recordings, encoders, bundles, profiles, settings.

WORK/seeds/support      two classes of three shipped clips
WORK/seeds/more         a clip to add to one of them
WORK/seeds/others       three clips of another
WORK/seeds/sounds       half a second in every format and sample type that libsndfile writes, and in some of FFmpeg's
WORK/seeds/encoders     tiny random encoders in the hub's layout: safetensors, pickles, shards
WORK/seeds/checkpoints  a metaser checkpoint
WORK/seeds/run          a training run that was stopped, and WORK/seeds/corpora, its clips
WORK/seeds/bundles      exports of tiny encoders, and a shipped bundle
WORK/seeds/profiles     plain, tuned, with other speech, with groups and copies
WORK/seeds/configs      settings of a training run
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.robustness.documents import to_toml
from metaser.runtime import Engine
from metaser.runtime.bundles.bundle import shipped_folder
from metaser.runtime.bundles.manifest import Precision

LABELS = ("anger", "joy")
OTHER = "neutral"
CLIPS = 3
RATES_HZ = (8000, 16_000, 44_100)
FORMATS = ("WAV", "WAVEX", "AIFF", "AU", "CAF", "W64", "RF64", "FLAC", "OGG", "MP3")
RAW_SUBTYPES = ("PCM_S8", "PCM_16", "PCM_24", "PCM_32", "PCM_U8", "FLOAT", "DOUBLE", "ULAW", "ALAW")
CODECS = {"aac.m4a": "aac", "adts.aac": "aac", "opus.webm": "libopus"}
SMALLEST = "wav2vec2"
"""The encoder whose bundle profiles are made with."""


def make_all(work: Path, notify: Callable[[str], None]) -> Path:
    """Make missing files in WORK/seeds; return that folder."""
    seeds = work / "seeds"
    steps: dict[str, Callable[[Path], None]] = {
        "support": make_support, "more": make_more, "others": make_others, "sounds": make_sounds,
        "encoders": make_encoders, "checkpoints": make_checkpoints, "corpora": make_corpora,
        "configs": make_configs, "run": make_run, "bundles": make_bundles, "profiles": make_profiles,
    }  # fmt: skip
    for name, make in steps.items():
        if not (seeds / name).exists():
            notify(f"making {name}")
            unfinished = seeds / f".{name}"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            make(unfinished)
            unfinished.rename(seeds / name)
    return seeds


def make_support(folder: Path) -> None:
    """Two classes of the demonstration."""
    for label in LABELS:
        (folder / label).mkdir()
        for clip in sorted((shipped_folder() / "demo" / "support" / label).iterdir())[:CLIPS]:
            shutil.copy(clip, folder / label)


def make_more(folder: Path) -> None:
    """Another clip of a class."""
    (folder / LABELS[0]).mkdir()
    shutil.copy(sorted((shipped_folder() / "demo" / "support" / LABELS[0]).iterdir())[CLIPS], folder / LABELS[0])


def make_others(folder: Path) -> None:
    """Clips of another class."""
    for clip in sorted((shipped_folder() / "demo" / "support" / OTHER).iterdir())[:CLIPS]:
        shutil.copy(clip, folder)


def make_sounds(folder: Path) -> None:
    """Half a second in each format."""
    for form in FORMATS:
        for subtype in soundfile.available_subtypes(form):
            for number, rate_hz in enumerate(RATES_HZ):
                path = folder / f"{form}-{subtype}-{rate_hz}.{form.lower().replace('wavex', 'wav')}"
                try:
                    soundfile.write(path, _sound(rate_hz, channels=1 + number % 2), rate_hz, subtype, format=form)
                except (soundfile.LibsndfileError, AssertionError):  # a codec of other rates, or of one channel
                    path.unlink(missing_ok=True)
    for subtype in RAW_SUBTYPES:
        soundfile.write(folder / f"{subtype}.raw", _sound(16_000, 1), 16_000, subtype, format="RAW")
    for name, codec in CODECS.items():
        _encode(folder / name, codec)


def make_encoders(folder: Path) -> None:
    """Random weights in every format of the hub."""
    import torch

    for name, make in _encoders().items():
        torch.manual_seed(0)
        model: Any = make().eval()
        model.save_pretrained(folder / name)
        model.save_pretrained(folder / f"{name}-shards", max_shard_size="8KB")
        pickled = folder / f"{name}-pickle"
        shutil.copytree(folder / name, pickled)
        (pickled / "model.safetensors").unlink()
        torch.save(model.state_dict(), pickled / "pytorch_model.bin")
    old = folder / "wav2vec2-pickle" / "pytorch_model.bin"
    torch.save(torch.load(old, weights_only=True), old, _use_new_zipfile_serialization=False)


def make_checkpoints(folder: Path) -> None:
    """A trained network in metaser's format, with the files that an export copies."""
    from metaser.toolkit.model.backbone import load_backbone
    from metaser.toolkit.model.checkpoint import CheckpointMetadata, save_checkpoint
    from metaser.toolkit.model.network import ProtoNet, make_head

    backbone = load_backbone(folder.parent / "encoders" / "wav2vec2")
    network = ProtoNet(backbone, make_head("glu", backbone.width, 8))
    values = {"temperature": 1.5, "threshold": 0.4, "margin": 0.1}
    metadata = CheckpointMetadata("random", "MIT", ("made up",), ("de", "pl"), values)
    save_checkpoint(folder / "glu", network, metadata)
    (folder / "glu" / "LICENSE").write_text("No rights are reserved.\n")
    (folder / "glu" / "MODEL_CARD.md").write_text("A random model.\n")


def make_corpora(folder: Path) -> None:
    """Two folders LABEL/SPEAKER/clip.wav."""
    rng = np.random.default_rng(0)
    for corpus in ("birds", "kettles"):
        for label, pitch_hz in {"low": 250, "high": 1500}.items():
            for speaker in "abcd":
                place = folder / corpus / label / speaker
                place.mkdir(parents=True)
                for take in range(2):
                    t = np.arange(6400) / 16_000
                    sound = 0.3 * np.sin(2 * np.pi * pitch_hz * t * rng.uniform(0.9, 1.1)) + rng.normal(0, 0.01, 6400)
                    soundfile.write(place / f"{label}{speaker}{take}.wav", sound, 16_000)


def make_configs(folder: Path) -> None:
    """Settings of a run of a second, with every section."""
    seeds = folder.parent
    table = {
        "out": "run",
        "seed": 1,
        "device": "cpu",
        "precision": "fp32",
        "threads": 1,
        "workers": 1,
        "save_every": 1,
        "gradient_checkpointing": False,
        "data": {
            "corpora": [str(seeds / "corpora" / name) for name in ("birds", "kettles")],
            "crop_s": 0.4,
            "cache": "memory",
            "column": "label",
            "validation_speakers": {"birds": ["c", "d"], "kettles": ["c", "d"]},
        },
        "model": {"backbone": str(seeds / "encoders" / "whisper"), "layers": 1, "embedding_size": 8, "head": "glu"},
        "episodes": {"n_way": 2, "k_shot": 1, "n_query": 1, "count": 6},
        "optimiser": {"warmup": 2, "backbone_lr": 1e-3, "head_lr": 1e-2, "kind": "adamw", "ema_decay": 0.5},
        "freeze": {"layers": 0, "front_end": True},
        "augment": {"noise_snr_db": [5.0, 30.0], "speed": [0.9, 1.1], "band_hz": [2500.0, 7000.0]},
        "adversary": {"on": "corpus", "weight": 0.1},
        "validation": {"every": 2, "episodes": 2, "n_query": 1, "n_way": 2, "k_shot": 1},
    }
    (folder / "run.toml").write_bytes(to_toml(table))


def make_run(folder: Path) -> None:
    """A whole training run."""
    from metaser.toolkit.config import load_config
    from metaser.toolkit.training.train import train

    config = load_config(folder.parent / "configs" / "run.toml")
    train(replace(config, out=folder), lambda _: None)


def make_bundles(folder: Path) -> None:
    """Exports by the command, and the smallest shipped bundle."""
    from metaser.export.command import ExportRequest, run_export

    seeds = folder.parent
    exports: tuple[tuple[str, Path, Precision], ...] = (
        ("wav2vec2", seeds / "checkpoints" / "glu", "fp32"),
        ("whisper", seeds / "encoders" / "whisper", "int8"),
    )
    for name, model, precision in exports:
        run_export(ExportRequest(str(model), folder / name, precision, name=name, licence="MIT"), lambda _: None)
    shutil.copytree(shipped_folder() / "bundles" / "tiny", folder / "tiny")


def make_profiles(folder: Path) -> None:
    """Profiles of the smallest bundle."""
    seeds = folder.parent
    engine = Engine.open(seeds / "bundles" / SMALLEST, provider="cpu", threads=1)
    profile = engine.enroll(seeds / "support")
    profile.save(folder / "plain.safetensors")
    engine.tune(profile, force=True).profile.save(folder / "tuned.safetensors")
    others = engine.embed_others(seeds / "others", profile)
    engine.calibrate(profile, false_accepts=0.2, others=others).save(folder / "others.safetensors")


def _sound(rate_hz: int, channels: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """[T, channels] of a rising tone in noise."""
    t = np.arange(rate_hz // 2) / rate_hz
    tone = 0.4 * np.sin(2 * np.pi * 300 * t * (1 + t)) + np.random.default_rng(0).normal(0, 0.02, len(t))
    return np.repeat(tone.astype(np.float32)[:, None], channels, axis=1)


def _encode(path: Path, codec: str) -> None:
    import av

    samples = (32_767 * _sound(48_000, 1).T).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=48_000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 48_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def _encoders() -> dict[str, Callable[[], Any]]:
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2Model,
        WavLMConfig,
        WavLMModel,
        WhisperConfig,
        WhisperForConditionalGeneration,
    )

    small: dict[str, Any] = {
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
        "conv_dim": (8,) * 7, "num_conv_pos_embedding_groups": 4, "num_conv_pos_embeddings": 16,
    }  # fmt: skip
    tokens: dict[str, Any] = {f"{name}_token_id": 0 for name in ("pad", "bos", "eos", "decoder_start")}
    whisper: dict[str, Any] = {
        "d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32, "num_mel_bins": 80,
        "max_source_positions": 500, "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 8,
        "vocab_size": 8, "max_target_positions": 4, **tokens,
    }  # fmt: skip
    return {
        "wav2vec2": lambda: Wav2Vec2Model(Wav2Vec2Config(**small)),
        "wavlm": lambda: WavLMModel(WavLMConfig(**small)),
        "whisper": lambda: WhisperForConditionalGeneration(WhisperConfig(**whisper)),
    }
