"""The profile file: exact, written atomically, and refused if damaged."""

import errno
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from metaser.runtime import Calibration, Clip, NotFoundError, Profile, ProfileError, WorkError, forget, undo
from metaser.runtime.enrolment.profile_file import undo_path
from metaser.runtime.enrolment.profile_format import sealed


def make_profile(order: list[int], seed: int = 0) -> Profile:
    embeddings = np.random.default_rng(seed).standard_normal((6, 4)).astype(np.float32)
    clips = [Clip(label="ab"[row % 2], sha256=f"{row:064d}", name=f"{row}.wav", path="") for row in range(6)]
    return Profile(
        model_id="model",
        graph_id="graph",
        bundle_name="tiny",
        calibration=Calibration(temperature=0.5, threshold=0.4, margin=0.1),
        clips=tuple(clips[row] for row in order),
        embeddings=embeddings[order],
    )


def tensors_of(profile: Profile) -> dict[str, npt.NDArray[Any]]:
    return {"embeddings": profile.embeddings, "contours": np.zeros((4, 0), np.uint8)}


def test_a_profile_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    profile = make_profile([0, 1, 2, 3, 4, 5])
    profile.save(tmp_path / "me.safetensors")
    loaded = Profile.load(tmp_path / "me.safetensors")
    assert (loaded.model_id, loaded.graph_id, loaded.bundle_name) == ("model", "graph", "tiny")
    assert loaded.calibration == profile.calibration
    assert loaded.clips == profile.clips
    np.testing.assert_array_equal(loaded.embeddings, profile.embeddings)
    np.testing.assert_array_equal(loaded.prototypes, profile.prototypes)


@given(st.permutations(range(6)))
def test_prototypes_have_the_same_bytes_in_any_order_of_clips(order: list[int]) -> None:
    assert make_profile(order).prototypes.tobytes() == make_profile([0, 1, 2, 3, 4, 5]).prototypes.tobytes()


def test_labels_are_sorted_and_prototypes_follow_them() -> None:
    profile = make_profile([5, 4, 3, 2, 1, 0])
    assert profile.labels == ("a", "b")
    mean = profile.embeddings[:3].astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(profile.prototypes[0], mean / np.linalg.norm(mean), rtol=1e-6)


def test_saving_over_a_profile_keeps_the_old_one_for_undo(tmp_path: Path) -> None:
    path = tmp_path / "me.safetensors"
    make_profile([0, 1], seed=1).save(path)
    first = path.read_bytes()
    make_profile([0, 1], seed=2).save(path)
    assert path.read_bytes() != first
    undo(path)
    assert path.read_bytes() == first
    with pytest.raises(NotFoundError, match="nothing to undo"):
        undo(path)


def test_saving_the_same_profile_again_keeps_the_undo_copy(tmp_path: Path) -> None:
    path = tmp_path / "me.safetensors"
    make_profile([0, 1], seed=1).save(path)
    first = path.read_bytes()
    make_profile([0, 1], seed=2).save(path)
    make_profile([0, 1], seed=2).save(path)
    undo(path)
    assert path.read_bytes() == first


def test_forgetting_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "me.safetensors"
    make_profile([0, 1]).save(path)
    make_profile([0, 1], seed=1).save(path)
    (tmp_path / ".me.safetensors.left.tmp").write_bytes(b"an interrupted write")
    neighbour = tmp_path / ".me.safetensors2.left.tmp"
    neighbour.write_bytes(b"somebody else's")
    assert len(forget(path)) == 3
    assert list(tmp_path.iterdir()) == [neighbour]
    with pytest.raises(NotFoundError, match="nothing to forget"):
        forget(path)


def test_undo_never_puts_back_a_damaged_profile(tmp_path: Path) -> None:
    path = tmp_path / "me.safetensors"
    make_profile([0, 1], seed=1).save(path)
    path.write_bytes(path.read_bytes()[:-4])
    make_profile([0, 1], seed=2).save(path)
    assert not undo_path(path).exists()
    good = path.read_bytes()
    undo_path(path).write_bytes(good[:-4])
    with pytest.raises(ProfileError, match="damaged"):
        undo(path)
    assert path.read_bytes() == good


def test_a_full_disk_leaves_the_old_profile_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "me.safetensors"
    make_profile([0, 1], seed=1).save(path)
    old = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorkError, match="No space left on device"):
        make_profile([0, 1], seed=2).save(path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_a_profile_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"in the way")
    with pytest.raises(WorkError, match="cannot write"):
        make_profile([0, 1]).save(blocked / "me.safetensors")
    assert blocked.read_bytes() == b"in the way"
    assert list(tmp_path.iterdir()) == [blocked]


def test_a_profile_cut_off_at_any_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "me.safetensors"
    make_profile([0, 1, 2, 3, 4, 5]).save(path)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ProfileError, match=r"damaged|not a metaser profile"):
            Profile.load(path)


def test_a_profile_with_any_byte_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "me.safetensors"
    make_profile([0, 1]).save(path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ProfileError):
            Profile.load(path)


@pytest.mark.parametrize("change", ["signs", "label", "hash", "no hash"])
def test_a_profile_that_was_changed_is_refused_with_what_to_do(tmp_path: Path, change: str) -> None:
    path = tmp_path / "me.safetensors"
    profile = make_profile([0, 1])
    profile.save(path)
    content = path.read_bytes()
    embedded = profile.embeddings.tobytes()
    changed = {
        "signs": content.replace(embedded, (-profile.embeddings).tobytes()),
        "label": content.replace(rb"\"label\": \"a\"", rb"\"label\": \"c\""),
        "hash": content.replace(rb"content_sha256\": \"", rb"content_sha256\": \"0")[: len(content)],
        "no hash": content.replace(b"content_sha256", b"content_sha257"),
    }[change]
    assert changed != content
    path.write_bytes(changed)
    with pytest.raises(ProfileError, match=r"is damaged or was changed: enrol again$"):
        Profile.load(path)
    undo_path(path).write_bytes(content)
    with pytest.raises(ProfileError, match=r"is damaged or was changed: enrol again, or go back with `metaser enroll"):
        Profile.load(path)


def test_the_hash_is_of_the_file_with_zeros_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "me.safetensors"
    labelled = [Clip('content_sha256": "', "1" * 64, "a", ""), Clip('\\"content_sha256\\": \\"', "2" * 64, "b", "")]
    replace(make_profile([0, 1]), clips=tuple(labelled)).save(path)
    content = path.read_bytes()
    header = json.loads(
        json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["metaser-profile"]
    )
    digest = header["content_sha256"]
    assert hashlib.sha256(content.replace(digest.encode(), b"0" * 64)).hexdigest() == digest
    assert Profile.load(path).labels == tuple(sorted(clip.label for clip in labelled))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "me.safetensors"
    path.write_bytes(content)
    with pytest.raises(ProfileError):
        Profile.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 4}, "version 4 but this metaser reads 3: update metaser"),
        ({"version": 1}, "has the earlier version 1: enrol again"),
        ({"clips": []}, "damaged"),
        ({"calibration": {"temperature": 0.0}}, "damaged"),
        ({"calibration": {"surprise": 1.0}}, "damaged"),
    ],
)
def test_a_profile_with_another_header_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "me.safetensors"
    profile = make_profile([0, 1])
    profile.save(path)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["metaser-profile"])
    changed = json.dumps({**header, **change})
    path.write_bytes(sealed(save(tensors_of(profile), {"metaser-profile": changed})))
    with pytest.raises(ProfileError, match=message):
        Profile.load(path)


def test_a_file_that_is_no_profile_is_neither_replaced_nor_deleted(tmp_path: Path) -> None:
    document = tmp_path / "thesis.txt"
    document.write_text("years of work " * 10)
    for lose in (make_profile([0, 1]).save, forget):
        with pytest.raises(ProfileError, match="is not a metaser profile"):
            lose(document)
    with pytest.raises(ProfileError, match="is a folder"):
        make_profile([0, 1]).save(tmp_path)
    assert document.read_text() == "years of work " * 10


def test_embeddings_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "me.safetensors"
    profile = make_profile([0, 1])
    profile.embeddings[0, 0] = np.nan
    profile.save(path)
    with pytest.raises(ProfileError, match="damaged"):
        Profile.load(path)


def test_only_the_owner_may_read_a_profile(tmp_path: Path) -> None:
    path = tmp_path / "me.safetensors"
    make_profile([0, 1]).save(path)
    make_profile([0, 1], seed=1).save(path)
    assert path.stat().st_mode & 0o077 == 0
    assert undo_path(path).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "change",
    [
        {"calibration": {"temperature": 1e-300}},
        {"reliability": {"false_accepts": "inf"}},
        {"reliability": {"confidence_error": float("nan")}},
    ],
)
def test_numbers_with_which_nothing_can_be_computed_or_shown_are_refused(
    tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "me.safetensors"
    make_profile([0, 1]).save(path)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["metaser-profile"])
    path.write_bytes(sealed(save(tensors_of(make_profile([0, 1])), {"metaser-profile": json.dumps(header)})))
    assert Profile.load(path).labels == make_profile([0, 1]).labels
    damaged = json.dumps({**header, **change})
    path.write_bytes(sealed(save(tensors_of(make_profile([0, 1])), {"metaser-profile": damaged})))
    with pytest.raises(ProfileError, match="is damaged"):
        Profile.load(path)


@pytest.mark.parametrize("change", ["save", "save the same", "undo"])
def test_a_change_cleans_up_after_one_that_was_killed(tmp_path: Path, change: str) -> None:
    path = tmp_path / "me.safetensors"
    make_profile([0, 1], seed=1).save(path)
    make_profile([0, 1], seed=2).save(path)
    for name in (".me.safetensors.0123abcd.tmp", ".me.safetensors.undo.0123abcd.tmp"):
        (tmp_path / name).write_bytes(b"half of a profile")
    if change == "undo":
        undo(path)
    else:
        make_profile([0, 1], seed=2 if change == "save the same" else 3).save(path)
    assert {each.name for each in tmp_path.iterdir()} <= {path.name, undo_path(path).name}
