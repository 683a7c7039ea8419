"""The warning that the labels of a profile cannot be relied on: once per engine and profile, never twice."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from metaser.runtime import Engine, InputWarning, Profile, ProfileError, load_audio

WORDS = r"^Do not rely on these labels: .* Engine\.report\(profile\)\.findings names what to do\.$"


@pytest.fixture
def own_engine() -> Engine:
    """An engine that has warned of nothing yet."""
    return Engine.open(provider="cpu")


@pytest.fixture
def mixed(profile: Profile) -> Profile:
    """A profile with the labels dealt out at random: no class can be learned."""
    labels = np.random.default_rng(0).permutation([clip.label for clip in profile.clips])
    clips = tuple(replace(clip, label=str(label)) for clip, label in zip(profile.clips, labels, strict=True))
    found = replace(profile, clips=clips)
    assert found.verdict.level == "guessing"
    return found


@pytest.fixture(scope="module")
def clip(support_folder: Path) -> npt.NDArray[np.float32]:
    return load_audio(min((support_folder / "joy").iterdir()))


Use = Callable[[Engine, Any, Profile], object]
USES: dict[str, Use] = {
    "classify": lambda engine, clip, profile: engine.classify(clip, profile),
    "decide": lambda engine, clip, profile: engine.decide(engine.embed(clip), profile),
    "scores": lambda engine, clip, profile: engine.scores(engine.embed(clip), profile),
    "stream": lambda engine, _, profile: engine.stream(profile),
}


@pytest.mark.parametrize("first", USES)
def test_the_first_use_of_an_unreliable_profile_warns_and_no_other(
    own_engine: Engine, mixed: Profile, clip: Any, first: str
) -> None:
    with pytest.warns(InputWarning, match=WORDS) as caught:
        USES[first](own_engine, clip, mixed)
    assert [warning.filename for warning in caught] == [__file__]
    for use in USES.values():
        use(own_engine, clip, mixed)
        use(own_engine, clip, mixed.answering("off"))


def test_another_profile_and_another_engine_warn_again(own_engine: Engine, mixed: Profile, clip: Any) -> None:
    for engine, profile in (
        (own_engine, mixed),
        (own_engine, own_engine.remove(mixed, mixed.clips[0].title)),
        (Engine.open(provider="cpu"), mixed),
    ):
        with pytest.warns(InputWarning, match=WORDS):
            engine.classify(clip, profile)


def test_who_asks_for_the_hint_gets_no_warning(own_engine: Engine, mixed: Profile, profile: Profile, clip: Any) -> None:
    hint = own_engine.hint(mixed)
    assert hint == f"Do not rely on these labels: {mixed.verdict.lines[0]}"
    own_engine.classify(clip, mixed)
    assert own_engine.hint(profile) is None
    with pytest.raises(ProfileError, match="the profile is a str"):
        own_engine.hint("me")  # type: ignore[arg-type]


def test_the_doubts_about_a_clip_are_not_those_about_the_profile(
    own_engine: Engine, mixed: Profile, profile: Profile, clip: Any
) -> None:
    assert own_engine.classify_with_doubts(clip, mixed)[1] == ()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        own_engine.classify(clip, profile)  # a reliable one
