"""The engine: a bundle's graphs in ONNX Runtime, and what a person does with them.

What only some verbs need is imported by them, since most of the time of labelling one clip by a command is imports.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import SAMPLE_RATE_HZ, Embedding, Embeddings, Frames, Waveform
from metaser.runtime.audio import at_16_khz, check_array
from metaser.runtime.audio_checks import check_samples
from metaser.runtime.bundle import Bundle, open_bundle
from metaser.runtime.cores import best_threads
from metaser.runtime.decision import Decision, cosines, decide, score
from metaser.runtime.errors import (
    AudioError,
    BundleError,
    InputError,
    InputWarning,
    MissingDependencyError,
    ProfileError,
    WorkError,
)
from metaser.runtime.pooling_head import PoolingHead
from metaser.runtime.profile import Profile
from metaser.runtime.profile_fit import check_fits
from metaser.runtime.samples import as_samples, check_rate
from metaser.runtime.session import ENCODER_NAMES, HEAD_NAMES, check_finite, choose_providers, open_session, run
from metaser.runtime.speech import speech_in
from metaser.runtime.static_window import StaticEncoder, has_static_window
from metaser.runtime.turns import Turns

if TYPE_CHECKING:
    import onnxruntime

    from metaser.runtime.embedded import EmbeddedClips
    from metaser.runtime.engine_cache import EngineCache, Say
    from metaser.runtime.enrolment import Progress, Support
    from metaser.runtime.head_tuning import AdaptationSettings, Parameters
    from metaser.runtime.profile_adaptation import Adapted
    from metaser.runtime.stream import Stream
    from metaser.runtime.stream_settings import StreamSettings
    from metaser.runtime.verification import Verification


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
        self.workers = 1
        self._turns = Turns(max(1, best_threads() // (threads or best_threads())))  # of streams, see `stream`
        self._encoder = encoder
        self._static = StaticEncoder(encoder) if has_static_window(encoder) else None
        self._head = PoolingHead(head, bundle.head_parameters, bundle.manifest.head.embedding_size)

    @classmethod
    def open(  # noqa: PLR0913 # a bundle, and where and how it is to run
        cls,
        bundle: str | Path | None = None,
        *,
        provider: str = "auto",
        threads: int | None = None,
        workers: int = 1,
        cache: Path | None = None,
        say: Say | None = None,
    ) -> Engine:
        """Open a bundle by folder or shipped name (None: the shipped default) on a provider, all checks made.

        TensorRT, which `auto` never means, builds its engine for this device first, for minutes; it is kept in `cache`
        (None: the user's own), and `say` hears how that goes.

        Parameters:
            threads: that compute one clip; None: one per core that the process may use.
            workers: clips of a support set that are embedded at once on a CPU, each by `threads`. With one thread and
                a worker per core a support set takes the least time.

        Raises:
            NotFoundError: there is no such bundle.
            BundleError: a check of the bundle failed.
            InputError: an unknown provider, `threads` or `workers` below 1, or TensorRT and a bundle without its graph.
            MissingDependencyError: onnxruntime or the provider is not on this machine.
        """
        if workers < 1:
            raise InputError(f"workers is {workers}: give 1 or more")
        opened = open_bundle(bundle)
        candidates = choose_providers(provider, opened.manifest.providers, opened.manifest.precision)

        def engines() -> EngineCache:
            from metaser.runtime.engine_cache import EngineCache, print_nothing
            from metaser.runtime.user_folders import cache_folder

            return EngineCache(cache or cache_folder() / "engines", say or print_nothing)

        engine = cls._on_first(opened, candidates, threads, engines)
        engine.workers = workers if engine.provider == "cpu" else 1
        return engine

    @classmethod
    def _on_first(
        cls, bundle: Bundle, providers: list[str], threads: int | None, engines: Callable[[], EngineCache]
    ) -> Engine:
        """On the first provider that starts; only `auto` names more than one."""
        for provider in providers[:-1]:
            with suppress(MissingDependencyError):
                return cls._on(bundle, provider, threads, engines)
        return cls._on(bundle, providers[-1], threads, engines)

    @classmethod
    def _on(cls, bundle: Bundle, provider: str, threads: int | None, engines: Callable[[], EngineCache]) -> Engine:
        if provider == "cpu":
            return cls._open(bundle, provider, threads, engines)
        from tempfile import TemporaryDirectory

        from metaser.runtime.provider_check import check_profile
        from metaser.runtime.verification import golden_vectors

        with TemporaryDirectory(prefix="metaser-") as folder:  # the profiles of one run, which prove who ran it
            engine = cls._open(bundle, provider, threads, engines, Path(folder))
            try:
                engine.pool(engine.frames(golden_vectors(bundle)["waveform"]))
            except WorkError as error:
                name = bundle.manifest.name
                raise MissingDependencyError(f"provider {provider} cannot run {name}: {error}") from error
            for session, graph in ((engine._encoder, "the encoder"), (engine._head.session, "the head")):
                check_profile(Path(session.end_profiling()), session.get_providers()[0], graph)
        return engine

    @classmethod
    def _open(
        cls,
        bundle: Bundle,
        provider: str,
        threads: int | None,
        engines: Callable[[], EngineCache],
        profiles: Path | None = None,
    ) -> Engine:
        profile = profiles and profiles / "encoder"
        if provider == "tensorrt":
            from metaser.runtime.tensorrt import open_tensorrt_encoder

            encoder = open_tensorrt_encoder(bundle, threads, engines(), profile)
        else:
            encoder = open_session(bundle.folder / "encoder.onnx", provider, threads, ENCODER_NAMES, profile=profile)
        head = open_session(
            bundle.folder / "head.onnx",
            "cpu" if provider == "tensorrt" else provider,  # the head is small, and takes any length
            threads,
            HEAD_NAMES,
            profile=profiles and profiles / "head",
        )
        return cls(bundle, encoder, head, provider, threads)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled and copied.

        Raises:
            InputError: always.
        """
        raise InputError(
            "an engine can neither be pickled nor copied: call Engine.open in each process; threads may share one"
        )

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
        """Float32 [T] at 16 kHz -> [N, D], the encoder's output for one window of at most `max_samples`.

        Raises:
            AudioError: the window is too short or too long.
            BundleError: the encoder gives another shape than the manifest states.
            WorkError: the run failed, or gave numbers that are not finite.
        """
        if not self.min_samples <= len(waveform) <= self.max_samples:
            raise AudioError(
                f"a window of {len(waveform)} samples: the encoder takes {self.min_samples} to {self.max_samples}"
            )
        if self._static:
            return self._checked(self._static.frames(waveform)[None])
        feeds = {"input_values": waveform[None], "input_lengths": np.array([len(waveform)], np.int64)}
        return self._checked(run(self._encoder, "last_hidden_state", feeds))

    def _checked(self, frames: npt.NDArray[np.float32]) -> Frames:
        """[1, N, D], or whatever a graph gives that is not the bundle's -> [N, D]."""
        width = self.bundle.manifest.backbone.width
        if frames.ndim != 3 or len(frames) != 1 or not frames.shape[1] or frames.shape[2] != width:
            raise BundleError(f"the encoder gives {frames.shape} and not (1, N, {width}): export the bundle again")
        check_finite(frames, "the output of the encoder")
        found: Frames = frames[0]
        return found

    def pool(self, frames: Frames, head: Parameters | None = None) -> Embedding:
        """[N, D] frames -> [E] by the bundle's pooling head, or by one with other parameters."""
        embedding: Embedding = self.pool_batch(frames[None], np.ones((1, len(frames)), np.float32), head)[0]
        return embedding

    def pool_batch(
        self, frames: npt.NDArray[np.float32], frame_mask: npt.NDArray[np.float32], head: Parameters | None = None
    ) -> Embeddings:
        """[B, N, D] frames and [B, N], 0 for padding -> [B, E]."""
        return self._head.pool(frames, frame_mask, head)

    def embed(
        self, waveform: npt.ArrayLike, profile: Profile | None = None, *, sample_rate_hz: int = SAMPLE_RATE_HZ
    ) -> Embedding:
        """Float [T] or int16 -> [E], not normalised; longer clips are cut in equal windows and averaged.

        With a profile whose head was tuned, by that head. Pauses are not left out, as they are by `classify`.

        Parameters:
            sample_rate_hz: of the waveform, which is resampled to 16 kHz.

        Raises:
            AudioError: no [T] floats or int16, not finite, out of range, or shorter than one frame of the encoder.
            InputError: the sample rate is no whole number above 0.
        """
        rate_hz = check_rate(sample_rate_hz)
        samples = as_samples(waveform, "the clip")
        check_samples(samples, "the clip")
        return self.embed_checked(at_16_khz(samples, rate_hz), profile)

    def embed_checked(self, waveform: Waveform, profile: Profile | None = None) -> Embedding:
        """Float32 [T] at 16 kHz -> [E], as `embed`, of a clip that was checked when it was read.

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

    def enroll(
        self, support: Support, *, sample_rate_hz: int = SAMPLE_RATE_HZ, progress: Progress | None = None
    ) -> Profile:
        """Embed a support set, `support/<label>/clips` or {label: [waveforms]}, into a profile.

        Labels are text, without outer white space. An InputWarning names files that are left out, clips that are not
        whole, and labels that look alike.

        Parameters:
            sample_rate_hz: of the waveforms, which are resampled to 16 kHz. Files state their own rate: with a folder
                any other value than 16 000 is refused.

        Raises:
            NotFoundError: there is no such folder.
            InputError: the sample rate is no whole number above 0, or was given for a folder.
            SupportError: neither a folder nor {label: [waveforms]}, fewer than two classes, a class without clips, one
                recording in two classes, or a label that is no text, is empty or is `unknown`.
            AudioError: clips that cannot be used; nothing is enrolled.
        """
        from metaser.runtime.labels import look_alikes
        from metaser.runtime.profile_changes import new_profile
        from metaser.runtime.recordings import summary

        read = self.embed_support(support, sample_rate_hz=sample_rate_hz, progress=progress).checked()
        for line in (*read.notices, *look_alikes(clip.label for clip in read.clips), *summary(read.left_out)):
            warnings.warn(line, InputWarning, stacklevel=2)
        return new_profile(self, read)

    def embed_support(
        self,
        support: Support,
        *,
        min_classes: int = 2,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        progress: Progress | None = None,
    ) -> EmbeddedClips:
        """Embed and measure the clips of a support set; those that cannot be used are reported, not raised.

        Raises:
            NotFoundError, InputError: as `enroll`.
        """
        from metaser.runtime.embedded import embed_clips
        from metaser.runtime.enrolment import read_support

        found = read_support(support, min_classes=min_classes, sample_rate_hz=sample_rate_hz)
        read = embed_clips(found.clips, self.embed_checked, progress, self.workers)
        return replace(read, left_out=found.left_out, notices=(*found.notices, *read.notices))

    def adapt(  # noqa: PLR0913 # the clips, their rate, and three options
        self,
        profile: Profile,
        support: Support | None = None,
        *,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        force: bool = False,
        settings: AdaptationSettings | None = None,
        progress: Progress | None = None,
    ) -> Adapted:
        """Tune the head on a profile's clips; kept only where clips that were left out gain, or by `force`.

        Parameters:
            support: the arrays that were enrolled; files are read from where they were enrolled.
            sample_rate_hz: that with which the arrays were enrolled.
            settings: in place of those of the bundle's manifest.

        Raises:
            SupportError: a file is no longer there, or a class has a single clip and tuning is not forced.
            BundleError: the bundle cannot be tuned.
        """
        from metaser.runtime.profile_adaptation import adapt_profile, enrolled_arrays

        samples = enrolled_arrays(support, sample_rate_hz)
        return adapt_profile(self, profile, samples, force=force, settings=settings, progress=progress)

    def calibrate(
        self, profile: Profile, *, false_accepts: float | None = None, others: EmbeddedClips | None = None
    ) -> Profile:
        """The profile with temperature and thresholds from its own clips, left out in turn.

        Parameters:
            false_accepts: the wanted share of clips of no enrolled class that get a label; None refuses only answers
                of little confidence.
            others: other speech and noise by `profile_changes.embed_others`, instead of what the profile holds of it.

        Raises:
            InputError: `false_accepts` is not between 0 and 1.
            SupportError: a clip of the other speech is enrolled.
        """
        from metaser.runtime.profile_changes import calibrate_profile

        return calibrate_profile(self, profile, false_accepts=false_accepts, others=others)

    def add(self, profile: Profile, support: EmbeddedClips) -> Profile:
        """The profile with more clips, calibrated again; a tuned head is dropped.

        Raises:
            SupportError: a recording is enrolled in another class.
        """
        from metaser.runtime.profile_changes import settle

        return settle(self, profile.with_clips(support.clips, support.embeddings), profile)

    def remove(self, profile: Profile, what: str) -> Profile:
        """The profile without `LABEL`, or one clip of it, `LABEL/CLIP`, calibrated again; a tuned head is dropped.

        Raises:
            SupportError: there is no such class or clip, or fewer than two classes would be left.
        """
        from metaser.runtime.profile_changes import settle

        return settle(self, profile.without(what), profile)

    def open_profile(self, path: str | Path, *, accept_precision: bool = False) -> Profile:
        """Load a profile that this bundle made; `accept_precision` takes one of the same model in another precision.

        A InputWarning names a class that is called as the answer for no class, which profiles of before may have.

        Raises:
            NotFoundError: there is no such file.
            ProfileError: the profile is damaged, too new, or of another model or precision.
        """
        from metaser.runtime.labels import is_unknown

        profile = Profile.load(path)
        check_fits(profile, self.bundle.manifest, path, accept_precision=accept_precision)
        for label in filter(is_unknown, profile.labels):
            warnings.warn(
                f"{path} has a class called {label}, which looks like the answer when a clip resembles no class: "
                "enrol it again under another name",
                InputWarning,
                stacklevel=1,  # one place, so that opening it twice says it once
            )
        return profile

    def classify(self, waveform: npt.ArrayLike, profile: Profile, *, sample_rate_hz: int = SAMPLE_RATE_HZ) -> Decision:
        """Label one clip, float [T] or int16, by its speech: pauses at its ends are left out as at enrolment.

        Parameters:
            sample_rate_hz: of the waveform, which is resampled to 16 kHz.

        Raises:
            AudioError: no [T] floats or int16, empty, silent, clipped, not finite, out of range, too short or too long.
            InputError: the sample rate is no whole number above 0.
            ProfileError: `profile` is no profile, or one of another model.
        """
        self._check_profile(profile)
        clip = check_array(waveform, "the clip", sample_rate_hz)
        return self.decide(self.embed_checked(speech_in(clip), profile), profile)

    def decide(self, embedding: Embedding, profile: Profile) -> Decision:
        """Label one embedding [E] of `embed(waveform, profile)`."""
        return decide(self.scores(embedding, profile), profile.labels, profile.calibration)

    def scores(self, embedding: Embedding, profile: Profile) -> npt.NDArray[np.float64]:
        """[E] of `embed(waveform, profile)` -> [C], the probability of each of the profile's labels.

        They sum to nearly 0 where the clip resembles no class.
        """
        rows = score(cosines(embedding[None], profile.prototypes), self.scale(profile), profile.calibration)  # [1, C]
        scores: npt.NDArray[np.float64] = rows[0]
        return scores

    def scale(self, profile: Profile) -> float:
        """The factor on cosines of the head in force, a profile's tuned one or the bundle's."""
        return profile.tuned.scale if profile.tuned else self.bundle.scale

    def stream(
        self,
        profile: Profile,
        *,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        settings: StreamSettings | None = None,
        live: bool = False,
    ) -> Stream:
        """A new stream; it owns all its state, so one engine serves many, each in a thread of its own if you like.

        The streams of an engine take turns at the processor. For many, open the engine with `threads=1`: then as many
        windows are computed at once as there are cores. A `live` stream never falls behind: it leaves out late windows
        and widens its hop while the model, or the wait for a turn, takes too long.

        Raises:
            InputError: the sample rate is no whole number above 0.
            ProfileError: `profile` is no profile, or one of another model.
        """
        from metaser.runtime.stream import Stream
        from metaser.runtime.stream_settings import StreamSettings

        self._check_profile(profile)

        def embed_scores(window: Waveform) -> npt.NDArray[np.float64]:
            with self._turns:
                return self.scores(self.embed_checked(window, profile), profile)

        return Stream(
            embed_scores=embed_scores,
            labels=profile.labels,
            calibration=profile.calibration,
            sample_rate_hz=sample_rate_hz,
            settings=settings or StreamSettings(),
            live=live,
        )

    def _check_profile(self, profile: Profile) -> None:
        """Raise ProfileError unless the engine's model made this profile, in whatever precision."""
        if not isinstance(profile, Profile):
            kind = type(profile).__name__
            raise ProfileError(f"the profile is a {kind}: make one with Engine.enroll or Engine.open_profile(path)")
        check_fits(profile, self.bundle.manifest, "the profile", accept_precision=True)

    def verify(self) -> Verification:
        """Run the bundle's golden waveform on this device and compare with the reference vectors.

        Raises:
            BundleError: the golden vectors do not fit the graphs.
        """
        from metaser.runtime.verification import verify_engine

        return verify_engine(self)
