"""Adding and removing clips: exact in any order, whatever the path to the same clips."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from metaser.runtime import Calibration, Clip, Profile, SupportError
from metaser.runtime.profile import FORMAT

CLIPS = 8


def clip(row: int) -> Clip:
    return Clip(label="ab"[row % 2], sha256=f"{row:064d}", name=f"{row}.wav", path="")


EMBEDDINGS = np.random.default_rng(0).standard_normal((CLIPS, 4)).astype(np.float32)


def profile_of(rows: list[int]) -> Profile:
    clips = tuple(clip(row) for row in rows)
    return Profile("model", "graph", "tiny", Calibration(), clips, EMBEDDINGS[rows])


@given(st.lists(st.tuples(st.booleans(), st.integers(2, CLIPS - 1)), max_size=20))
def test_any_order_of_adding_and_removing_gives_the_same_bytes(changes: list[tuple[bool, int]]) -> None:
    profile, present = profile_of([0, 1]), {0, 1}  # these two stay, one of each class
    for adding, row in changes:
        if adding:
            profile = profile.with_clips([clip(row)], EMBEDDINGS[[row]])
            present.add(row)
        elif row in present:
            profile = profile.without(f"{clip(row).label}/{row}.wav")
            present.discard(row)
    direct = profile_of(sorted(present))
    assert profile.clips == direct.clips
    assert profile.embeddings.tobytes() == direct.embeddings.tobytes()
    assert profile.prototypes.tobytes() == direct.prototypes.tobytes()


def test_a_clip_that_is_enrolled_already_counts_once() -> None:
    profile = profile_of([0, 1, 2])
    assert profile.with_clips([clip(2)], EMBEDDINGS[[2]]).clips == profile.clips


def test_a_clip_of_another_class_is_refused_with_the_way_out() -> None:
    other = Clip(label="b", sha256=clip(0).sha256, name="copy.wav", path="")
    with pytest.raises(SupportError, match=r"b/copy\.wav is enrolled as a/0\.wav: remove it there first"):
        profile_of([0, 1]).with_clips([other], EMBEDDINGS[[0]])


@pytest.mark.parametrize("name", ["a/2.wav", f"a/{2:064d}"])
def test_a_clip_goes_by_name_or_by_content(name: str) -> None:
    assert profile_of([0, 1, 2]).without(name).clips == profile_of([0, 1]).clips


def test_a_profile_of_before_these_fields_opens(tmp_path: Path) -> None:
    path = tmp_path / "me.safetensors"
    profile_of([0, 1]).save(path)
    header = {
        "version": 1, "model_id": "model", "graph_id": "graph", "bundle_name": "tiny",
        "calibration": {"temperature": 1.0, "threshold": 0.0, "margin": 0.0},
        "clips": [{"label": "ab"[row], "sha256": f"{row:064d}", "name": f"{row}.wav", "path": "", "group": ""}
                  for row in (0, 1)],
    }  # fmt: skip
    save_file(load_file(path), path, {FORMAT: json.dumps(header)})
    loaded = Profile.load(path)
    assert loaded.clips == profile_of([0, 1]).clips
    assert loaded.clips[0].quality is None
    assert loaded.reliability.false_accepts is None
    assert loaded.calibration.min_cosine == -1
