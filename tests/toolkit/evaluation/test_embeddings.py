"""Embeddings of many clips and their cache."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from metaser.runtime import Engine
from metaser.runtime.audio.trim import load_speech
from metaser.runtime.errors import AudioError, InputError, NotFoundError
from metaser.toolkit.data.corpora import read_corpus
from metaser.toolkit.data.utterances import Utterance
from metaser.toolkit.evaluation.embeddings import Embedder, embed_by, embed_clips, open_embedder
from metaser.toolkit.model.checkpoint import CheckpointMetadata, save_checkpoint
from metaser.toolkit.model.network import ProtoNet
from tests.rights import without_rights

ClipMaker: TypeAlias = Callable[[str, float, int], npt.NDArray[np.float32]]


@pytest.fixture
def clips(support_folder: Path) -> tuple[Utterance, ...]:
    return read_corpus(support_folder).utterances


def counting(embedder: Embedder) -> tuple[Embedder, list[int]]:
    """The embedder, and the lengths of the clips that it was asked for."""
    asked: list[int] = []

    def embed(waveform: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        asked.append(len(waveform))
        return embedder.embed(waveform)

    return replace(embedder, embed=embed), asked


def test_a_bundle_embeds_as_its_engine_does_and_a_clip_only_once(
    tiny_bundle: Path, clips: tuple[Utterance, ...], tmp_path: Path
) -> None:
    embedder, asked = counting(open_embedder(tiny_bundle))
    first = embed_clips(embedder, clips, cache=tmp_path)
    again = embed_clips(embedder, clips[::-1], cache=tmp_path)
    assert len(asked) == len(clips) == 6
    engine = Engine.open(tiny_bundle)
    for row, clip in zip(first.embeddings, clips, strict=True):
        np.testing.assert_array_equal(row, engine.embed(load_speech(clip.path)))
    np.testing.assert_array_equal(first.embeddings, again.embeddings[::-1])
    assert (embedder.form, first.utterances, first.problems) == ("bundle", clips, ())


def test_the_cache_goes_by_content_and_by_model(
    tiny_bundle: Path, clips: tuple[Utterance, ...], tmp_path: Path
) -> None:
    embedder, asked = counting(open_embedder(tiny_bundle))
    embed_clips(embedder, clips, cache=tmp_path)
    copied = replace(clips[0], path=tmp_path / "renamed.wav")
    copied.path.write_bytes(clips[0].path.read_bytes())
    embed_clips(embedder, [copied], cache=tmp_path)
    assert len(asked) == 6
    embed_clips(replace(embedder, key="f" * 64), clips[:2], cache=tmp_path)
    assert len(asked) == 8
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def test_a_damaged_cache_is_made_again(tiny_bundle: Path, clips: tuple[Utterance, ...], tmp_path: Path) -> None:
    embedder, asked = counting(open_embedder(tiny_bundle))
    expected = embed_clips(embedder, clips, cache=tmp_path).embeddings
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-5])
    np.testing.assert_array_equal(embed_clips(embedder, clips, cache=tmp_path).embeddings, expected)
    assert len(asked) == 12
    embed_clips(embedder, clips, cache=tmp_path)
    assert len(asked) == 12


def test_what_was_embedded_before_an_interrupt_is_kept(
    tiny_bundle: Path, clips: tuple[Utterance, ...], tmp_path: Path
) -> None:
    embedder, asked = counting(open_embedder(tiny_bundle))

    def stop(done: int, _: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_clips(embedder, clips, cache=tmp_path, progress=stop)
    embed_clips(embedder, clips, cache=tmp_path)
    assert len(asked) == 6


def test_clips_that_cannot_be_used_become_problems(
    tiny_bundle: Path, clips: tuple[Utterance, ...], tmp_path: Path
) -> None:
    silent, short, absent = (replace(clips[0], path=tmp_path / f"{name}.wav") for name in ("silent", "short", "absent"))
    soundfile.write(silent.path, np.zeros(16_000), 16_000)
    soundfile.write(short.path, np.tile([0.5, -0.5], 50), 16_000)
    embedded = embed_clips(open_embedder(tiny_bundle), [silent, *clips, short, absent], cache=tmp_path)
    assert embedded.utterances == clips
    assert [problem.path.stem for problem in embedded.problems] == ["silent", "short", "absent"]
    words = ("is silent", "too short", "no such file")
    assert all(word in problem.reason.lower() for word, problem in zip(words, embedded.problems, strict=True))


def test_a_clip_that_may_not_be_read_becomes_a_problem(
    tiny_bundle: Path, clips: tuple[Utterance, ...], tmp_path: Path
) -> None:
    locked = replace(clips[0], path=tmp_path / "locked.wav")
    locked.path.write_bytes(clips[0].path.read_bytes())
    with without_rights(locked.path):
        embedded = embed_clips(open_embedder(tiny_bundle), [locked, *clips], cache=tmp_path)
    assert embedded.utterances == clips
    assert [problem.reason for problem in embedded.problems] == ["cannot be read (Permission denied)"]


def test_a_checkpoint_embeds_as_its_network_does_and_long_clips_in_windows(
    network: ProtoNet, tmp_path: Path, make_clip: ClipMaker
) -> None:
    save_checkpoint(tmp_path / "run", network, CheckpointMetadata("test", "CC0-1.0"))
    embedder = open_embedder(tmp_path / "run")
    assert (embedder.name, embedder.form) == ("run", "checkpoint")
    clip = make_clip("calm", 0.5, 0)
    np.testing.assert_array_equal(embedder.embed(clip), embed_by(network, clip))
    long = np.tile(clip, 22)  # 11 s
    halves = np.stack([embed_by(network, part) for part in np.array_split(long, 2)])
    np.testing.assert_allclose(embedder.embed(long), halves.mean(0), rtol=1e-5, atol=1e-6)
    with pytest.raises(AudioError, match="100 samples is too short"):
        embedder.embed(clip[:100])


def test_other_weights_have_another_key(network: ProtoNet, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a", network, CheckpointMetadata("test", "CC0-1.0"))
    save_checkpoint(tmp_path / "b", network, CheckpointMetadata("test", "CC0-1.0"))
    network.head.scale.data += 1
    save_checkpoint(tmp_path / "c", network, CheckpointMetadata("test", "CC0-1.0"))
    keys = [open_embedder(tmp_path / name).key for name in "abc"]
    assert keys[0] == keys[1] != keys[2]


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such model"):
        open_embedder(tmp_path / "absent")
    with pytest.raises(InputError, match="is not a checkpoint"):
        open_embedder(tmp_path)


def test_a_checkpoint_without_torch_names_the_extra(network: ProtoNet, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "run", network, CheckpointMetadata("test", "CC0-1.0"))
    code = f"""
import sys
sys.modules["torch"] = None
from metaser.runtime.errors import MissingDependencyError
from metaser.toolkit.evaluation.embeddings import open_embedder
try:
    open_embedder({str(tmp_path / "run")!r})
except MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'metaser[train]'" in done.stdout
