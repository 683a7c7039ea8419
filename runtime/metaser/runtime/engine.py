"""The engine: a model and every operation on it.

Methods import what only they need, because imports take most of the time of a command that labels one clip.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import numpy.typing as npt

from metaser.runtime.arguments import check, check_type
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Embedding, Waveform
from metaser.runtime.audio.checks import check_samples
from metaser.runtime.audio.load import at_16_khz, read_array
from metaser.runtime.audio.offset import without_offset
from metaser.runtime.audio.quality import noise_doubt
from metaser.runtime.audio.samples import NO_ARRAY, as_samples, check_rate
from metaser.runtime.audio.trim import doubts, utterances_in, without_pauses
from metaser.runtime.bundles.bundle import Bundle
from metaser.runtime.enrolment.fit import check_fits
from metaser.runtime.enrolment.profile import Profile
from metaser.runtime.errors import InputError, InputWarning, ProfileError, SupportError
from metaser.runtime.model.model import Model
from metaser.runtime.scoring.decision import Decision, decide, score
from metaser.runtime.stream.turns import Turns
from metaser.runtime.system.cores import best_threads
from metaser.runtime.words import kind_of

if TYPE_CHECKING:
    from metaser.runtime.enrolment.embed import EmbeddedClips
    from metaser.runtime.enrolment.evaluation import ProfileEvaluation
    from metaser.runtime.enrolment.find_clips import FoundClips
    from metaser.runtime.enrolment.report import Report
    from metaser.runtime.enrolment.support import Progress, Support
    from metaser.runtime.enrolment.tune import TunedProfile
    from metaser.runtime.model.verification import Verification
    from metaser.runtime.stream.settings import StreamSettings
    from metaser.runtime.stream.stream import Stream
    from metaser.runtime.tensorrt.engine_cache import Notify
    from metaser.runtime.tuning.head import HeadTuningSettings


class Engine:
    """A model on one provider; it holds no state of a clip, so threads and streams may share it."""

    def __init__(self, model: Model) -> None:
        check_type(model, "the model", Model, "open an engine with Engine.open(bundle)")
        self.model = model
        self._hinted: set[int] = set()  # profiles whose hint was given
        self._hinting = threading.Lock()
        self._turns = Turns(max(1, best_threads() // (model.threads or best_threads())))  # shared by streams

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
    ) -> Engine:
        """Open a bundle by folder or shipped name (None: the shipped default) on a provider, and check it.

        `auto` never chooses TensorRT, which first builds an engine for this device. That takes minutes. The engine is
        kept in `cache` (None: the user's cache folder), and `notify` is called with each line about the progress.

        Parameters:
            threads: number of threads that compute one clip; None: one per core that the process may use.
            workers: number of support clips that are embedded at once on a CPU, each with `threads`. One thread and
                one worker per core is fastest for a support set.

        Raises:
            NotFoundError: there is no such bundle.
            BundleError: a check of the bundle failed.
            InputError: an unknown provider, `threads` or `workers` not from 1 to 64, or TensorRT and a bundle without
                its graph.
            MissingDependencyError: onnxruntime or the provider is not on this machine.
        """
        return cls(Model.open(bundle, provider=provider, threads=threads, workers=workers, cache=cache, notify=notify))

    def __reduce__(self) -> NoReturn:
        """Refuse pickling and copying.

        Raises:
            InputError: always.
        """
        self.model.__reduce__()

    @property
    def bundle(self) -> Bundle:
        """The bundle that was opened."""
        return self.model.bundle

    @property
    def provider(self) -> str:
        """The provider that runs the encoder: cpu, cuda, tensorrt or openvino."""
        return self.model.provider

    def embed(
        self, waveform: npt.ArrayLike, profile: Profile | None = None, *, sample_rate_hz: int = SAMPLE_RATE_HZ
    ) -> Embedding:
        """Float [T] or int16 -> [E], not normalised; longer clips are cut into equal windows and averaged.

        A profile with a tuned head uses that head. Unlike `classify`, this neither removes pauses nor refuses or doubts
        a clip that is silent, clipped, too short or without speech.

        Parameters:
            sample_rate_hz: rate of the waveform, which is resampled to 16 kHz.

        Raises:
            AudioError: not [T] floats or int16, not finite, out of range, or shorter than one frame of the encoder.
            InputError: the sample rate is not a whole number above 0.
            ProfileError: `profile` is not a profile, or is of another model.
        """
        if profile is not None:
            self._check_profile(profile)
        rate_hz = check_rate(sample_rate_hz)
        samples = as_samples(waveform, "the clip")
        check_samples(samples, "the clip")
        return self.model.embed(without_offset(at_16_khz(samples, rate_hz)), None if profile is None else profile.head)

    def enroll(
        self,
        support: Support,
        *,
        groups: bool = False,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        progress: Progress | None = None,
    ) -> Profile:
        """Embed a support set, `support/<label>/clips` or {label: [waveforms]}, into a profile.

        Labels are text without surrounding white space. An InputWarning names skipped files, incomplete clips, clips
        with little speech or much noise, labels that look alike, and copies of one recording, of which one is enrolled.

        Parameters:
            groups: folders inside the class folders only group clips of one class. Without it, folders inside them
                that look like classes are refused.
            sample_rate_hz: rate of the waveforms, which are resampled to 16 kHz. Files state their own rate: with a
                folder any other value than 16 000 is refused.

        Raises:
            NotFoundError: there is no such folder.
            InputError: the sample rate is not a whole number above 0, or was given for a folder.
            SupportError: neither a folder nor {label: [waveforms]}, fewer than two classes, a class without clips, one
                recording in two classes, folders inside class folders that look like classes, or a label that is not
                text, is empty or is `unknown`.
            AudioError: clips that cannot be used; nothing is enrolled.
        """
        from metaser.runtime.enrolment.changes import new_profile

        read = self.embed_support(support, groups=groups, sample_rate_hz=sample_rate_hz, progress=progress).checked()
        _warn([*read.warnings(), *read.faults()])
        return new_profile(self.model, read)

    def embed_support(
        self,
        support: Support,
        *,
        add_to: Profile | None = None,
        groups: bool = False,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        progress: Progress | None = None,
    ) -> EmbeddedClips:
        """Embed and measure the clips of a support set; those that cannot be used are reported, not raised.

        Of the copies of a recording, in other formats, at other volumes or speeds, or cut from it, one is kept.

        Parameters:
            add_to: the profile that the clips are for: one class is enough, and copies of its clips are left out.

        Raises:
            NotFoundError, InputError, SupportError: as `enroll`.
            AudioError: an array is not a clip.
            ProfileError: `add_to` is not a profile, or is of another model.
        """
        from metaser.runtime.enrolment.copies import without_copies, without_enrolled
        from metaser.runtime.enrolment.embed import embed_clips
        from metaser.runtime.enrolment.support import read_support

        check(groups=groups, progress=progress)
        if add_to is not None:
            self._check_profile(add_to)
        found = read_support(
            support,
            command="add" if add_to else "enroll",
            groups=groups,
            enrolled=add_to.labels if add_to else (),
            sample_rate_hz=sample_rate_hz,
        )
        read = embed_clips(found.clips, self.model.embed, progress, self.model.workers)
        notices = (*found.notices, *read.notices)
        model_id = self.bundle.manifest.model_id
        read = without_copies(replace(read, left_out=found.left_out, notices=notices, model_id=model_id))
        return read if add_to is None else without_enrolled(read, add_to)

    def tune(  # noqa: PLR0913 # the clips, their rate, and three options
        self,
        profile: Profile,
        support: Support | None = None,
        *,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        force: bool = False,
        settings: HeadTuningSettings | None = None,
        progress: Progress | None = None,
    ) -> TunedProfile:
        """Tune the head on a profile's clips; keep it only if held-out clips improve, or with `force`.

        Parameters:
            support: the arrays that were enrolled; files are read from their path at enrolment.
            sample_rate_hz: rate of these arrays, as at enrolment.
            settings: replace those of the bundle's manifest.

        Raises:
            SupportError: a file is no longer there, an array is missing in `support` or not enrolled, or a class has a
                single clip and tuning is not forced.
            BundleError: the bundle cannot be tuned.
            InputError: `force`, `settings` or `progress` has another type.
            ProfileError: `profile` is not a profile, or is of another model.
        """
        from metaser.runtime.enrolment.tune import enrolled_arrays, tune_profile
        from metaser.runtime.tuning.head import HeadTuningSettings

        self._check_profile(profile)
        check(force=force, progress=progress)
        if settings is not None:
            check_type(settings, "settings", HeadTuningSettings, "give HeadTuningSettings(...)")
        samples = enrolled_arrays(support, sample_rate_hz, profile)
        return tune_profile(self.model, profile, samples, force=force, settings=settings, progress=progress)

    def calibrate(
        self, profile: Profile, *, false_accepts: float | None = None, others: EmbeddedClips | None = None
    ) -> Profile:
        """The profile with temperature and thresholds from its own clips by leave-one-out.

        An InputWarning is given if most correct labels are expected to become unknown.

        Parameters:
            false_accepts: the target false accept rate: the share of clips of no enrolled class that get a label. None
                refuses only answers with low confidence.
            others: other speech and noise from `embed_others`; replaces what the profile holds.

        Raises:
            InputError: `false_accepts` is not between 0 and 1, or `others` is not the result of `embed_others`.
            SupportError: a clip of the other speech is enrolled, or is a copy of an enrolled clip; or it was embedded
                by another model.
            ProfileError: `profile` is not a profile, or is of another model.
        """
        from metaser.runtime.enrolment.changes import calibrate_profile, most_rejected
        from metaser.runtime.enrolment.embed import EmbeddedClips

        self._check_profile(profile)
        if isinstance(others, EmbeddedClips):
            self._check_embedded(others)
        calibrated = calibrate_profile(self.model, profile, false_accepts=false_accepts, others=others)
        _warn([warning] if (warning := most_rejected(calibrated)) else [])
        return calibrated

    def add(
        self,
        profile: Profile,
        support: Support | EmbeddedClips,
        *,
        groups: bool = False,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        progress: Progress | None = None,
    ) -> Profile:
        """The profile with more clips, of its classes or of others, calibrated again; a tuned head is dropped.

        An InputWarning names copies of enrolled clips, which are not added.

        Parameters:
            support: as for `enroll`, or the result of `embed_support(..., add_to=profile)`.

        Raises:
            NotFoundError, InputError, SupportError, AudioError: as `enroll`.
            SupportError: a recording is enrolled in another class, or is other speech of the profile; or the clips
                were embedded by another model.
            ProfileError: `profile` is not a profile, or is of another model.
        """
        from metaser.runtime.enrolment.changes import recalibrate
        from metaser.runtime.enrolment.copies import without_enrolled
        from metaser.runtime.enrolment.embed import EmbeddedClips

        self._check_profile(profile)
        check(groups=groups, progress=progress)
        check_rate(sample_rate_hz)
        if not isinstance(support, EmbeddedClips):
            support = self.embed_support(
                support, add_to=profile, groups=groups, sample_rate_hz=sample_rate_hz, progress=progress
            ).checked()
            _warn([*support.warnings(profile.labels), *support.faults()])
        self._check_embedded(support)
        if support.compared_with != profile.clips_key:
            known = support.notices
            support = without_enrolled(support, profile)
            _warn([notice for notice in support.notices if notice not in known])
        return recalibrate(self.model, profile.with_clips(support.clips, support.embeddings), profile)

    def remove(self, profile: Profile, what: str) -> Profile:
        """The profile without `LABEL`, or one clip of it, `LABEL/CLIP`, calibrated again; a tuned head is dropped.

        Raises:
            SupportError: there is no such class or clip, or fewer than two classes would be left.
            ProfileError: `profile` is not a profile, or is of another model.
        """
        from metaser.runtime.enrolment.changes import recalibrate

        self._check_profile(profile)
        return recalibrate(self.model, profile.without(what), profile)

    def reenroll(
        self, profile: Profile, *, found: FoundClips | None = None, progress: Progress | None = None
    ) -> Profile:
        """A profile of this bundle from the clips of another bundle's profile, with the same kind of calibration.

        Parameters:
            found: where the clips are now, from `find_clips`; lost clips are left out. None: every clip at its path at
                enrolment.

        Raises:
            SupportError: `found` is None and a clip has changed or is gone, or fewer than two classes are left.
            AudioError: a clip cannot be used by this bundle.
            InputError: `found` is not the result of `find_clips`.
            ProfileError: `profile` is not a profile.
        """
        from metaser.runtime.enrolment.changes import reenroll

        _check_is_profile(profile)
        check(progress=progress)
        return reenroll(self.model, profile, found, progress)

    def embed_others(self, folder: str | Path, profile: Profile, *, progress: Progress | None = None) -> EmbeddedClips:
        """Embed other speech and noise for `calibrate`; the result reports clips that cannot be used.

        Raises:
            NotFoundError, SupportError: there is no such folder, or no audio in it.
            AudioError: none of it can be used.
            ProfileError: `profile` is not a profile, or is of another model.
        """
        from metaser.runtime.enrolment.changes import embed_others

        self._check_profile(profile)
        check(progress=progress)
        return embed_others(self.model, folder, profile, progress)

    def evaluate(
        self,
        profile: Profile,
        support: Support,
        *,
        groups: bool = False,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        progress: Progress | None = None,
    ) -> ProfileEvaluation:
        """Label new clips, given as to `enroll`, and compare with their classes; unusable clips are reported in it.

        An InputWarning names classes that are not enrolled, skipped files, and clips that cannot be used.

        Raises:
            NotFoundError, InputError, SupportError: as `enroll`.
            SupportError: no class is one of the profile, no clip can be used, or all clips are enrolled.
            AudioError: an array is not a clip; files that are none are reported in the result.
            ProfileError: `profile` is not a profile, or one of another model.
        """
        from metaser.runtime.enrolment.evaluation import evaluate

        self._check_profile(profile)
        tested = evaluate(self.model, profile, support, groups=groups, sample_rate_hz=sample_rate_hz, progress=progress)
        _warn([*tested.warnings(), *map(str, tested.skipped.errors)])
        return tested

    def report(self, profile: Profile) -> Report:
        """Report the quality of a profile's clips, which classes are confused, and what to do about it.

        Raises:
            ProfileError: `profile` is not a profile, or one of another model.
        """
        from metaser.runtime.enrolment.report import make_report

        self._check_profile(profile)
        return make_report(profile, profile.scale(self.bundle.scale))

    def open_profile(self, path: str | Path, *, accept_precision: bool = False) -> Profile:
        """Load a profile that this bundle made; `accept_precision` takes one of the same model in another precision.

        An InputWarning names a class called `unknown`, the answer for no class; older profiles may have one.

        Raises:
            NotFoundError: there is no such file.
            ProfileError: the profile is damaged, too new, or of another model or precision.
        """
        from metaser.runtime.enrolment.labels import is_unknown

        check(accept_precision=accept_precision)
        profile = Profile.load(path)
        check_fits(profile, self.bundle.manifest, path, accept_precision=accept_precision)
        for label in filter(is_unknown, profile.labels):
            warnings.warn(
                f"{path} has a class called {label}, which looks like the answer when a clip resembles no class: "
                "enrol it again under another name",
                InputWarning,
                stacklevel=1,  # one place, so that opening it twice warns once
            )
        return profile

    def classify(self, waveform: npt.ArrayLike, profile: Profile, *, sample_rate_hz: int = SAMPLE_RATE_HZ) -> Decision:
        """Label one clip, float [T] or int16, by its speech; pauses at its ends are removed as at enrolment.

        An InputWarning is given for a clip without speech, with less than a second of it, or of more than 20 s, and
        once if the profile is not reliable (`hint`).

        Parameters:
            sample_rate_hz: rate of the waveform, which is resampled to 16 kHz.

        Raises:
            AudioError: not [T] floats or int16, empty, silent, clipped, not finite, out of range, too short or long.
            InputError: the sample rate is not a whole number above 0.
            ProfileError: `profile` is not a profile, or is of another model.
        """
        decision, found = self.classify_with_doubts(waveform, profile, sample_rate_hz=sample_rate_hz)
        _warn([*self._new_hint(profile), *(f"the clip: {line}" for line in found)])
        return decision

    def classify_with_doubts(
        self, waveform: npt.ArrayLike, profile: Profile, *, sample_rate_hz: int = SAMPLE_RATE_HZ
    ) -> tuple[Decision, tuple[str, ...]]:
        """As `classify`, and instead of warnings the reasons why the label of this clip may mean little.

        For doubts about the profile, see `hint`.

        Raises:
            AudioError, InputError, ProfileError: as `classify`.
        """
        self._check_profile(profile)
        clip = read_array(waveform, "the clip", sample_rate_hz)
        utterances = utterances_in(clip.waveform)
        embedding = self.model.embed(without_pauses(clip.waveform, utterances), profile.head)
        decision = decide(self._scores(embedding, profile), profile.labels, profile.calibration)
        return decision, (*clip.notices, *doubts(clip.waveform, utterances), *noise_doubt(clip.waveform, utterances))

    def decide(self, embedding: Embedding, profile: Profile) -> Decision:
        """Label one embedding [E] of `embed(waveform, profile)`.

        Raises:
            InputError: not [E] finite floats, or all of them are 0.
            ProfileError: `profile` is not a profile, or is of another model.
        """
        checked = self._check_embedding(embedding, profile)
        _warn(self._new_hint(profile))
        return decide(self._scores(checked, profile), profile.labels, profile.calibration)

    def scores(self, embedding: Embedding, profile: Profile) -> npt.NDArray[np.float64]:
        """[E] of `embed(waveform, profile)` -> [C], the probability of each of the profile's labels.

        They sum to nearly 0 if the clip resembles no class.

        Raises:
            InputError, ProfileError: as `decide`.
        """
        checked = self._check_embedding(embedding, profile)
        _warn(self._new_hint(profile))
        return self._scores(checked, profile)

    def _scores(self, embedding: Embedding, profile: Profile) -> npt.NDArray[np.float64]:
        """[E] -> [C] without checks."""
        scale = profile.scale(self.bundle.scale)
        rows = score(profile.classifier.cosines(embedding[None]), scale, profile.calibration)  # [1, C]
        return rows[0]

    def stream(
        self,
        profile: Profile,
        *,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        settings: StreamSettings | None = None,
        live: bool = False,
    ) -> Stream:
        """A new stream; it owns all its state, so one engine serves many streams, also in several threads.

        The streams of an engine take turns at the processor. For many streams, open the engine with `threads=1`: then
        one window per core is computed at once. A `live` stream never falls behind: it skips late windows and widens
        its hop while the model, or the wait for a turn, takes too long. An InputWarning is given once if the profile
        is not reliable (`hint`).

        Raises:
            InputError: the sample rate is not a whole number above 0, or `settings` or `live` has another type.
            ProfileError: `profile` is not a profile, or is of another model.
        """
        from metaser.runtime.stream.settings import StreamSettings
        from metaser.runtime.stream.stream import Stream

        self._check_profile(profile)
        check(live=live)
        if settings is not None:
            check_type(settings, "settings", StreamSettings, "give StreamSettings(window_s=2.0, hop_s=0.5)")
        check_rate(sample_rate_hz)
        _warn(self._new_hint(profile))

        def embed_scores(window: Waveform) -> npt.NDArray[np.float64]:
            with self._turns:
                return self._scores(self.model.embed(window, profile.head), profile)

        return Stream(
            embed_scores=embed_scores,
            labels=profile.labels,
            calibration=profile.calibration,
            sample_rate_hz=sample_rate_hz,
            settings=settings or StreamSettings(),
            live=live,
        )

    def hint(self, profile: Profile) -> str | None:
        """Say in one line that the labels of a profile cannot be relied on; None if they can.

        `classify`, `decide`, `scores` and `stream` give this line as an InputWarning, once per profile. They do not if
        you have asked for it here.

        Raises:
            ProfileError: `profile` is not a profile, or is of another model.
        """
        self._check_profile(profile)
        self._is_new(profile)
        return profile.verdict.hint

    def _new_hint(self, profile: Profile) -> list[str]:
        """The hint for a profile that was not given yet, if there is one."""
        if not self._is_new(profile) or not (hint := profile.verdict.hint):
            return []
        return [f"{hint} Engine.report(profile).findings names what to do."]

    def _is_new(self, profile: Profile) -> bool:
        """Whether this is the first question about a profile with these clips and this head."""
        key = profile.clips_key
        with self._hinting:
            before = len(self._hinted)
            self._hinted.add(key)
            return len(self._hinted) > before

    def _check_profile(self, profile: Profile) -> None:
        """Raise ProfileError unless the engine's model made this profile, in any precision."""
        _check_is_profile(profile)
        check_fits(profile, self.bundle.manifest, "the profile", accept_precision=True)

    def _check_embedded(self, read: EmbeddedClips) -> None:
        """Raise SupportError if another model embedded these clips."""
        if read.model_id not in ("", self.bundle.manifest.model_id):
            raise SupportError(
                f"another model than {self.bundle.manifest.name} embedded the clips: embed them with this engine"
            )

    def _check_embedding(self, embedding: object, profile: Profile) -> Embedding:
        """The embedding as an array [E], for a profile of this engine's model."""
        self._check_profile(profile)
        size = self.bundle.manifest.head.embedding_size
        wanted = f"give [{size}] finite floats, as of embed(waveform, profile)"
        try:
            array = np.asarray(embedding)
        except NO_ARRAY:
            raise InputError(f"the embedding is {kind_of(embedding)}: {wanted}") from None
        if array.dtype.kind != "f":
            raise InputError(f"the embedding is {kind_of(embedding)} and not of floats: {wanted}")
        if array.shape != (size,):
            raise InputError(f"the embedding is of shape {array.shape}: {wanted}")
        if not np.isfinite(array).all() or not array.any():
            raise InputError(f"the embedding holds NaN, infinity or only zeros: {wanted}")
        return array

    def verify(self) -> Verification:
        """Run the bundle's golden waveform on this device and compare with the reference vectors.

        Raises:
            BundleError: the golden vectors do not fit the graphs.
        """
        from metaser.runtime.model.verification import verify

        return verify(self.model)


def _check_is_profile(profile: object) -> None:
    """Raise ProfileError if this is anything else than a profile."""
    check_type(
        profile, "the profile", Profile, "make one with Engine.enroll or Engine.open_profile(path)", ProfileError
    )


def _warn(lines: Sequence[str]) -> None:
    """Give lines as warnings at the place that called the method of the engine."""
    for line in lines:
        warnings.warn(line, InputWarning, stacklevel=3)
