"""The engine: a bundle's graphs in ONNX Runtime, and what a person does with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import SAMPLE_RATE_HZ, Embedding, Frames, Waveform
from metaser.runtime.audio import check_array
from metaser.runtime.bundle import Bundle, open_bundle, read_tensors
from metaser.runtime.calibration import Evidence, calibrate
from metaser.runtime.cross_fitting import cross_fit
from metaser.runtime.decision import Decision, cosines, decide, score, unit
from metaser.runtime.embedded import EmbeddedClips, embed_clips
from metaser.runtime.enrolment import Progress, Support, SupportClip, read_others, read_support
from metaser.runtime.errors import (
    AudioError,
    BundleError,
    InputError,
    MissingDependencyError,
    ProfileError,
    SupportError,
)
from metaser.runtime.profile import Clip, Profile, check_others
from metaser.runtime.reenrolment import FoundClips, find_clips
from metaser.runtime.session import ENCODER_NAMES, HEAD_NAMES, choose_providers, open_session, run
from metaser.runtime.stream import Stream, StreamSettings

if TYPE_CHECKING:
    import onnxruntime

SAME_PRECISION_COSINE = 0.98
"""Embeddings of one clip by two exports of a model agree at least this well, or the device computes wrongly."""

FP32_TOLERANCE = 1e-3
"""Largest difference to the golden vectors, relative to their largest value, on any fp32 device."""


@dataclass(frozen=True)
class Verification:
    """How this device reproduces a bundle's golden vectors."""

    frames_max_difference: float
    """Relative to the largest absolute value of the reference."""

    embedding_cosine: float
    passed: bool


class Engine:
    """A bundle's graphs on one provider; it holds no state of a clip, so threads and streams may share it."""

    def __init__(
        self, bundle: Bundle, encoder: onnxruntime.InferenceSession, head: onnxruntime.InferenceSession, provider: str
    ) -> None:
        self.bundle = bundle
        self.provider = provider
        self._encoder = encoder
        self._head = head
        self._head_inputs = {f"parameter.{name}": value for name, value in bundle.head_parameters.items()}
        taken = {given.name for given in head.get_inputs()}
        self._head_inputs = {name: value for name, value in self._head_inputs.items() if name in taken}

    @classmethod
    def open(cls, bundle: str | Path | None = None, *, provider: str = "auto", threads: int | None = None) -> Engine:
        """Open a bundle by folder or shipped name (None: the shipped default) on a provider, all checks made.

        Raises:
            NotFoundError: there is no such bundle.
            BundleError: a check of the bundle failed.
            InputError: an unknown provider, or `threads` below 1.
            MissingDependencyError: onnxruntime or the provider is not on this machine.
        """
        opened = open_bundle(bundle)
        candidates = choose_providers(provider, opened.manifest.providers, opened.manifest.precision)
        for chosen in candidates[:-1]:  # only `auto` has more than one
            with suppress(MissingDependencyError):
                return cls._on(opened, chosen, threads)
        return cls._on(opened, candidates[-1], threads)

    @classmethod
    def _on(cls, bundle: Bundle, provider: str, threads: int | None) -> Engine:
        encoder = open_session(bundle.folder / "encoder.onnx", provider, threads, ENCODER_NAMES)
        head = open_session(bundle.folder / "head.onnx", provider, threads, HEAD_NAMES)
        return cls(bundle, encoder, head, provider)

    @property
    def min_samples(self) -> int:
        """The shortest clip that gives a frame."""
        return self.bundle.manifest.audio.receptive_field_samples

    @property
    def max_samples(self) -> int:
        """The longest clip that is embedded in one piece."""
        return int(self.bundle.manifest.audio.max_window_s * SAMPLE_RATE_HZ)

    def frames(self, waveform: Waveform) -> Frames:
        """Float32 [T] at 16 kHz -> [N, D], the encoder's output for one window of at most `max_samples`."""
        if not self.min_samples <= len(waveform) <= self.max_samples:
            raise AudioError(
                f"a window of {len(waveform)} samples: the encoder takes {self.min_samples} to {self.max_samples}"
            )
        feeds = {"input_values": waveform[None], "input_lengths": np.array([len(waveform)], np.int64)}
        frames: Frames = run(self._encoder, "last_hidden_state", feeds)[0]  # of [1, N, D]
        return frames

    def pool(self, frames: Frames) -> Embedding:
        """[N, D] frames -> [E] by the pooling head."""
        feeds = {"frames": frames[None], "frame_mask": np.ones((1, len(frames)), np.float32), **self._head_inputs}
        embedding: Embedding = run(self._head, "embedding", feeds)[0]  # of [1, E]
        return embedding

    def embed(self, waveform: Waveform) -> Embedding:
        """Float32 [T] at 16 kHz -> [E], not normalised; longer clips are cut in equal windows and averaged.

        Raises:
            AudioError: the clip is shorter than one frame of the encoder.
        """
        if len(waveform) < self.min_samples:
            raise AudioError(
                f"a clip of {len(waveform)} samples is too short: the model needs {self.min_samples} "
                f"({1000 * self.min_samples / SAMPLE_RATE_HZ:.0f} ms), and a second or more works best"
            )
        windows = np.array_split(waveform, math.ceil(len(waveform) / self.max_samples))
        embeddings = np.stack([self.pool(self.frames(window)) for window in windows])
        mean: npt.NDArray[np.float32] = embeddings.mean(axis=0)
        return mean

    def enroll(self, support: Support, *, progress: Progress | None = None) -> Profile:
        """Embed a support set, `support/<label>/clips` or {label: [waveforms]}, into a profile.

        Raises:
            NotFoundError: there is no such folder.
            SupportError: fewer than two classes, a class without clips, or one recording in two classes.
            AudioError: clips that cannot be used; nothing is enrolled.
        """
        return self.new_profile(self.embed_support(support, progress=progress).checked())

    def embed_support(
        self, support: Support, *, min_classes: int = 2, progress: Progress | None = None
    ) -> EmbeddedClips:
        """Embed and measure the clips of a support set; those that cannot be used are told, not raised.

        Raises:
            NotFoundError, SupportError: as `enroll`.
        """
        return embed_clips(read_support(support, min_classes=min_classes), self.embed, progress)

    def new_profile(self, support: EmbeddedClips) -> Profile:
        """A calibrated profile of these clips."""
        manifest = self.bundle.manifest
        return self.calibrate(
            Profile(
                model_id=manifest.model_id,
                graph_id=manifest.graph_id,
                bundle_name=manifest.name,
                calibration=manifest.calibration,
                clips=support.clips,
                embeddings=support.embeddings,
            )
        )

    def calibrate(
        self, profile: Profile, *, false_accepts: float | None = None, others: EmbeddedClips | None = None
    ) -> Profile:
        """The profile with temperature and thresholds from its own clips, left out in turn.

        Parameters:
            false_accepts: the wanted share of clips of no enrolled class that get a label; None refuses only answers
                of little confidence.
            others: other speech and noise, instead of what the profile holds of it.

        Raises:
            InputError: `false_accepts` is not between 0 and 1.
            SupportError: a clip of the other speech is enrolled.
        """
        if false_accepts is not None and not 0 < false_accepts < 1:
            raise InputError(f"a false-accept rate of {false_accepts:g}: give one between 0 and 1, such as 0.05")
        if others is not None:
            check_others(others.clips, profile)
            profile = replace(profile, others=others.clips, other_embeddings=others.embeddings)
        embedded = profile.other_embeddings
        calibration, reliability = calibrate(
            Evidence(
                fitted=cross_fit(profile.embeddings, profile.targets),
                shots=float(np.median(np.bincount(profile.targets))),
                others=np.zeros(0) if embedded is None else cosines(embedded, profile.prototypes).max(axis=1),
                scale=self.bundle.scale,
                base=self.bundle.manifest.calibration,
                prior=self.bundle.manifest.prior,
            ),
            false_accepts,
        )
        return replace(profile, calibration=calibration, reliability=reliability)

    def add(self, profile: Profile, support: EmbeddedClips) -> Profile:
        """The profile with more clips, calibrated again.

        Raises:
            SupportError: a recording is enrolled in another class.
        """
        wanted = profile.reliability.wanted_false_accepts
        return self.calibrate(profile.with_clips(support.clips, support.embeddings), false_accepts=wanted)

    def remove(self, profile: Profile, what: str) -> Profile:
        """The profile without `LABEL`, or without one clip of it, `LABEL/CLIP`, calibrated again.

        Raises:
            SupportError: there is no such class or clip, or fewer than two classes would be left.
        """
        return self.calibrate(profile.without(what), false_accepts=profile.reliability.wanted_false_accepts)

    def reenroll(self, profile: Profile, found: FoundClips, *, progress: Progress | None = None) -> Profile:
        """A profile of this bundle from the clips of another's, at the places where they were found.

        Other speech and noise is embedded again where its files are still there, and left out where not.

        Raises:
            SupportError: fewer than two classes are left.
            AudioError: a clip cannot be used by this bundle.
        """
        if len({clip.label for clip in found.clips}) < 2:
            raise SupportError("clips of fewer than two classes were found: enrol again from a folder of clips")
        renewed = self.new_profile(self._embed_files(found.clips, progress))
        still_there = find_clips(profile.others).clips
        others = self._embed_files(still_there, None) if still_there else None
        return self.calibrate(renewed, false_accepts=profile.reliability.wanted_false_accepts, others=others)

    def _embed_files(self, clips: Sequence[Clip], progress: Progress | None) -> EmbeddedClips:
        return embed_clips([SupportClip(clip) for clip in clips], self.embed, progress).checked()

    def embed_others(self, folder: str | Path, *, progress: Progress | None = None) -> EmbeddedClips:
        """Embed other speech and noise for `calibrate`; what cannot be used is told, not raised.

        Raises:
            NotFoundError, SupportError: there is no such folder, or no audio in it.
        """
        return embed_clips(read_others(folder), self.embed, progress)

    def open_profile(self, path: str | Path, *, accept_precision: bool = False) -> Profile:
        """Load a profile that this bundle made; `accept_precision` takes one of the same model in another precision.

        Raises:
            NotFoundError: there is no such file.
            ProfileError: the profile is damaged, too new, or of another model or precision.
        """
        profile = Profile.load(path)
        manifest = self.bundle.manifest
        if profile.model_id != manifest.model_id or profile.embeddings.shape[1] != manifest.head.embedding_size:
            raise ProfileError(
                f"{path} was made with the bundle {profile.bundle_name} and this is {manifest.name}, another model: "
                "renew it with `metaser reenroll`, or give the old one with --bundle"
            )
        if profile.graph_id != manifest.graph_id and not accept_precision:
            raise ProfileError(
                f"{path} was made with {profile.bundle_name}, another export of the same model as {manifest.name}: "
                "renew it with `metaser reenroll`, or pass --accept-precision"
            )
        return profile

    def classify(self, waveform: Waveform, profile: Profile) -> Decision:
        """Label one clip, float32 [T] at 16 kHz.

        Raises:
            AudioError: the clip is empty, silent, clipped, not finite, too short or too long.
        """
        return self.decide(self.embed(check_array(waveform, "the clip")), profile)

    def decide(self, embedding: Embedding, profile: Profile) -> Decision:
        """Label one embedding [E]."""
        return decide(self.scores(embedding, profile), profile.labels, profile.calibration)

    def scores(self, embedding: Embedding, profile: Profile) -> npt.NDArray[np.float64]:
        """[E] -> [C], the probability of each label; they sum to nearly 0 where the clip resembles no class."""
        rows = score(cosines(embedding[None], profile.prototypes), self.bundle.scale, profile.calibration)  # [1, C]
        scores: npt.NDArray[np.float64] = rows[0]
        return scores

    def stream(
        self, profile: Profile, *, sample_rate_hz: int = SAMPLE_RATE_HZ, settings: StreamSettings | None = None
    ) -> Stream:
        """A new stream; it owns all its state, so one engine serves many."""
        return Stream(
            embed_scores=lambda window: self.scores(self.embed(window), profile),
            labels=profile.labels,
            calibration=profile.calibration,
            sample_rate_hz=sample_rate_hz,
            settings=settings or StreamSettings(),
        )

    def verify(self) -> Verification:
        """Run the bundle's golden waveform on this device and compare with the reference vectors.

        Raises:
            BundleError: the golden vectors do not fit the graphs.
        """
        golden = read_tensors(self.bundle.folder / "golden.safetensors")
        if set(golden) != {"waveform", "frames", "embedding"}:
            raise BundleError("golden.safetensors holds other tensors than it must: export the bundle again")
        frames = self.frames(golden["waveform"])
        if {name: golden[name].shape for name in ("frames", "embedding")} != {
            "frames": frames.shape,
            "embedding": (self.bundle.manifest.head.embedding_size,),
        }:
            raise BundleError("golden.safetensors does not fit the graphs: export the bundle again")
        embedding = self.pool(frames)
        difference = float(np.abs(frames - golden["frames"]).max() / np.abs(golden["frames"]).max())
        cosine = float(unit(embedding) @ unit(golden["embedding"]))
        exact = difference <= FP32_TOLERANCE or self.bundle.manifest.precision != "fp32"
        return Verification(difference, cosine, passed=exact and cosine >= SAME_PRECISION_COSINE)
