"""Compare GPU and CPU results: the network in PyTorch, its gradients, and bundles in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metaser.export.golden import voiced_waveform
from metaser.runtime import Engine, MetaserError
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.scoring.decision import unit
from metaser.toolkit.model.backbone import load_backbone
from metaser.toolkit.model.network import Clips, ProtoNet, cosine_logits, make_head, prototypes
from metaser.toolkit.training.batches import pad

CLIPS_S = (0.5, 1.0, 2.5, 4.0)
EPISODE_CLIPS_S = (0.8, 1.0, 1.2, 1.0, 0.9, 1.1, 1.0, 1.0)
BUNDLE_LENGTHS_S = (0.2, 1.0, 3.0, 7.5, 10.0, 23.0)
LOSS_SCALE = 1024.0
MODES: dict[str, tuple[torch.dtype, bool]] = {
    "fp32": (torch.float32, False),
    "fp32 with TF32": (torch.float32, True),
    "bf16 autocast": (torch.bfloat16, False),
    "fp16 autocast": (torch.float16, False),
}
"""Name -> data type of the arithmetic, and whether float32 products may be rounded to TF32."""


def torch_parity(model: Path, layers: int, device: str) -> dict[str, Any]:
    """Frames, embeddings and gradients of a padded batch on a device compared with float32 on the CPU, by mode."""
    torch.manual_seed(0)
    backbone = load_backbone(model, layers)
    network = ProtoNet(backbone, make_head("glu", backbone.width)).eval()
    batch, episode = batch_of(CLIPS_S), batch_of(EPISODE_CLIPS_S)
    frames, embeddings = outputs(network, batch)
    loss, gradients = episode_gradients(network, episode)
    network.to(device)
    found = {}
    for name, (dtype, tf32) in MODES.items():
        with rounding(tf32), torch.autocast(device, dtype=dtype, enabled=dtype != torch.float32):
            own_frames, own_embeddings = outputs(network, batch)
            own_loss, own_gradients = episode_gradients(network, episode)
        found[name] = {
            "frames_max_difference": float((own_frames - frames).abs().max() / frames.abs().max()),
            "embedding_cosine_min": float(F.cosine_similarity(own_embeddings, embeddings).min()),
            "loss_difference": own_loss - loss,
            "gradient_cosine": float(F.cosine_similarity(own_gradients.double(), gradients.double(), dim=0)),
        }
    return found


@contextmanager
def rounding(tf32: bool) -> Iterator[None]:
    """Let CUDA round float32 products to TF32, or not; restore both settings at the end."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def batch_of(seconds: tuple[float, ...]) -> Clips:
    """Clips of these lengths, padded."""
    return pad([voiced_waveform(round(length * SAMPLE_RATE_HZ), seed) for seed, length in enumerate(seconds)])


@torch.inference_mode()
def outputs(network: ProtoNet, batch: Clips) -> tuple[Tensor, Tensor]:
    """Float32 [B, N, D] frames and [B, E] embeddings on the CPU, wherever the network is."""
    clips, lengths = (part.to(network.head.scale.device) for part in batch)
    return network.backbone(clips, lengths)[0].float().cpu(), network.embed(clips, lengths).float().cpu()


def episode_gradients(network: ProtoNet, batch: Clips) -> tuple[float, Tensor]:
    """The loss of an episode of half as many classes as clips, one shot, and [P] its gradient on the CPU.

    The loss is scaled for the backward pass, as in training in fp16.
    """
    network.zero_grad()
    embeddings = network.embed(*(part.to(network.head.scale.device) for part in batch)).float()
    support, queries = embeddings.chunk(2)  # [C, E] each
    classes = torch.arange(len(support), device=support.device)
    with torch.autocast(support.device.type, enabled=False):
        logits = cosine_logits(
            queries, prototypes(support, torch.eye(len(support), device=support.device)), network.head.scale
        )
        loss = F.cross_entropy(logits, classes)
    (LOSS_SCALE * loss).backward()
    grown = [parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None]
    return float(loss.detach()), torch.cat(grown).float().cpu() / LOSS_SCALE


def bundle_parity(bundles: dict[str, Path], provider: str) -> dict[str, Any]:
    """Embeddings and golden vectors of bundles on a provider compared with the first bundle on the CPU, by precision.

    If a bundle cannot be opened there, the reason.
    """
    clips = [voiced_waveform(round(length * SAMPLE_RATE_HZ), seed) for seed, length in enumerate(BUNDLE_LENGTHS_S)]
    reference = Engine.open(next(iter(bundles.values())), provider="cpu")
    exact = [reference.embed(clip) for clip in clips]
    found: dict[str, Any] = {}
    for precision, folder in bundles.items():
        try:
            engine = Engine.open(folder, provider=provider)
        except MetaserError as error:
            found[precision] = {"error": str(error)}
            continue
        golden = engine.verify()
        cosines = [float(unit(engine.embed(clip)) @ unit(own)) for clip, own in zip(clips, exact, strict=True)]
        found[precision] = {
            "obtained": engine.provider,
            "golden_frames_max_difference": golden.frames_max_difference,
            "golden_embedding_cosine": golden.embedding_cosine,
            "golden_passed": golden.passed,
            "cosine_by_seconds": dict(zip(map(str, BUNDLE_LENGTHS_S), cosines, strict=True)),
            "frames_max_difference_3_s": frames_difference(engine, reference),
        }
    return found


def frames_difference(engine: Engine, reference: Engine) -> float:
    """Between the frames of 3 s by two engines, divided by the largest value."""
    clip = voiced_waveform(3 * SAMPLE_RATE_HZ)
    exact = reference.model.frames(clip)
    return float(np.abs(engine.model.frames(clip) - exact).max() / np.abs(exact).max())
