"""What both machines are given: clips of corpora, clips to enrol, a recording, and bundles."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import soundfile

from benchmarks.archive.material import make_support
from benchmarks.arm64.probe_worker import BUNDLES
from benchmarks.debian import UnavailableError
from metaser.runtime.bundles.bundle import shipped_bundles, shipped_folder
from metaser.runtime.bundles.manifest import Precision

ROOT = Path(__file__).parents[2]
SUFFIXES = (".flac", ".ogg", ".opus", ".wav")
LONGEST_S = 3.0
"""Of a clip: the emulator takes about a hundred times as long as the processor."""

FORMS = ("int8", "fp32", "portable")
"""Of an export; the portable one is in float32."""


def prepare(work: Path, corpora: Path, clips: int, wheel: Path, *, full: bool) -> None:
    """Put clips, clips to enrol, a recording and bundles into the working folder.

    A folder that was prepared in the same way for the same wheel is kept with its answers, so that a run that was ended
    continues.

    Raises:
        UnavailableError: `corpora` has too few clips, or no EmoDB to enrol from.
    """
    prepared = f"{hashlib.sha256(wheel.read_bytes()).hexdigest()} {clips} clips of {corpora.resolve()}"
    marker = work / "prepared.txt"
    if marker.is_file() and marker.read_text() == prepared:
        return
    found = short_clips(corpora)
    if len(found) < clips or not (corpora / "emodb").is_dir():
        raise UnavailableError(
            f"{corpora} has no folder emodb, or fewer than {clips} short clips in all: name a folder with corpora"
        )
    shutil.rmtree(work, ignore_errors=True)
    (work / "clips").mkdir(parents=True)
    for number, path in enumerate(found[:: len(found) // clips][:clips]):
        shutil.copy(path, work / "clips" / f"{number:04}{path.suffix}")
    demo = shipped_folder() / "demo"
    shutil.copytree(demo / "support", work / "support" / "demo")
    make_support(corpora, work / "support" / "emodb")
    shutil.copy(demo / "conversation.flac", work / "talk.flac")
    bundles = {"default": "default"}
    if full:
        longest = export_forms(ROOT / "models" / "default", work, "default", ("fp32",))
        bundles = longest | {name: name for name in shipped_bundles()}
        bundles |= export_forms(small_wav2vec2(work / "wav2vec2"), work, "wav2vec2", FORMS)
    (work / BUNDLES).write_text(json.dumps(bundles))
    marker.write_text(prepared)


def short_clips(corpora: Path) -> list[Path]:
    """All clips of at most `LONGEST_S`."""
    found = sorted(path for path in corpora.rglob("*") if path.suffix in SUFFIXES)
    return [path for path in found if soundfile.info(path).duration <= LONGEST_S]


def export_forms(model: Path, work: Path, name: str, forms: tuple[str, ...]) -> dict[str, str]:
    """Export a model in several of `FORMS`; return the folder of each, below `work`, by its name."""
    from metaser.export.command import ExportRequest, run_export

    bundles = {f"{name}-{form}": f"bundles/{name}-{form}" for form in forms}
    for form, folder in zip(forms, bundles.values(), strict=True):
        precision: Precision = "int8" if form == "int8" else "fp32"
        run_export(ExportRequest(str(model), work / folder, precision, portable=form == "portable"), print)
    return bundles


def small_wav2vec2(folder: Path) -> Path:
    """A small wav2vec 2.0 in the hub's layout, with random weights; it has every operator of XLS-R 300M."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=128, num_hidden_layers=4, num_attention_heads=4, intermediate_size=512, conv_dim=(64,) * 7,
        num_conv_pos_embedding_groups=8, conv_bias=True, feat_extract_norm="layer", do_stable_layer_norm=True,
    )  # fmt: skip
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    Wav2Vec2Model(config).save_pretrained(folder)
    return folder
