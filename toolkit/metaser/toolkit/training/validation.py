"""Accuracy on episodes of held-out speakers: each clip is embedded once, so many episodes cost almost nothing."""

from __future__ import annotations

import numpy as np
import torch

from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.toolkit.config import ValidationConfig
from metaser.toolkit.data.clip_store import ClipStore
from metaser.toolkit.episodes.sampler import EpisodeSampler
from metaser.toolkit.evaluation.evaluate import answer
from metaser.toolkit.evaluation.intervals import Interval, episode_interval
from metaser.toolkit.model.network import ProtoNet
from metaser.toolkit.training.batches import pad
from metaser.toolkit.training.distributed import Processes


class Validator:
    """A fixed set of validation episodes; clips are distributed over the processes.

    Raises:
        InputError: too few clips for the episodes.
    """

    def __init__(
        self, settings: ValidationConfig, sampler: EpisodeSampler, store: ClipStore, processes: Processes
    ) -> None:
        self._settings = settings
        self._store = store
        self._processes = processes
        self._episodes = list(sampler.episodes(settings.episodes))
        drawn = [np.concatenate([episode.support.ravel(), episode.query_indices]) for episode in self._episodes]
        clips = np.unique(np.concatenate(drawn))
        lengths = np.array([len(store.load(int(clip))) for clip in clips])
        self._clips = clips[np.argsort(lengths, kind="stable")]  # sorted by length, so there is little padding

    @torch.inference_mode()
    def accuracy(self, network: ProtoNet) -> Interval:
        """The mean over the episodes with its interval over episodes; leaves the network in eval mode."""
        network.eval()
        device = self._processes.device
        embeddings = torch.zeros(len(self._store.utterances), network.head.embedding_size, device=device)
        most = round(self._settings.max_s * SAMPLE_RATE_HZ)
        batches = np.array_split(self._clips, -(-len(self._clips) // self._settings.batch_clips))
        for number in self._processes.own(range(len(batches))):
            waveform, lengths = pad([self._store.load(int(clip))[:most] for clip in batches[number]])
            rows = network.embed(waveform.to(device), lengths.to(device)).float()
            embeddings[torch.from_numpy(batches[number]).to(device)] = rows
        table = self._processes.sum(embeddings).cpu().numpy()  # [clips, E]
        correct = [np.mean(answer(table, episode) == episode.query_targets) for episode in self._episodes]
        return episode_interval(correct)
