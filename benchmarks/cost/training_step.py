"""Time and memory of a training step.

    python -m benchmarks.cost.training_step whisper BACKBONE
    python -m benchmarks.cost.training_step xlsr

`whisper`: forward and backward of an episode of 40 clips of 2.5 s through three layers of Whisper base with a GLU
head, front end frozen, in float32 and, on a CPU that supports it, in bfloat16. `xlsr`: a whole optimiser step of
XLS-R 300M at full size with random weights, bfloat16 and gradient checkpointing, to show that it fits in memory.
"""

from __future__ import annotations

import resource
import sys
import time
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.machine import best_median_s, matrix_product_s, write_result
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.toolkit.config import FreezeConfig
from metaser.toolkit.model.backbone import build_backbone, load_backbone
from metaser.toolkit.model.network import ProtoNet, make_head
from metaser.toolkit.training.freezing import (
    checkpoint_gradients,
    computes_bfloat16,
    freeze,
    set_training_mode,
)

N_WAY, K_SHOT, N_QUERY, CLIP_S = 4, 5, 5, 2.5
XLSR_300M: dict[str, Any] = {
    "model_type": "wav2vec2",
    "layers": 24,
    "do_normalize": True,
    "config": {
        "hidden_size": 1024,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "conv_bias": True,
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
        "num_conv_pos_embeddings": 128,
        "num_conv_pos_embedding_groups": 16,
    },
}
"""The architecture of facebook/wav2vec2-xls-r-300m."""


def episode_backward(network: ProtoNet, dtype: torch.dtype) -> float:
    """Run forward and backward of one synthetic episode; return the loss."""
    shots, queries = N_WAY * K_SHOT, N_WAY * N_QUERY
    samples = int(CLIP_S * SAMPLE_RATE_HZ)
    clips = torch.randn(shots + queries, samples, generator=torch.Generator().manual_seed(0)) / 10
    lengths = torch.full((shots + queries,), samples)
    weights = torch.kron(torch.eye(N_WAY), torch.full((1, K_SHOT), 1 / K_SHOT))  # [C, M]
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        logits = network((clips[:shots], lengths[:shots]), (clips[shots:], lengths[shots:]), weights)
    loss = F.cross_entropy(logits.float(), torch.arange(N_WAY).repeat_interleave(N_QUERY))
    loss.backward()
    return float(loss.detach())


def whisper(folder: str) -> dict[str, Any]:
    """Seconds per episode in each precision."""
    network = ProtoNet(load_backbone(folder, 3), make_head("glu", 512))
    settings = FreezeConfig(front_end=True)
    freeze(network.backbone, settings)
    set_training_mode(network, settings)
    network.backbone.keep_float32()
    seconds = {
        str(dtype).removeprefix("torch."): best_median_s(partial(episode_backward, network, dtype), runs=3)
        for dtype in (torch.float32, *([torch.bfloat16] if computes_bfloat16(torch.device("cpu")) else []))
    }
    return {"what": "3 layers of Whisper base, GLU 256, 40 clips of 2.5 s, forward and backward", "seconds": seconds}


def xlsr() -> dict[str, Any]:
    """Seconds and peak memory of one whole step."""
    torch.manual_seed(0)
    backbone = build_backbone(XLSR_300M)
    for name, parameter in backbone.named_parameters():
        torch.nn.init.constant_(parameter, float("norm" in name and name.endswith("weight")))
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.02)
    network = ProtoNet(backbone, make_head("glu", 1024))
    settings = FreezeConfig(front_end=True)
    freeze(backbone, settings)
    set_training_mode(network, settings)
    checkpoint_gradients(backbone)
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-5)
    start = time.perf_counter()
    loss = episode_backward(network, torch.bfloat16)
    optimiser.step()
    seconds = time.perf_counter() - start
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {
        "what": "XLS-R 300M, 24 layers, random weights, 40 clips of 2.5 s, bfloat16, checkpointed, one AdamW step",
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "loss": loss,
        "seconds": seconds,
        "peak_memory_gib": peak_gb,
    }


def main() -> None:
    """Measure the named model, write the result."""
    name = sys.argv[1]
    figures = {"command": f"python -m benchmarks.cost.training_step {name}", "threads": torch.get_num_threads()}
    figures["matrix_product_1024_before_ms"] = 1000 * matrix_product_s()
    figures |= whisper(sys.argv[2]) if name == "whisper" else xlsr()
    figures["matrix_product_1024_after_ms"] = 1000 * matrix_product_s()
    write_result(f"training_step_{name}", figures)


if __name__ == "__main__":
    main()
