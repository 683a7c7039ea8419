"""Check that one step of the tuning graph equals one step of `torch.optim.AdamW`, before the graph is shipped.

Letters: B rows of a step, N frames, D frame width, C classes.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx
import torch

from metaser.export.graphs import PARAMETER
from metaser.export.tuning_graph import BETAS, FIRST_MOMENT, NEXT, SECOND_MOMENT, InnerLoss
from metaser.runtime.errors import WorkError
from metaser.runtime.providers.session import import_onnxruntime, session_options
from metaser.runtime.tuning.steps import StepSampler
from metaser.toolkit.model.network import Head

if TYPE_CHECKING:
    import onnxruntime

STEP_DIFFERENCE_AT_MOST = 1e-6
LEARNING_RATE, WEIGHT_DECAY, EPSILON = 1e-3, 0.01, 1e-8

Arrays = dict[str, npt.NDArray[np.float32]]


def check_step(model: onnx.ModelProto, head: Head) -> float:
    """The largest difference between one step and PyTorch's, in parameters, moments and the loss.

    It is relative to the largest entry of each tensor, if that is above 1: more digits are not in float32.

    Raises:
        WorkError: it is too large.
    """
    session = import_onnxruntime().InferenceSession(model.SerializeToString(), session_options())
    difference = max(step_difference(session, head, clips, seed) for seed, clips in enumerate((4, 7)))
    if not difference <= STEP_DIFFERENCE_AT_MOST:
        raise WorkError(f"a step of tune.onnx differs from PyTorch's by {difference:.1e}: nothing was written")
    return difference


def step_difference(session: onnxruntime.InferenceSession, head: Head, clips: int, seed: int) -> float:
    """Step 12 of tuning on random frames of three classes, from a random state."""
    rng = np.random.default_rng(seed)
    targets = np.repeat(np.arange(3), clips)
    lengths = rng.integers(5, 5 + 3 * clips, len(targets))
    step = StepSampler(targets, lengths, "split", seed).draw(0)
    frames = rng.standard_normal((len(targets), lengths.max(), head.width)).astype(np.float32)[step.rows]
    data = {
        "frames": frames,
        "frame_mask": step.frame_mask,
        "support_weights": step.support_weights,
        "query_weights": step.query_weights,
    }
    state = _state(head, rng)
    scalars = {
        "learning_rate": np.float32(LEARNING_RATE),
        "weight_decay": np.float32(WEIGHT_DECAY),
        "epsilon": np.float32(EPSILON),
        "step": np.int64(12),
    }
    feeds = {**state, **{name: np.asarray(value) for name, value in scalars.items()}, **data}
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, feeds), strict=True))
    expected = _by_torch(head, state, data)
    return max(
        float(np.abs(found[name] - value).max() / max(1.0, np.abs(value).max())) for name, value in expected.items()
    )


def _state(head: Head, rng: np.random.Generator) -> Arrays:
    """The head's parameters, and moments of a realistic size."""
    state: Arrays = {}
    for name, value in head.named_parameters():
        state[f"{PARAMETER}{name}"] = value.detach().numpy()
        state[f"{FIRST_MOMENT}{name}"] = (0.01 * rng.standard_normal(value.shape)).astype(np.float32)
        state[f"{SECOND_MOMENT}{name}"] = rng.uniform(1e-5, 1e-4, value.shape).astype(np.float32)
    return {name: np.asarray(value, np.float32) for name, value in state.items()}


def _by_torch(head: Head, state: Arrays, data: Arrays) -> Arrays:
    """The loss and the state after the step."""
    head = copy.deepcopy(head)
    optimiser = torch.optim.AdamW(head.parameters(), LEARNING_RATE, BETAS, EPSILON, WEIGHT_DECAY)
    for name, parameter in head.named_parameters():
        optimiser.state[parameter] = {
            "step": torch.tensor(11.0),
            "exp_avg": torch.from_numpy(state[f"{FIRST_MOMENT}{name}"].copy()),
            "exp_avg_sq": torch.from_numpy(state[f"{SECOND_MOMENT}{name}"].copy()),
        }
    (loss,) = InnerLoss(head)(*map(torch.from_numpy, data.values()))
    loss.backward()
    optimiser.step()
    after: Arrays = {"loss": loss.detach().numpy()}
    for name, parameter in head.named_parameters():
        after[f"{PARAMETER}{name}{NEXT}"] = parameter.detach().numpy()
        after[f"{FIRST_MOMENT}{name}{NEXT}"] = optimiser.state[parameter]["exp_avg"].numpy()
        after[f"{SECOND_MOMENT}{name}{NEXT}"] = optimiser.state[parameter]["exp_avg_sq"].numpy()
    return after
