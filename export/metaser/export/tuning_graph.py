"""The tuning graph: one AdamW step on a head's parameters, including gradients, for a device without PyTorch.

PyTorch derives the backward pass while the loss is traced, for any head; the optimiser is written here. One step
equals one step of `torch.optim.AdamW`, and with a weight decay of 0 one of `torch.optim.Adam`.

Letters: B rows of a step, N frames, D frame width, E embedding size, C classes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.export.experimental import _export_forward_backward  # torch has no other export of a backward pass
from torch.export.graph_signature import InputKind

from metaser.export.graphs import PARAMETER, export_graph, quiet
from metaser.toolkit.model.network import Head, cosine_logits, make_head, prototypes

FIRST_MOMENT, SECOND_MOMENT = "first_moment.", "second_moment."
NEXT = ".next"
BETAS = (0.9, 0.999)
"""As in torch.optim."""

Named: TypeAlias = dict[str, Tensor]


class InnerLoss(nn.Module):
    """The loss of one tuning step: inner support rows form prototypes, and inner queries are compared with them."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, frames: Tensor, frame_mask: Tensor, support: Tensor, query: Tensor) -> tuple[Tensor]:
        """[B, N, D], [B, N] and the weights [C, B] and [B, C] of a `TuningStep` -> the loss."""
        embeddings = self.head(frames, frame_mask)  # [B, E]
        logits = cosine_logits(embeddings, prototypes(embeddings, support), self.head.scale)  # [B, C]
        return (-(query * logits.log_softmax(-1)).sum(),)


class TuneGraph(nn.Module):
    """The loss with its backward pass, then one AdamW step; parameters and moments are inputs and outputs."""

    def __init__(self, joint: ExportedProgram) -> None:
        super().__init__()
        self.joint = joint.graph_module
        self._state: list[str | Tensor] = []  # the joint graph's first inputs: names of parameters, and constants
        for spec in joint.graph_signature.input_specs:
            if spec.target is not None:
                is_parameter = spec.kind is InputKind.PARAMETER
                self._state.append(_own_name(spec.target) if is_parameter else joint.constants[spec.target])

    def forward(  # noqa: PLR0913, PLR0917 # one argument an input of the graph
        self,
        parameters: Named,
        first_moments: Named,
        second_moments: Named,
        learning_rate: Tensor,
        weight_decay: Tensor,
        epsilon: Tensor,
        step: Tensor,
        *data: Tensor,
    ) -> tuple[Tensor, Named, Named, Named]:
        """The state before step number `step` (from 1) and its data -> the loss, and the state after the step."""
        loss, *gradients = self.joint(*(parameters[own] if isinstance(own, str) else own for own in self._state), *data)
        elapsed = step.to(torch.float64)  # in float32, 1 - 0.999 loses four digits
        first_share, second_share = ((1 - torch.full_like(elapsed, beta).pow(elapsed)).float() for beta in BETAS)
        names = [own for own in self._state if isinstance(own, str)]
        after: tuple[Named, Named, Named] = ({}, {}, {})
        for name, gradient in zip(names, gradients, strict=True):
            first = BETAS[0] * first_moments[name] + (1 - BETAS[0]) * gradient
            second = BETAS[1] * second_moments[name] + (1 - BETAS[1]) * gradient * gradient
            decayed = parameters[name] * (1 - learning_rate * weight_decay)
            divisor = (second / second_share).sqrt() + epsilon  # an input: exporters drop a constant of 1e-8 as zero
            values = (decayed - learning_rate * (first / first_share) / divisor, first, second)
            for tensors, value in zip(after, values, strict=True):
                tensors[name] = value
        ordered = [{name: tensors[name] for name in parameters} for tensors in after]
        return loss, ordered[0], ordered[1], ordered[2]


def tune_graph(head: Head) -> onnx.ModelProto:
    """One tuning step as an ONNX model; it depends on the head's kind and sizes, not on its weights.

    Inputs `parameter.NAME` …, `first_moment.NAME` …, `second_moment.NAME` …, `learning_rate`, `weight_decay`,
    `epsilon`, `step` (int64, from 1), `frames` [batch, frames, D], `frame_mask` [batch, frames], `support_weights`
    [classes, batch], `query_weights` [batch, classes]; outputs `loss`, and those of the state with `.next`.
    """
    return onnx.load_from_string(traced(head.kind, head.width, head.embedding_size))


@lru_cache
def traced(kind: str, width: int, embedding_size: int) -> bytes:
    """The serialised graph of a kind and size of head; tracing one takes some seconds."""
    head = make_head(kind, width, embedding_size)
    parameters = {name: value.detach() for name, value in head.named_parameters()}
    data = (torch.ones(4, 5, width), torch.ones(4, 5), torch.ones(3, 4), torch.ones(4, 3))  # only the shapes are used
    batch, frames, classes = Dim("batch"), Dim("frames"), Dim("classes")
    shapes = ({0: batch, 1: frames}, {0: batch, 1: frames}, {0: classes, 1: batch}, {0: batch, 1: classes})
    with quiet():
        loss = torch.export.export(InnerLoss(head), data, dynamic_shapes=shapes, strict=False)
        joint = _export_forward_backward(loss)
    # copies, because a tensor passed twice becomes one input
    state = [{name: value.clone() for name, value in parameters.items()} for _ in range(3)]
    scalars = [*(torch.ones(()) for _ in range(3)), torch.ones((), dtype=torch.int64)]
    state_names = [f"{part}{name}" for part in (PARAMETER, FIRST_MOMENT, SECOND_MOMENT) for name in parameters]
    data_names = ["frames", "frame_mask", "support_weights", "query_weights"]
    model = export_graph(
        TuneGraph(joint),
        (*state, *scalars, *data),
        (*(dict.fromkeys(parameters) for _ in state), *(None for _ in scalars), shapes),
        (
            [*state_names, "learning_rate", "weight_decay", "epsilon", "step", *data_names],
            ["loss", *(f"{name}{NEXT}" for name in state_names)],
        ),
    )
    return model.SerializeToString(deterministic=True)


def _own_name(target: str) -> str:
    """A parameter's name in the head, from its name in the loss."""
    return target.removeprefix("head.")
