"""Few-shot accuracy of the written graphs compared with PyTorch's, on the same episodes of a labelled corpus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from metaser.export.layer_choice import EPISODES, chosen_clips
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Embedding, Waveform
from metaser.runtime.audio.trim import load_speech
from metaser.runtime.bundles.bundle import sha256_of
from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings
from metaser.toolkit.evaluation.embeddings import Embedded, embed_by
from metaser.toolkit.evaluation.evaluate import compare, evaluate
from metaser.toolkit.model.network import ProtoNet


def accuracy_beside_pytorch(
    network: ProtoNet, embed: Callable[[Waveform], Embedding], max_window_s: float, corpora: Sequence[Path]
) -> dict[str, str]:
    """Per cent with 95 % intervals by corpus: 4-way 5-shot on unseen speakers by the graphs, and minus PyTorch's.

    Each clip is cut to one window. Intervals are over episodes.

    Raises:
        NotFoundError, InputError: a corpus cannot be read or is too small for the episodes.
    """
    report = {}
    for path in corpora:
        clips = chosen_clips(path)
        sampler = EpisodeSampler(clips, EpisodeSettings(4, 5, 15, "disjoint"), 0)
        digests = tuple(sha256_of(clip.path) for clip in clips)
        waveforms = [load_speech(clip.path)[: int(max_window_s * SAMPLE_RATE_HZ)] for clip in clips]
        exported, exact = (
            evaluate(Embedded(clips, digests, np.stack([own(each) for each in waveforms]), ()), sampler, EPISODES)
            for own in (embed, lambda each: embed_by(network, each))
        )
        difference = compare(exported, exact).by_episodes
        report[f"{exported.corpus}, 4-way 5-shot, unseen speakers"] = (
            f"{100 * exported.accuracy.mean:.1f} ± {50 * (exported.accuracy.high - exported.accuracy.low):.1f}, "
            f"minus PyTorch {100 * difference.mean:+.2f} [{100 * difference.low:+.2f}, {100 * difference.high:+.2f}]"
        )
    return report
