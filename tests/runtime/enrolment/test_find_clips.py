"""Renewing a profile from the clips it was made of."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from metaser.runtime import Engine, Profile, ProfileError, SupportError
from metaser.runtime.enrolment.find_clips import find_clips

pytestmark = pytest.mark.filterwarnings("ignore:Most correct labels become unknown")  # of few clips


@pytest.fixture
def own_support(support_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(support_folder, tmp_path / "support"))


@pytest.fixture
def own_profile(engine: Engine, own_support: Path) -> Profile:
    return engine.enroll(own_support)


@pytest.fixture
def other_engine(bundle_copy: Path) -> Engine:
    """The same graphs under another id, so that embeddings must come out the same."""
    document = json.loads((bundle_copy / "bundle.json").read_text())
    (bundle_copy / "bundle.json").write_text(json.dumps({**document, "graph_id": "f" * 64, "name": "other"}))
    return Engine.open(bundle_copy, provider="cpu")


def test_clips_are_found_by_content_at_their_place_or_below_a_folder(own_profile: Profile, own_support: Path) -> None:
    names = sorted(path.name for path in (own_support / "joy").iterdir())
    moved, changed, missing = (own_support / "joy" / name for name in names[:3])
    (own_support / "joy" / "elsewhere").mkdir()
    moved.rename(own_support / "joy" / "elsewhere" / "renamed.flac")
    soundfile.write(changed, np.sin(np.arange(16_000)), 16_000)
    missing.unlink()
    found = find_clips(own_profile.clips, own_support)
    assert [(clip.name, Path(place).name) for clip, place in found.moved] == [(moved.name, "renamed.flac")]
    assert [clip.name for clip in found.changed] == [changed.name]
    assert [clip.name for clip in found.missing] == [missing.name]
    assert len(found.clips) == 18
    assert found.lost == (*found.changed, *found.missing)
    at_their_place = find_clips(own_profile.clips)
    assert (at_their_place.moved, len(at_their_place.clips)) == ((), 17)


def test_a_renewed_profile_is_that_of_the_new_bundle(
    own_profile: Profile, other_engine: Engine, tmp_path: Path
) -> None:
    own_profile.save(tmp_path / "me.safetensors")
    with pytest.raises(
        ProfileError, match=r"renew it with `metaser reenroll --profile .*me\.safetensors --bundle FOLDER`"
    ):
        other_engine.open_profile(tmp_path / "me.safetensors")
    renewed = other_engine.reenroll(own_profile, found=find_clips(own_profile.clips))
    renewed.save(tmp_path / "me.safetensors")
    opened = other_engine.open_profile(tmp_path / "me.safetensors")
    assert (opened.graph_id, opened.bundle_name) == ("f" * 64, "other")
    assert opened.clips == own_profile.clips
    assert opened.prototypes.tobytes() == own_profile.prototypes.tobytes()
    assert opened.calibration == own_profile.calibration


def test_the_wanted_rate_and_other_speech_that_is_still_there_are_kept(
    engine: Engine, own_profile: Profile, other_engine: Engine, tmp_path: Path
) -> None:
    folder = tmp_path / "others"
    folder.mkdir()
    for seed in range(2):
        samples = 0.1 * np.random.default_rng(seed).standard_normal(16_000)
        soundfile.write(folder / f"{seed}.wav", samples, 16_000)
    before = engine.calibrate(own_profile, false_accepts=0.2, others=engine.embed_others(folder, own_profile))
    (folder / "0.wav").unlink()
    renewed = other_engine.reenroll(before, found=find_clips(before.clips))
    assert [clip.name for clip in renewed.others] == ["1.wav"]
    assert renewed.reliability.wanted_false_accepts == 0.2


def test_arrays_are_missing_and_too_few_clips_are_refused(
    engine: Engine, other_engine: Engine, support_folder: Path
) -> None:
    from metaser.runtime import load_audio

    arrays = {label: [load_audio(min((support_folder / label).iterdir()))] for label in ("joy", "anger")}
    found = find_clips(engine.enroll(arrays).clips)
    assert len(found.missing) == 2
    with pytest.raises(SupportError, match="fewer than two classes were found"):
        other_engine.reenroll(engine.enroll(arrays), found=found)


def test_without_a_search_every_clip_has_to_be_where_it_was_enrolled_from(
    own_profile: Profile, own_support: Path, other_engine: Engine
) -> None:
    assert other_engine.reenroll(own_profile).clips == own_profile.clips
    min((own_support / "joy").iterdir()).unlink()
    with pytest.raises(SupportError, match=r"1 of 20 clips have changed or are gone, such as joy/.* find_clips"):
        other_engine.reenroll(own_profile)
