"""Every argument of the public library, and every field of its settings, refuses a wrong value in one line."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

import metaser.runtime
from metaser.runtime import Calibration, Engine, InputError, Profile, Stream, StreamSettings, load_audio
from metaser.runtime.arguments import ARGUMENTS, FIELDS, check, check_fields
from metaser.runtime.audio.voice_activity import VoiceActivitySettings
from metaser.runtime.tuning.head import HeadTuningSettings
from metaser.runtime.tuning.steps import MaskSettings

Values: TypeAlias = Mapping[str, Any]

WRONG = {
    "an object": object(),
    "NaN": float("nan"),
    "infinity": float("inf"),
    "a list": [object()],
    "a number as text": "3",
    "bytes": b"3",
    "a complex number": 1j,
    "below 0": -3,
}
TEXT_IS_RIGHT = {
    "bundle", "path", "cache", "folder", "what", "support",
    "model_id", "graph_id", "bundle_name", "label", "sha256", "name", "group",
}  # fmt: skip
"""Arguments for which any text has the right type; what it names is checked elsewhere."""

BELOW_0_IS_RIGHT = {"heard_at", "min_cosine", "strict_cosine", "threshold", "margin"}


@dataclass(frozen=True)
class Case:
    """A public function with arguments that are right."""

    function: Callable[..., Any]
    right: Values

    def fault(self, name: str, value: object) -> str:
        """What is wrong with how it takes a wrong value; nothing if it refuses it in one line."""
        try:
            result = self.function(**{**self.right, name: value})
            if inspect.isgenerator(result):
                list(result)
            elif hasattr(result, "__enter__"):
                result.__enter__()
        except InputError as error:
            return "" if str(error) and "\n" not in str(error) else "not one line"
        except Exception as error:  # noqa: BLE001 # it is reported
            return repr(error)
        return "accepted"


@pytest.fixture(scope="module")
def cases(engine: Engine, profile: Profile, support_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Name of a function -> its case."""
    file = tmp_path_factory.mktemp("own") / "me.safetensors"
    profile.save(file)
    clip_file = min((support_folder / "joy").iterdir())
    clip = load_audio(clip_file)
    embedding = engine.embed(clip)
    stream = engine.stream(profile)
    uses = {"profile": profile}
    library = metaser.runtime
    given: dict[str, tuple[Callable[..., Any], Values]] = {
        "Engine": (Engine, {"model": engine.model}),
        "Engine.open": (Engine.open, {}),
        "Engine.embed": (engine.embed, {"waveform": clip, **uses}),
        "Engine.enroll": (engine.enroll, {"support": support_folder}),
        "Engine.embed_support": (engine.embed_support, {"support": support_folder}),
        "Engine.tune": (engine.tune, uses),
        "Engine.calibrate": (engine.calibrate, uses),
        "Engine.add": (engine.add, {**uses, "support": support_folder}),
        "Engine.remove": (engine.remove, {**uses, "what": "joy"}),
        "Engine.reenroll": (engine.reenroll, uses),
        "Engine.embed_others": (engine.embed_others, {"folder": support_folder, **uses}),
        "Engine.evaluate": (engine.evaluate, {**uses, "support": {"joy": [clip[::-1]]}}),
        "Engine.report": (engine.report, uses),
        "Engine.hint": (engine.hint, uses),
        "Engine.open_profile": (engine.open_profile, {"path": file}),
        "Engine.classify": (engine.classify, {"waveform": clip, **uses}),
        "Engine.classify_with_doubts": (engine.classify_with_doubts, {"waveform": clip, **uses}),
        "Engine.decide": (engine.decide, {"embedding": embedding, **uses}),
        "Engine.scores": (engine.scores, {"embedding": embedding, **uses}),
        "Engine.stream": (engine.stream, uses),
        "Engine.verify": (engine.verify, {}),
        "Stream.push": (stream.push, {"chunk": clip[:512]}),
        "Stream.finish": (stream.finish, {}),
        "load_audio": (load_audio, {"path": clip_file}),
        "read_blocks": (library.read_blocks, {"path": clip_file}),
        "open_bundle": (library.open_bundle, {}),
        "shipped_bundles": (library.shipped_bundles, {}),
        "find_clips": (library.find_clips, {"clips": profile.clips}),
        "forget": (library.forget, {"path": file}),
        "undo": (library.undo, {"path": file}),
        "profile_lock": (library.profile_lock, {"path": file}),
        "Profile.load": (Profile.load, {"path": file}),
        "Profile.save": (profile.save, {"path": file}),
        "Profile.scale": (profile.scale, {"of_bundle": 10.0}),
        "Profile.without": (profile.without, {"what": "joy"}),
        "Profile.without_others": (profile.without_others, {}),
        "Profile.with_clips": (profile.with_clips, {"clips": profile.clips, "embeddings": profile.embeddings}),
        "Profile.answering": (profile.answering, {"unknown": "off"}),
    }
    return {name: Case(function, right) for name, (function, right) in given.items()}


def public_functions() -> set[str]:
    """The public functions and methods of the classes that a caller gives values to."""
    found = {name for name in metaser.runtime.__all__ if inspect.isfunction(getattr(metaser.runtime, name))}
    for owner in (Engine, Stream, Profile):
        found |= {
            f"{owner.__name__}.{name}"
            for name, member in inspect.getmembers(owner, callable)
            if not name.startswith("_")
        }
    return found | {"Engine"}


def test_every_public_function_is_a_case(cases: Mapping[str, Case]) -> None:
    assert set(cases) == public_functions()


@pytest.mark.filterwarnings("ignore:Nothing is new")
def test_the_right_values_are_accepted(cases: Mapping[str, Case]) -> None:
    for name, case in cases.items():
        if name not in ("forget", "undo", "Stream.finish"):  # these change the file or the stream of other tests
            case.function(**case.right)


def test_every_argument_of_every_public_function_refuses_a_wrong_value(cases: Mapping[str, Case]) -> None:
    found = []
    for function, case in cases.items():
        for name, parameter in inspect.signature(case.function).parameters.items():
            wrong = {**WRONG, **({"None": None} if parameter.default is inspect.Parameter.empty else {})}
            wrong = {kind: value for kind, value in wrong.items() if not _is_right(name, kind)}
            faults = {kind: case.fault(name, value) for kind, value in wrong.items()}
            found += [f"{function}({name}={kind}): {fault}" for kind, fault in faults.items() if fault]
    assert not found, "\n".join(found)


def _is_right(name: str, kind: str) -> bool:
    return (kind == "a number as text" and name in TEXT_IS_RIGHT) or (kind == "below 0" and name in BELOW_0_IS_RIGHT)


@pytest.mark.parametrize(
    "right",
    [
        StreamSettings(),
        VoiceActivitySettings(),
        Calibration(),
        HeadTuningSettings(),
        MaskSettings(),
        metaser.runtime.Clip("joy", "0" * 64, "1.wav", ""),
    ],
    ids=lambda right: type(right).__name__,
)
def test_every_field_of_the_settings_refuses_a_wrong_value(right: Any) -> None:
    for item in fields(right):
        for kind, value in WRONG.items():
            if _is_right(item.name, kind) and (kind != "below 0" or isinstance(right, Calibration)):
                continue
            with pytest.raises(InputError, match=r"^[^\n]+$"):
                replace(right, **{item.name: value})


def test_the_fields_of_a_profile_refuse_a_wrong_value(profile: Profile) -> None:
    rows = profile.embeddings
    for name, value in (
        ("model_id", 3),
        ("calibration", None),
        ("calibration", 1.0),
        ("clips", "joy"),
        ("clips", profile.clips[:-1]),
        ("embeddings", rows.tolist()),
        ("embeddings", rows[0]),
        ("embeddings", rows[:-1]),
        ("embeddings", rows * np.float32("nan")),
        ("reliability", None),
        ("others", (1,)),
        ("other_embeddings", rows[0]),
        ("tuned", "yes"),
    ):
        changed: dict[str, Any] = {name: value}
        with pytest.raises(InputError, match=r"^[^\n]+$"):
            replace(profile, **changed)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: row[:-1], r"the embedding is of shape \(\d+,\): give \[\d+\] finite floats"),
        (lambda row: np.stack([row, row]), r"the embedding is of shape \(2, \d+\)"),
        (lambda row: row * np.nan, "the embedding holds NaN, infinity or only zeros"),
        (lambda row: 0 * row, "the embedding holds NaN, infinity or only zeros"),
        (lambda row: row.astype(np.int64), "the embedding is an ndarray and not of floats"),
        (lambda _: [[1.0], [1.0, 2.0]], "the embedding is a list: give"),
    ],
)
def test_what_is_no_embedding_is_refused(
    engine: Engine, profile: Profile, change: Callable[[Any], Any], said: str
) -> None:
    row = profile.embeddings[0]
    for call in (engine.decide, engine.scores):
        with pytest.raises(InputError, match=said):
            call(change(row), profile)
    assert engine.decide(row.tolist(), profile) == engine.decide(row, profile)


@pytest.mark.parametrize("verb", ["calibrate", "decide", "embed", "report", "remove", "tune"])
def test_a_profile_of_another_model_is_refused_by_every_verb(
    engine: Engine, profile: Profile, support_folder: Path, verb: str
) -> None:
    other = replace(profile, model_id="another")
    clip = load_audio(min((support_folder / "joy").iterdir()))
    right: dict[str, tuple[Any, ...]] = {
        "calibrate": (other,),
        "decide": (profile.embeddings[0], other),
        "embed": (clip, other),
        "report": (other,),
        "remove": (other, "joy"),
        "tune": (other,),
    }
    with pytest.raises(InputError, match="another model"):
        getattr(engine, verb)(*right[verb])


def test_numbers_of_numpy_are_numbers() -> None:
    check(max_s=np.float32(3), threads=np.int64(2), live=np.bool_(1))
    assert StreamSettings(hop_s=np.float64(0.25)).hop_s == 0.25
    with pytest.raises(InputError, match=r"workers is True: give a whole number from 1 to 64"):
        check(workers=True)
    with pytest.raises(InputError, match=r"max_s is an ndarray: give a number above 0"):
        check(max_s=np.array([3.0]))


def test_an_empty_name_is_not_the_default_bundle() -> None:
    for given in ("", 0, False):
        with pytest.raises(InputError):
            Engine.open(given)  # type: ignore[arg-type]


def test_a_field_of_an_unknown_type_is_the_name_of_a_class() -> None:
    @dataclass(frozen=True)
    class Made:
        inner: "Calibration | None"

    for name in ("Calibration | None", "Calibration"):
        assert name not in FIELDS
    check_fields(Made(None))
    with pytest.raises(InputError, match=r"inner is 3: give Calibration\(\.\.\.\)"):
        check_fields(Made(3))  # type: ignore[arg-type]
    assert "live" in ARGUMENTS


def test_an_empty_path_is_refused_and_never_the_current_folder(engine: Engine, profile: Profile) -> None:
    calls: dict[str, Callable[[], object]] = {
        "the support set": lambda: engine.enroll(""),
        "the clip": lambda: metaser.runtime.load_audio(""),
        "the profile": lambda: profile.save(""),
        "the bundle": lambda: metaser.runtime.open_bundle(""),
        "the folder of other speech": lambda: engine.embed_others("", profile),
        "the folder": lambda: metaser.runtime.find_clips(profile.clips, ""),
    }
    for what, call in calls.items():
        with pytest.raises(metaser.runtime.InputError, match=f"{what} is an empty path: give "):
            call()
