"""The device's tuning compared with the toolkit's: the same steps, the same head."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from metaser.export.tuning_graph import tune_graph
from metaser.runtime.tuning.head import HeadTuner, HeadTuningSettings, SupportFrames
from metaser.runtime.tuning.steps import MaskSettings, Method
from metaser.toolkit.evaluation.tuning import TuningSettings, tune_head
from metaser.toolkit.model.network import HEADS, Head, make_head

WIDTH, SIZE = 12, 6  # as in the tests of the graph, so that each is traced once
TARGETS = np.repeat([0, 1, 2, 3], [2, 3, 5, 4])
MASKS = MaskSettings(stripes=1, stripe_share=0.3, frame_dropout=0.1)


@pytest.fixture(scope="module", params=HEADS)
def head(request: pytest.FixtureRequest) -> Head:
    torch.manual_seed(0)
    return make_head(request.param, WIDTH, SIZE)


@pytest.fixture(scope="module")
def tuner(head: Head, tmp_path_factory: pytest.TempPathFactory) -> HeadTuner:
    path: Path = tmp_path_factory.mktemp("graph") / "tune.onnx"
    path.write_bytes(tune_graph(head).SerializeToString())
    return HeadTuner(path)


def clips() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    means = rng.standard_normal((4, WIDTH))
    return [
        (means[target] + rng.standard_normal((9 + row, WIDTH))).astype(np.float32) for row, target in enumerate(TARGETS)
    ]


@pytest.mark.parametrize("method", get_args(Method))
def test_the_device_and_pytorch_tune_to_the_same_head_from_the_same_seed(
    head: Head, tuner: HeadTuner, method: Method
) -> None:
    settings = HeadTuningSettings(method, steps=50, learning_rate=1e-3, weight_decay=0.01, seed=7, masks=MASKS)
    support = SupportFrames.of(clips(), TARGETS)
    parameters = {name: value.detach().numpy() for name, value in head.named_parameters()}
    ours = make_head(head.kind, WIDTH, SIZE)
    found = tuner.tune(parameters, support, settings)
    ours.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in found.items()})
    tuned = tune_head(head, support, TuningSettings(method, 50, 1e-3, weight_decay=0.01, masks=MASKS), seed=7)
    frames, mask = torch.randn(30, 15, WIDTH), torch.ones(30, 15)
    with torch.no_grad():
        assert F.cosine_similarity(ours(frames, mask), tuned(frames, mask)).min() >= 0.99999
        assert F.cosine_similarity(ours(frames, mask), head(frames, mask)).min() < 0.999
    assert ours.scale.item() == pytest.approx(tuned.scale.item(), abs=1e-4)


def test_one_clip_in_a_class_is_tuned_by_the_one_shot_method(head: Head, tuner: HeadTuner) -> None:
    parameters = {name: value.detach().numpy() for name, value in head.named_parameters()}
    single = SupportFrames.of(clips(), TARGETS).take(np.array([0, 2, 3, 5, 10]))
    found = tuner.tune(parameters, single, HeadTuningSettings(steps=2))
    expected = tuner.tune(parameters, single, HeadTuningSettings(method="time", steps=2))
    assert all(np.array_equal(found[name], expected[name]) for name in found)
