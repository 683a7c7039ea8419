"""A model: a bundle's encoder and pooling head in ONNX Runtime, from waveforms to frames and embeddings."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import numpy.typing as npt

from metaser.runtime.arguments import check
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Embedding, Embeddings, Frames, HeadParameters, Waveform
from metaser.runtime.bundles.bundle import Bundle, golden_vectors, open_bundle
from metaser.runtime.errors import AudioError, BundleError, InputError, MissingDependencyError, WorkError
from metaser.runtime.model.pooling_head import PoolingHead
from metaser.runtime.providers.session import (
    ENCODER_NAMES,
    HEAD_NAMES,
    check_finite,
    choose_providers,
    open_session,
    run,
)
from metaser.runtime.providers.static_window import StaticEncoder, has_static_window
from metaser.runtime.system.given_path import given_path
from metaser.runtime.words import counted

if TYPE_CHECKING:
    import onnxruntime

    from metaser.runtime.tensorrt.engine_cache import EngineCache, Notify


class Model:
    """A bundle's graphs on one provider; it holds no state of a clip, so threads may share it."""

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
        self._encoder = encoder
        self._static = StaticEncoder(encoder) if has_static_window(encoder) else None
        self._head = PoolingHead(head, bundle.head_parameters, bundle.manifest.head.embedding_size)

    @classmethod
    def open(  # noqa: PLR0913 # a bundle, and where and how it runs
        cls,
        bundle: str | Path | None = None,
        *,
        provider: str = "auto",
        threads: int | None = None,
        workers: int = 1,
        cache: Path | None = None,
        notify: Notify | None = None,
    ) -> Model:
        """Open a bundle on a provider and check it, as `Engine.open`.

        Raises:
            NotFoundError, BundleError, InputError, MissingDependencyError: as `Engine.open`.
        """
        check(provider=provider, threads=threads, workers=workers, notify=notify)
        cache = None if cache is None else given_path(cache, "the cache")
        opened = open_bundle(bundle)
        candidates = choose_providers(provider, opened.manifest.providers, opened.manifest.precision)

        def engines() -> EngineCache:
            from metaser.runtime.system.user_folders import cache_folder
            from metaser.runtime.tensorrt.engine_cache import EngineCache, print_nothing

            return EngineCache(cache or cache_folder() / "engines", notify or print_nothing)

        model = cls._on_first(opened, candidates, threads, engines)
        model.workers = workers if model.provider == "cpu" else 1
        return model

    @classmethod
    def _on_first(
        cls, bundle: Bundle, providers: list[str], threads: int | None, engines: Callable[[], EngineCache]
    ) -> Model:
        """The model on the first provider that starts; only `auto` names more than one."""
        for provider in providers[:-1]:
            with suppress(MissingDependencyError):
                return cls._on(bundle, provider, threads, engines)
        return cls._on(bundle, providers[-1], threads, engines)

    @classmethod
    def _on(cls, bundle: Bundle, provider: str, threads: int | None, engines: Callable[[], EngineCache]) -> Model:
        if provider == "cpu":
            return cls._open(bundle, provider, threads, engines)
        from tempfile import TemporaryDirectory

        from metaser.runtime.providers.check import check_profile

        with TemporaryDirectory(prefix="metaser-") as folder:  # profiles of one run, which prove what ran where
            model = cls._open(bundle, provider, threads, engines, Path(folder))
            try:
                model.pool(model.frames(golden_vectors(bundle)["waveform"]))
            except WorkError as error:
                name = bundle.manifest.name
                raise MissingDependencyError(f"provider {provider} cannot run {name}: {error}") from error
            for session, graph in ((model._encoder, "the encoder"), (model._head.session, "the head")):
                check_profile(Path(session.end_profiling()), session.get_providers()[0], graph)
        return model

    @classmethod
    def _open(
        cls,
        bundle: Bundle,
        provider: str,
        threads: int | None,
        engines: Callable[[], EngineCache],
        profiles: Path | None = None,
    ) -> Model:
        profile = profiles and profiles / "encoder"
        if provider == "tensorrt":
            from metaser.runtime.tensorrt.tensorrt import open_tensorrt_encoder

            encoder = open_tensorrt_encoder(bundle, threads, engines(), profile)
        else:
            encoder = open_session(bundle.folder / "encoder.onnx", provider, threads, ENCODER_NAMES, profile=profile)
        head = open_session(
            bundle.folder / "head.onnx",
            "cpu" if provider == "tensorrt" else provider,  # the head is small and takes any length
            threads,
            HEAD_NAMES,
            profile=profiles and profiles / "head",
        )
        return cls(bundle, encoder, head, provider, threads)

    def __reduce__(self) -> NoReturn:
        """Refuse pickling and copying.

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
            BundleError: the encoder's output differs in shape from the manifest.
            WorkError: the run failed, or gave numbers that are not finite.
        """
        if not self.min_samples <= len(waveform) <= self.max_samples:
            raise AudioError(
                f"a window of {counted(len(waveform), 'sample')}: the encoder takes {self.min_samples} to "
                f"{self.max_samples}"
            )
        if self._static:
            return self._checked(self._static.frames(waveform)[None])
        feeds = {"input_values": waveform[None], "input_lengths": np.array([len(waveform)], np.int64)}
        return self._checked(run(self._encoder, "last_hidden_state", feeds))

    def _checked(self, frames: npt.NDArray[np.float32]) -> Frames:
        """[1, N, D] -> [N, D]; the graph of another bundle may give another shape."""
        width = self.bundle.manifest.backbone.width
        if frames.ndim != 3 or len(frames) != 1 or not frames.shape[1] or frames.shape[2] != width:
            raise BundleError(f"the encoder gives {frames.shape}, not (1, N, {width}): export the bundle again")
        check_finite(frames, "the output of the encoder")
        return frames[0]

    def pool(self, frames: Frames, head: HeadParameters | None = None) -> Embedding:
        """[N, D] frames -> [E] by the bundle's pooling head, or with other parameters."""
        return self.pool_batch(frames[None], np.ones((1, len(frames)), np.float32), head)[0]

    def pool_batch(
        self, frames: npt.NDArray[np.float32], frame_mask: npt.NDArray[np.float32], head: HeadParameters | None = None
    ) -> Embeddings:
        """[B, N, D] frames and [B, N], 0 for padding -> [B, E]."""
        return self._head.pool(frames, frame_mask, head)

    def embed(self, waveform: Waveform, head: HeadParameters | None = None) -> Embedding:
        """Float32 [T] at 16 kHz, already checked -> [E], not normalised; longer clips in equal windows, averaged.

        Raises:
            AudioError: the clip is shorter than one frame of the encoder.
        """
        if len(waveform) < self.min_samples:
            raise AudioError(
                f"a clip of {counted(len(waveform), 'sample')} is too short: the model needs {self.min_samples} "
                f"({1000 * self.min_samples / SAMPLE_RATE_HZ:.0f} ms), and a second or more works best"
            )
        windows = np.array_split(waveform, math.ceil(len(waveform) / self.max_samples))
        embeddings = np.stack([self.pool(self.frames(window), head) for window in windows])
        return embeddings.mean(axis=0)
