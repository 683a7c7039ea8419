"""A step of the tuning graph compared with torch.optim, over heads and sizes, also with nothing to learn."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from metaser.export.graphs import OPSET
from metaser.export.step_parity import STEP_DIFFERENCE_AT_MOST, check_step, step_difference
from metaser.export.tuning_graph import BETAS, traced, tune_graph
from metaser.runtime.errors import WorkError
from metaser.runtime.tuning.head import SupportFrames
from metaser.runtime.tuning.steps import StepSampler
from metaser.toolkit.evaluation.tuning import TuningSettings, tune_head
from metaser.toolkit.model.network import HEADS, Head, make_head

WIDTH, SIZE = 12, 6

Arrays = dict[str, npt.NDArray[np.float32]]


def a_head(kind: str, seed: int = 0) -> Head:
    torch.manual_seed(seed)
    return make_head(kind, WIDTH, SIZE)


@lru_cache
def session(kind: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(tune_graph(a_head(kind)).SerializeToString())


def start(head: Head) -> Arrays:
    """The parameters with moments of zero."""
    parameters = {name: value.detach().numpy() for name, value in head.named_parameters()}
    moments = {
        f"{part}_moment.{name}": np.zeros_like(value)
        for part in ("first", "second")
        for name, value in parameters.items()
    }
    return {**{f"parameter.{name}": value for name, value in parameters.items()}, **moments}


def step(kind: str, state: Arrays, number: int, data: Arrays, rate: float = 1e-3) -> tuple[float, Arrays]:
    scalars: dict[str, npt.NDArray[np.generic]] = {
        "learning_rate": np.array(rate, np.float32),
        "weight_decay": np.array(0.0, np.float32),
        "epsilon": np.array(1e-8, np.float32),
        "step": np.array(number, np.int64),
    }
    names = [output.name for output in session(kind).get_outputs()]
    found = dict(zip(names, session(kind).run(names, {**state, **scalars, **data}), strict=True))
    return float(found["loss"]), {name: found[f"{name}.next"] for name in state}


def data_of(support: SupportFrames, index: int = 0) -> Arrays:
    drawn = StepSampler(support.targets, support.lengths, "split", 0).draw(index)
    return {
        "frames": support.frames[drawn.rows],
        "frame_mask": drawn.frame_mask,
        "support_weights": drawn.support_weights,
        "query_weights": drawn.query_weights,
    }


def a_support(clips: int = 5, n: int = 20) -> SupportFrames:
    """Frames of three classes with a direction of their class under noise."""
    torch.manual_seed(3)
    targets = np.repeat(np.arange(3), clips)
    frames = torch.randn(3, WIDTH)[torch.from_numpy(targets), None] + 2 * torch.randn(len(targets), n, WIDTH)
    return SupportFrames(frames.numpy(), np.array([n - row % 3 for row in range(len(targets))]), targets)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("clips", [2, 3, 8])
def test_a_step_from_an_equal_state_is_a_step_of_adamw_at_sizes_that_were_not_traced(kind: str, clips: int) -> None:
    assert step_difference(session(kind), a_head(kind), clips, seed=clips) <= 1e-6


@pytest.mark.parametrize("kind", HEADS)
def test_fifty_steps_give_the_embeddings_of_pytorch(kind: str) -> None:
    head, support = a_head(kind), a_support()
    state = start(head)
    for index in range(50):
        _, state = step(kind, state, index + 1, data_of(support, index))
    tuned = tune_head(head, support, TuningSettings("split", 50), 0)
    ours = a_head(kind)
    ours.load_state_dict({name: torch.from_numpy(state[f"parameter.{name}"]) for name, _ in head.named_parameters()})
    frames, mask = torch.randn(40, 20, WIDTH), torch.ones(40, 20)
    with torch.no_grad():
        assert F.cosine_similarity(ours(frames, mask), tuned(frames, mask)).min() >= 0.99999
        assert F.cosine_similarity(ours(frames, mask), head(frames, mask)).min() < 0.999


@pytest.mark.parametrize("kind", HEADS)
def test_where_the_gradient_is_zero_nothing_moves_and_nothing_is_nan(kind: str) -> None:
    data = data_of(a_support())
    state = start(a_head(kind))
    loss, after = step(kind, state, 1, {**data, "query_weights": 0 * data["query_weights"]})
    assert loss == 0
    for name, value in state.items():
        np.testing.assert_array_equal(after[name], value)


def test_the_diagonal_of_lateral_inhibition_stays_as_it_is() -> None:
    state = start(a_head("lateral-inhibition"))
    _, after = step("lateral-inhibition", state, 1, data_of(a_support()))
    moved = after["parameter.inhibition.weight"] != state["parameter.inhibition.weight"]
    assert not moved.diagonal().any()
    assert moved.sum() > SIZE


@pytest.mark.parametrize("kind", HEADS)
def test_a_row_without_frames_gives_numbers(kind: str) -> None:
    data = data_of(a_support())
    data["frame_mask"][[0, -1]] = 0
    loss, after = step(kind, start(a_head(kind)), 1, data)
    assert np.isfinite(loss)
    assert all(np.isfinite(value).all() for value in after.values())


def test_the_first_step_without_decay_goes_a_rate_against_the_sign_of_the_gradient() -> None:
    """Adam's first step is rate * g / (|g| + epsilon), so every weight with a gradient moves by the rate."""
    state = start(a_head("glu"))
    _, after = step("glu", state, 1, data_of(a_support()), rate=0.125)
    moved = after["parameter.value.weight"] - state["parameter.value.weight"]
    np.testing.assert_allclose(np.abs(moved), 0.125, rtol=1e-4)
    gradient = after["first_moment.value.weight"] / (1 - BETAS[0])
    np.testing.assert_array_equal(np.sign(moved), -np.sign(gradient))


@pytest.mark.parametrize("kind", HEADS)
def test_tracing_twice_gives_the_same_bytes_whatever_the_weights(kind: str) -> None:
    first = traced(kind, WIDTH, SIZE)
    torch.manual_seed(99)
    assert traced.__wrapped__(kind, WIDTH, SIZE) == first


def test_the_graph_is_plain_onnx_that_the_oldest_runtime_takes_and_tells_nothing_of_the_machine() -> None:
    model = tune_graph(a_head("glu"))
    onnx.checker.check_model(model, full_check=True)
    assert {(item.domain, item.version) for item in model.opset_import} == {("", OPSET)}
    assert OPSET <= 23
    for trace in (b"site-packages", b".py", b"/home", b"torch"):
        assert trace not in model.SerializeToString()


def test_a_graph_that_steps_otherwise_is_not_shipped() -> None:
    head = a_head("mean-fc")
    model = tune_graph(head)
    assert check_step(model, head) <= STEP_DIFFERENCE_AT_MOST
    momentum = next(
        tensor for tensor in model.graph.initializer if np.isclose(onnx.numpy_helper.to_array(tensor), 0.9).all()
    )
    momentum.CopyFrom(
        onnx.numpy_helper.from_array(np.array(0.8, onnx.numpy_helper.to_array(momentum).dtype), momentum.name)
    )
    with pytest.raises(WorkError, match=r"tune\.onnx differs from PyTorch's"):
        check_step(model, head)
