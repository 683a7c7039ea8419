"""The engine: a bundle's graphs in ONNX Runtime, and what a person does with them."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from platformdirs import user_cache_path

from metaser.runtime.arrays import SAMPLE_RATE_HZ, Embedding, Embeddings, Frames, Waveform
from metaser.runtime.audio import check_array
from metaser.runtime.bundle import Bundle, open_bundle, read_tensors
from metaser.runtime.decision import Decision, cosines, decide, score, unit
from metaser.runtime.embedded import EmbeddedClips, embed_clips
from metaser.runtime.engine_cache import Say, print_nothing
from metaser.runtime.enrolment import Progress, Support, read_others, read_support
from metaser.runtime.errors import (
    AudioError,
    BundleError,
    MissingDependencyError,
    ProfileError,
    WorkError,
)
from metaser.runtime.head_tuning import AdaptationSettings, Parameters
from metaser.runtime.manifest import Manifest
from metaser.runtime.profile import Profile
from metaser.runtime.profile_adaptation import Adapted, adapt_profile
from metaser.runtime.profile_calibration import calibrate_profile
from metaser.runtime.provider_check import check_profile
from metaser.runtime.reenrolment import FoundClips, reenroll_profile
from metaser.runtime.session import ENCODER_NAMES, HEAD_NAMES, PROVIDERS, choose_providers, open_session, run
from metaser.runtime.static_window import StaticEncoder, has_static_window
from metaser.runtime.stream import Stream, StreamSettings
from metaser.runtime.tensorrt import open_tensorrt_encoder
from metaser.runtime.tuned_head import TunedHead

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
        self,
        bundle: Bundle,
        encoder: onnxruntime.InferenceSession,
        head: onnxruntime.InferenceSession,
        provider: str,
        threads: int | None = None,
    ) -> None:
        self.bundle = bundle
        self.provider = provider
        self.threads = threads
        self._encoder = encoder
        self._static = StaticEncoder(encoder) if has_static_window(encoder) else None
        self._head = head
        self._head_inputs = {given.name for given in head.get_inputs()}

    @classmethod
    def open(
        cls,
        bundle: str | Path | None = None,
        *,
        provider: str = "auto",
        threads: int | None = None,
        cache: Path | None = None,
        say: Say = print_nothing,
    ) -> Engine:
        """Open a bundle by folder or shipped name (None: the shipped default) on a provider, all checks made.

        TensorRT, which `auto` never means, builds its engine for this device first, for minutes; it is kept in `cache`
        (None: the user's own), and `say` hears how that goes.

        Raises:
            NotFoundError: there is no such bundle.
            BundleError: a check of the bundle failed.
            InputError: an unknown provider, `threads` below 1, or TensorRT and a bundle without its graph.
            MissingDependencyError: onnxruntime or the provider is not on this machine.
        """
        opened = open_bundle(bundle)
        candidates = choose_providers(provider, opened.manifest.providers, opened.manifest.precision)
        if provider == "tensorrt":
            encoder = open_tensorrt_encoder(opened, threads, cache or user_cache_path("metaser") / "engines", say)
            head = open_session(opened.folder / "head.onnx", "cpu", threads, HEAD_NAMES)  # small, and of any length
            return cls(opened, encoder, head, provider, threads)
        for chosen in candidates[:-1]:  # only `auto` has more than one
            with suppress(MissingDependencyError):
                return cls._on(opened, chosen, threads)
        return cls._on(opened, candidates[-1], threads)

    @classmethod
    def _on(cls, bundle: Bundle, provider: str, threads: int | None) -> Engine:
        if provider == "cpu":
            return cls._open(bundle, provider, threads)
        with TemporaryDirectory(prefix="metaser-") as folder:  # the profiles of one run, which prove who ran it
            engine = cls._open(bundle, provider, threads, Path(folder))
            try:
                engine.pool(engine.frames(_golden(bundle)["waveform"]))
            except WorkError as error:
                name = bundle.manifest.name
                raise MissingDependencyError(f"provider {provider} cannot run {name}: {error}") from error
            for session, graph in ((engine._encoder, "encoder.onnx"), (engine._head, "head.onnx")):
                check_profile(Path(session.end_profiling()), PROVIDERS[provider], graph)
        return engine

    @classmethod
    def _open(cls, bundle: Bundle, provider: str, threads: int | None, profiles: Path | None = None) -> Engine:
        encoder, head = (
            open_session(bundle.folder / f"{name}.onnx", provider, threads, needs, profile=profiles and profiles / name)
            for name, needs in (("encoder", ENCODER_NAMES), ("head", HEAD_NAMES))
        )
        return cls(bundle, encoder, head, provider, threads)

    @property
    def min_samples(self) -> int:
        """The shortest clip that gives a frame."""
        return self.bundle.manifest.audio.receptive_field_samples

    @property
    def max_samples(self) -> int:
        """The longest clip that is embedded in one piece."""
        if self._static:
            return self._static.window_samples
        return int(self.bundle.manifest.audio.max_window_s * SAMPLE_RATE_HZ)

    def frames(self, waveform: Waveform) -> Frames:
        """Float32 [T] at 16 kHz -> [N, D], the encoder's output for one window of at most `max_samples`."""
        if not self.min_samples <= len(waveform) <= self.max_samples:
            raise AudioError(
                f"a window of {len(waveform)} samples: the encoder takes {self.min_samples} to {self.max_samples}"
            )
        if self._static:
            return self._static.frames(waveform)
        feeds = {"input_values": waveform[None], "input_lengths": np.array([len(waveform)], np.int64)}
        frames: Frames = run(self._encoder, "last_hidden_state", feeds)[0]  # of [1, N, D]
        return frames

    def pool(self, frames: Frames, head: Parameters | None = None) -> Embedding:
        """[N, D] frames -> [E] by the bundle's pooling head, or by one with other parameters."""
        embedding: Embedding = self.pool_batch(frames[None], np.ones((1, len(frames)), np.float32), head)[0]
        return embedding

    def pool_batch(
        self, frames: npt.NDArray[np.float32], frame_mask: npt.NDArray[np.float32], head: Parameters | None = None
    ) -> Embeddings:
        """[B, N, D] frames and [B, N], 0 for padding -> [B, E]."""
        parameters = {f"parameter.{name}": value for name, value in (head or self.bundle.head_parameters).items()}
        taken = {name: value for name, value in parameters.items() if name in self._head_inputs}
        return run(self._head, "embedding", {"frames": frames, "frame_mask": frame_mask, **taken})

    def embed(self, waveform: Waveform, profile: Profile | None = None) -> Embedding:
        """Float32 [T] at 16 kHz -> [E], not normalised; longer clips are cut in equal windows and averaged.

        With a profile whose head was tuned, by that head.

        Raises:
            AudioError: the clip is shorter than one frame of the encoder.
        """
        if len(waveform) < self.min_samples:
            raise AudioError(
                f"a clip of {len(waveform)} samples is too short: the model needs {self.min_samples} "
                f"({1000 * self.min_samples / SAMPLE_RATE_HZ:.0f} ms), and a second or more works best"
            )
        windows = np.array_split(waveform, math.ceil(len(waveform) / self.max_samples))
        head = profile.tuned.parameters if profile and profile.tuned else None
        embeddings = np.stack([self.pool(self.frames(window), head) for window in windows])
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
            ProfileError: its head was tuned.
        """
        return calibrate_profile(profile, self.bundle, false_accepts, others)

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
        return reenroll_profile(self, profile, found, progress)

    def embed_others(self, folder: str | Path, *, progress: Progress | None = None) -> EmbeddedClips:
        """Embed other speech and noise for `calibrate`; what cannot be used is told, not raised.

        Raises:
            NotFoundError, SupportError: there is no such folder, or no audio in it.
        """
        return embed_clips(read_others(folder), self.embed, progress)

    def adapt(
        self,
        profile: Profile,
        support: Support | None = None,
        *,
        force: bool = False,
        settings: AdaptationSettings | None = None,
        progress: Progress | None = None,
    ) -> Adapted:
        """Tune the head on a profile's clips; kept only where clips that were left out gain, or by `force`.

        Parameters:
            support: the arrays that were enrolled; files are read from where they were enrolled.
            settings: in place of those of the bundle's manifest.

        Raises:
            SupportError: a file is no longer there, or a class has a single clip and tuning is not forced.
            BundleError: the bundle cannot be tuned.
        """
        return adapt_profile(self, profile, support, force=force, settings=settings, progress=progress)

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
        if profile.tuned and not _fits(profile.tuned, manifest):
            raise ProfileError(f"the tuned head in {path} does not fit {manifest.name}: enrol again with --adapt")
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
        return self.decide(self.embed(check_array(waveform, "the clip"), profile), profile)

    def decide(self, embedding: Embedding, profile: Profile) -> Decision:
        """Label one embedding [E] of `embed(waveform, profile)`."""
        return decide(self.scores(embedding, profile), profile.labels, profile.calibration)

    def scores(self, embedding: Embedding, profile: Profile) -> npt.NDArray[np.float64]:
        """[E] of `embed(waveform, profile)` -> [C], the probability of each label.

        They sum to nearly 0 where the clip resembles no class.
        """
        scale = profile.tuned.scale if profile.tuned else self.bundle.scale
        rows = score(cosines(embedding[None], profile.prototypes), scale, profile.calibration)  # [1, C]
        scores: npt.NDArray[np.float64] = rows[0]
        return scores

    def stream(
        self,
        profile: Profile,
        *,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        settings: StreamSettings | None = None,
        live: bool = False,
    ) -> Stream:
        """A new stream; it owns all its state, so one engine serves many, each in a thread of its own if you like.

        A `live` one never falls behind: it leaves out late windows and widens its hop while the model is too slow.
        """
        return Stream(
            embed_scores=lambda window: self.scores(self.embed(window, profile), profile),
            labels=profile.labels,
            calibration=profile.calibration,
            sample_rate_hz=sample_rate_hz,
            settings=settings or StreamSettings(),
            live=live,
        )

    def verify(self) -> Verification:
        """Run the bundle's golden waveform on this device and compare with the reference vectors.

        Raises:
            BundleError: the golden vectors do not fit the graphs.
        """
        golden = _golden(self.bundle)
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


def _golden(bundle: Bundle) -> dict[str, npt.NDArray[np.float32]]:
    golden = read_tensors(bundle.folder / "golden.safetensors")
    if set(golden) != {"waveform", "frames", "embedding"}:
        raise BundleError("golden.safetensors holds other tensors than it must: export the bundle again")
    return golden


def _fits(tuned: TunedHead, manifest: Manifest) -> bool:
    shapes = {name: list(value.shape) for name, value in tuned.parameters.items()}
    return (
        shapes == manifest.head.parameters
        and tuned.embeddings.shape[1] == manifest.head.embedding_size
        and tuned.frames.shape[1] == manifest.backbone.width
    )
