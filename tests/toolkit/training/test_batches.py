"""Episodes as tensors: order, padding, weights, domains, and no effect of threads."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import soundfile
import torch

from metaser.runtime.errors import InputError
from metaser.toolkit.config import Config
from metaser.toolkit.training.batches import BatchMaker, pad, prefetch
from metaser.toolkit.training.dataset import load_training_data

MakeConfig: TypeAlias = Callable[..., Config]
PLAIN: dict[str, Any] = {"noise_chance": 0.0, "gain_chance": 0.0, "speed_chance": 0.0, "reverberation_chance": 0.0}


def quiet(_line: str) -> None:
    pass


def maker_of(config: Config) -> BatchMaker:
    material = load_training_data(config, quiet)
    return BatchMaker(config, material.training, material.training_clips, material.domains)


def test_support_comes_first_and_its_weights_make_means(make_config: MakeConfig) -> None:
    config = make_config({"augment": PLAIN, "data": {"crop_s": 9.0}, "adversary": {"on": "corpus"}})
    material = load_training_data(config, quiet)
    batch = maker_of(config).make(3)
    episode = material.training.draw(3)
    clips = [*episode.support.ravel(), *episode.query_indices]
    assert batch.clips.shape == (12, max(batch.lengths.tolist()))
    for row, length, clip in zip(batch.clips, batch.lengths.tolist(), clips, strict=True):
        assert np.array_equal(row[:length].numpy(), material.training_clips.load(int(clip)))
        assert not row[length:].any()
    expected = torch.tensor([[0.5, 0.5, 0, 0, 0, 0], [0, 0, 0.5, 0.5, 0, 0], [0, 0, 0, 0, 0.5, 0.5]])
    assert torch.equal(batch.support_weights, expected)
    assert batch.targets.tolist() == [0, 0, 1, 1, 2, 2]
    corpora = [material.training.utterances[clip].corpus for clip in clips]
    assert [material.domains[domain] for domain in batch.domains] == corpora


def test_held_out_speakers_never_train(make_config: MakeConfig) -> None:
    material = load_training_data(make_config(), quiet)
    assert {clip.speaker for clip in material.training_clips.utterances} == {"a", "b", "c", "d"}
    assert {clip.speaker for clip in material.validation_clips.utterances} == {"e", "f"}


def test_an_episode_is_the_same_whoever_makes_it(make_config: MakeConfig) -> None:
    first, second = maker_of(make_config()), maker_of(make_config({"data": {"cache": "disk"}}))
    second.make(0)
    for index in (5, 2):
        one, other = first.make(index), second.make(index)
        assert torch.equal(one.clips, other.clips)
        assert torch.equal(one.lengths, other.lengths)
    assert not torch.equal(first.make(5).clips, first.make(6).clips)


def test_padding_is_zero_and_no_longer_than_needed() -> None:
    waveform, lengths = pad([np.ones(3, np.float32), np.ones(5, np.float32)])
    assert waveform.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert lengths.tolist() == [3, 5]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_prefetched_items_come_in_order(workers: int) -> None:
    assert list(prefetch(lambda index: index**2, range(20), workers)) == [index**2 for index in range(20)]


def test_prefetching_ends_its_threads_and_passes_errors_on() -> None:
    items = prefetch(lambda index: 1 // (3 - index), range(100), 2)
    with pytest.raises(ZeroDivisionError):
        list(items)
    items = prefetch(lambda index: index, range(100), 2)
    next(items)
    items.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("clips")]


def test_files_that_cannot_be_used_are_counted_and_left_out(make_config: MakeConfig, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    root = tmp_path / "mixed"
    for label in ("x", "y", "z"):
        for speaker in "abcdef":
            (root / label / speaker).mkdir(parents=True)
            for take in range(3):
                soundfile.write(root / label / speaker / f"{take}.wav", rng.uniform(-0.2, 0.2, 4000), 16_000)
    for name in ("1.wav", "2.wav", "3.wav", "4.wav"):
        (root / "x/a" / f"broken{name}").write_text(f"nothing {name}")
    changes: dict[str, Any] = {"data": {"corpora": [str(root)], "validation_speakers": {"mixed": ["e", "f"]}}}
    said: list[str] = []
    material = load_training_data(make_config(changes), said.append)
    assert len(material.problems) == 4
    assert said[0].startswith("4 files are left out: broken1.wav: ")
    assert said[0].endswith("; the log lists all")
    changes["data"]["strict"] = True
    with pytest.raises(InputError, match="4 of 40 clips cannot be used"):
        load_training_data(make_config(changes), quiet)
