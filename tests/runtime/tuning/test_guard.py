"""Tuning a head on the device: steps, guard, and the profile that keeps the tuned head."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaser.runtime import BundleError, Engine, InputError, Profile, ProfileError, SupportError, WorkError
from metaser.runtime.audio.trim import load_speech
from metaser.runtime.enrolment.profile_format import sealed
from metaser.runtime.enrolment.tune import TunedProfile, tuner_of
from metaser.runtime.scoring.decision import cosines, prototype, softmax
from metaser.runtime.tuning.guard import Guard, fold_of, least_log_loss
from metaser.runtime.tuning.head import HeadTuner, HeadTuningSettings, SupportFrames
from tests.rights import without_rights

QUICK = HeadTuningSettings(steps=3, learning_rate=1e-3)
TARGETS = np.array([0, 0, 1, 1])


def voice(seed: int) -> npt.NDArray[np.float32]:
    """A second of noise, another one per seed."""
    return np.random.default_rng(seed).uniform(-0.5, 0.5, 16_000).astype(np.float32)


@pytest.fixture(scope="module")
def forced(engine: Engine, profile: Profile) -> TunedProfile:
    return engine.tune(profile, force=True, settings=QUICK)


@pytest.fixture(scope="module")
def own(forced: TunedProfile) -> Profile:
    """The profile with a tuned head."""
    assert forced.profile.tuned is not None
    return forced.profile


@given(st.lists(st.integers(2, 9), min_size=2, max_size=5), st.integers(0, 99))
def test_every_fold_takes_clips_of_every_class_and_leaves_some(counts: list[int], seed: int) -> None:
    targets = np.repeat(np.arange(len(counts)), counts)
    folds = fold_of(targets, seed)
    assert folds.max() + 1 == min(*counts, 5)
    for fold in range(folds.max() + 1):
        for number, count in enumerate(counts):
            taken = ((folds == fold) & (targets == number)).sum()
            assert 1 <= taken < count


def test_the_gain_is_the_share_of_the_log_loss_that_went_away() -> None:
    assert Guard(5, 0.8, 0.6).gain == pytest.approx(0.25)
    assert Guard(5, 0.8, 1.0).gain == pytest.approx(-0.25)


def test_the_guard_scores_each_fold_by_what_is_learnt_from_the_others(engine: Engine) -> None:
    """With two clips per class: each half is classified by prototypes of the other, computed here by the formula."""
    rng = np.random.default_rng(0)
    targets = np.array([0, 0, 1, 1])
    means = rng.standard_normal((4, engine.bundle.manifest.backbone.width)).astype(np.float32)
    support = SupportFrames(means[:, None], np.ones(4, np.int64), targets)
    tuner = tuner_of(engine.model, 0.5, QUICK)
    guard = tuner.measure(support)
    folds = fold_of(targets, QUICK.seed)
    embeddings = engine.model.pool_batch(means[:, None], np.ones((4, 1), np.float32))
    losses = []
    for clip in range(4):
        others = [row for row in range(4) if folds[row] != folds[clip]]
        prototypes = np.stack([prototype(embeddings[[row]]) for row in others])  # one clip each: no whitening
        rows = softmax(engine.bundle.scale / 0.5 * cosines(embeddings[[clip]], prototypes))
        losses.append(-np.log(rows[0, targets[clip]]))
    assert guard.folds == 2
    assert guard.log_loss_before <= np.mean(losses) + 1e-6  # the best of coolings, of which one is none
    assert tuner.measure(support) == guard


def test_a_head_is_judged_at_its_own_best_temperature() -> None:
    """Three of four right by one logit: the best temperature says 3 / 4, and no log-loss is below its entropy."""
    logits = 50 * np.eye(2)[[0, 0, 0, 1]]
    loss, cooling = least_log_loss(logits, np.array([0, 0, 0, 0]))
    assert loss == pytest.approx(-0.75 * np.log(0.75) - 0.25 * np.log(0.25), abs=1e-3)
    assert cooling == pytest.approx(50 / np.log(3), rel=0.05)
    loss, cooling = least_log_loss(logits, np.array([0, 0, 0, 1]))
    assert (round(loss, 9), cooling) == (0, 1)


def test_tuning_is_refused_below_the_margin_and_kept_above(engine: Engine, profile: Profile) -> None:
    (guard,) = {engine.tune(profile, settings=replace(QUICK, margin=2.0)).guard}
    assert guard is not None
    kept = engine.tune(profile, settings=replace(QUICK, margin=guard.gain - 1e-9))
    refused = engine.tune(profile, settings=replace(QUICK, margin=guard.gain + 1e-9))
    assert (kept.kept, refused.kept) == (True, False)
    assert refused.guard == kept.guard == guard
    np.testing.assert_array_equal(refused.profile.prototypes, profile.prototypes)
    assert np.abs(kept.profile.prototypes - profile.prototypes).max() > 1e-3


def test_a_seed_decides_everything(engine: Engine, profile: Profile, own: Profile) -> None:
    again = engine.tune(profile, force=True, settings=QUICK).profile
    other = engine.tune(profile, force=True, settings=replace(QUICK, seed=1)).profile
    assert again.prototypes.tobytes() == own.prototypes.tobytes()
    assert other.prototypes.tobytes() != own.prototypes.tobytes()


def test_queries_and_prototypes_use_the_tuned_head(engine: Engine, own: Profile, support_folder: Path) -> None:
    assert own.tuned is not None
    clip = own.clips[7]
    waveform = load_speech(support_folder / clip.label / clip.name)
    frames = engine.model.frames(waveform)
    weight, bias = own.tuned.parameters["projection.weight"], own.tuned.parameters["projection.bias"]
    expected = frames.mean(0) @ weight.T + bias
    embedding = engine.embed(waveform, own)
    np.testing.assert_allclose(embedding, expected, atol=1e-3)
    np.testing.assert_allclose(own.tuned.embeddings[7], expected, atol=2e-2)  # from frames in float16
    assert np.abs(engine.embed(waveform) - expected).max() > 1e-2
    scores = softmax(own.tuned.scale / own.calibration.temperature * own.classifier.cosines(embedding[None]))[0]
    decision = engine.classify(waveform, own)
    np.testing.assert_allclose(list(decision.scores.values()), scores, rtol=1e-4)
    assert max(decision.scores, key=lambda label: decision.scores[label]) == clip.label
    windows = engine.stream(own).push(waveform)
    assert isinstance(windows, list)


def test_a_tuned_profile_comes_back_as_it_was_saved_and_can_be_tuned_again(
    engine: Engine, own: Profile, tmp_path: Path
) -> None:
    own.save(tmp_path / "me.safetensors")
    loaded = engine.open_profile(tmp_path / "me.safetensors")
    assert own.tuned is not None
    assert loaded.tuned is not None
    assert loaded.tuned.guard == own.tuned.guard
    assert loaded.prototypes.tobytes() == own.prototypes.tobytes()
    again = tuner_of(engine.model, engine.bundle.manifest.calibration.temperature, QUICK).tune(
        loaded.tuned.support(loaded.targets)
    )
    for name, value in own.tuned.parameters.items():
        if name != "scale":
            np.testing.assert_array_equal(again[name], value)
    assert own.tuned.guard is not None
    assert own.tuned.scale == pytest.approx(float(again["scale"]) / own.tuned.guard.cooling, rel=1e-6)


def test_a_tuned_head_is_dropped_where_its_clips_change(own: Profile) -> None:
    fewer = replace(own, clips=own.clips[:-1], embeddings=own.embeddings[:-1])
    assert fewer.tuned is None
    assert replace(own, bundle_name="other").tuned is own.tuned


def _altered(path: Path, change: dict[str, npt.NDArray[np.generic] | None]) -> None:
    from safetensors.numpy import load, save

    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    tensors = {**load(content), **change}
    metadata = json.loads(content[8 : 8 + size])["__metadata__"]
    path.write_bytes(sealed(save({name: value for name, value in tensors.items() if value is not None}, metadata)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("head.scale", None),
        ("head.scale", np.array(np.nan, np.float32)),
        ("head.projection.bias", np.full(512, np.inf, np.float32)),
        ("frames", None),
        ("frames", np.zeros((3, 512), np.float16)),
        ("frame_lengths", np.zeros(20, np.int64)),
        ("tuned_embeddings", np.zeros((19, 512), np.float32)),
        ("tuned_embeddings", np.zeros((20, 512), np.float64)),
        ("tuned_cross_fitted", np.zeros((20, 3), np.float32)),
        ("tuned_cross_fitted", np.full((20, 4), np.nan, np.float32)),
    ],
)
def test_a_damaged_tuned_head_is_refused(
    own: Profile, tmp_path: Path, name: str, value: npt.NDArray[np.generic] | None
) -> None:
    path = tmp_path / "me.safetensors"
    own.save(path)
    _altered(path, {name: value})
    with pytest.raises(ProfileError, match="is damaged"):
        Profile.load(path)


def test_a_tuned_head_without_cross_fitted_scores_is_read_and_promises_nothing(
    engine: Engine, own: Profile, tmp_path: Path
) -> None:
    path = tmp_path / "me.safetensors"
    own.save(path)
    _altered(path, {"tuned_cross_fitted": None})
    old = engine.calibrate(engine.open_profile(path), false_accepts=0.1)
    assert old.prototypes.tobytes() == own.prototypes.tobytes()
    assert old.calibration == engine.bundle.manifest.calibration
    assert old.reliability.false_accepts is None


def test_a_tuned_head_of_another_shape_is_refused(engine: Engine, own: Profile, tmp_path: Path) -> None:
    path = tmp_path / "me.safetensors"
    own.save(path)
    _altered(path, {"head.projection.bias": np.zeros(8, np.float32)})
    name = engine.bundle.manifest.name
    with pytest.raises(ProfileError, match=rf"the tuned head in .* does not fit {name}: enrol again"):
        engine.open_profile(path)


@pytest.mark.filterwarnings("ignore:.* should be recorded again")  # noise stands for clips
def test_one_clip_in_a_class_is_tuned_only_by_force(engine: Engine) -> None:
    rng = np.random.default_rng(0)
    arrays = {label: [0.1 * rng.standard_normal(16_000).astype(np.float32)] for label in "ab"}
    single = engine.enroll(arrays)
    with pytest.raises(SupportError, match=r"a single clip.*--tune force"):
        engine.tune(single, arrays, settings=QUICK)
    outcome = engine.tune(single, arrays, force=True, settings=QUICK)
    assert outcome.kept
    assert outcome.guard is None


def test_a_clip_that_is_gone_or_changed_is_named(engine: Engine, support_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(support_folder, tmp_path / "support"))
    profile = engine.enroll(folder)
    moved = folder / "joy" / "de-m3.flac"
    shutil.copy(folder / "joy" / "en-f2.flac", moved)
    with pytest.raises(SupportError, match=r"joy/de-m3\.flac is no longer at its path"):
        engine.tune(profile)
    with without_rights(moved), pytest.raises(SupportError, match=r"joy/de-m3\.flac cannot be read \(Permission den"):
        engine.tune(profile)
    moved.unlink()
    with pytest.raises(SupportError, match=r"joy/de-m3\.flac is no longer at its path"):
        engine.tune(profile)


def test_a_graph_that_the_manifest_does_not_list_is_not_used(bundle_copy: Path, support_folder: Path) -> None:
    document = json.loads((bundle_copy / "bundle.json").read_text())
    del document["files"]["tune.onnx"]
    (bundle_copy / "bundle.json").write_text(json.dumps(document))
    engine = Engine.open(bundle_copy, provider="cpu")
    with pytest.raises(BundleError, match=r"has no tune\.onnx, so its head cannot be tuned"):
        engine.tune(engine.enroll(support_folder))


def test_a_graph_for_other_parameters_is_refused(engine: Engine) -> None:
    tuner = HeadTuner(engine.bundle.folder / "tune.onnx")
    support = SupportFrames.of([np.zeros((3, 512), np.float32)] * 4, np.array([0, 0, 1, 1]))
    with pytest.raises(BundleError, match=r"tune\.onnx takes .*projection\.weight"):
        tuner.tune({"scale": np.array(10.0, np.float32)}, support, QUICK)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"method": "maml"}, "choose one of"), ({"steps": 0}, "at least 1"), ({"learning_rate": 0.0}, "above 0")],
)
def test_wrong_settings_are_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        HeadTuningSettings(**wrong)  # type: ignore[arg-type]
    with pytest.raises(BundleError, match=words):
        HeadTuningSettings.of_manifest(wrong)


def test_a_manifest_sets_the_tuning() -> None:
    settings = HeadTuningSettings.of_manifest({"steps": 7, "margin": 0.25, "note": "measured on validation speakers"})
    assert (settings.steps, settings.margin, settings.learning_rate) == (7, 0.25, HeadTuningSettings().learning_rate)


def test_tuning_that_runs_away_is_an_error(engine: Engine) -> None:
    loud = SupportFrames.of([np.full((3, 512), np.inf, np.float32)] * 4, np.array([0, 0, 1, 1]))
    with pytest.raises(WorkError, match="fine-tuning diverged"):
        tuner_of(engine.model, 1.0, QUICK).tune(loud)


@pytest.mark.parametrize("change", ["lost", "of another shape"])
def test_an_output_that_a_graph_of_steps_has_to_give_is_checked(engine: Engine, tmp_path: Path, change: str) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(engine.bundle.folder / "tune.onnx")
    output = next(output for output in model.graph.output if output.name == "parameter.scale.next")
    if change == "lost":
        model.graph.output.remove(output)
    else:
        node = next(node for node in model.graph.node if output.name in node.output)
        node.output[list(node.output).index(output.name)] = "inner"
        axis = onnx.numpy_helper.from_array(np.array([0]), "first axis")
        model.graph.initializer.append(axis)
        model.graph.node.append(onnx.helper.make_node("Unsqueeze", ["inner", axis.name], [output.name]))
        output.type.tensor_type.shape.dim.add().dim_value = 1
    onnx.save(model, tmp_path / "tune.onnx")
    support = SupportFrames(np.ones((4, 3, engine.bundle.manifest.backbone.width), np.float32), np.full(4, 3), TARGETS)
    with pytest.raises(BundleError, match=rf"tune\.onnx gives no valid {output.name}: export the bundle again"):
        HeadTuner(tmp_path / "tune.onnx", 1).tune(engine.bundle.head_parameters, support, QUICK)


@pytest.mark.filterwarnings("ignore:.* should be recorded again")  # noise stands for clips
def test_frames_over_the_range_of_float16_are_not_kept(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = {"a": [voice(1), voice(2)], "b": [voice(3), voice(4)]}
    profile = engine.enroll(clips)
    frames = engine.model.frames
    monkeypatch.setattr(engine.model, "frames", lambda waveform: frames(waveform) * np.float32(1e30))
    with pytest.raises(WorkError, match="in float16, is not finite"):
        engine.tune(profile, clips, force=True, settings=QUICK)


def test_arrays_that_are_not_enrolled_are_refused_and_missing_ones_named(engine: Engine, own: Profile) -> None:
    clip = (0.1 * np.random.default_rng(0).standard_normal(16_000)).astype(np.float32)
    with pytest.raises(SupportError, match=r"1 array of `support` not enrolled in this profile \(joy/array 0\)"):
        engine.tune(own, {"joy": [clip]})
    arrays = replace(own, tuned=None, clips=tuple(replace(each, path="") for each in own.clips))
    with pytest.raises(SupportError, match="was enrolled as an array and tuning needs it: pass support="):
        engine.tune(arrays)
