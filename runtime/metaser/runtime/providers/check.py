"""Checking that a provider does the work, by ONNX Runtime's own profile of one run."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from metaser.runtime.errors import MissingDependencyError, WorkError

HEAVY = ("MatMul", "Gemm", "Conv", "Attention", "Quantize", "QLinear", "Einsum")
"""Parts of the names of the costly operators: matrix products, convolutions, attention, quantisation.

ONNX Runtime names fused operators after them: FusedMatMul, DynamicQuantizeMatMul, NhwcFusedConv, MultiHeadAttention.
"""


def check_profile(profile: Path, provider: str, graph: str) -> None:
    """Refuse a run whose costly operators were not all on `provider` (ONNX Runtime's name).

    A session may list a provider and still run nothing on it: unsupported operators go to the CPU silently. Operators
    that a provider has compiled into one part of its own count as that part. Shapes and masks may stay on the CPU. If
    nothing at all ran on the provider, the run is refused too.

    Raises:
        MissingDependencyError: a costly operator ran elsewhere, or nothing ran on the provider.
        WorkError: the profile cannot be read.
    """
    ran = _operators(profile)
    elsewhere: Counter[str] = Counter()
    for (where, operator), runs in ran.items():
        if where != provider and any(part in operator for part in HEAVY):
            elsewhere[f"{operator} on {where}"] += runs
    if elsewhere:
        listed = ", ".join(f"{runs} {name}" for name, runs in elsewhere.most_common(3))
        raise MissingDependencyError(
            f"{provider} was requested but did not run all of {graph} ({listed}): "
            "run with --provider cpu, or use a bundle that was exported for it"
        )
    if not any(where == provider for where, _ in ran):
        raise MissingDependencyError(f"{provider} was requested but ran nothing of {graph}: run with --provider cpu")


def _operators(profile: Path) -> Counter[tuple[str, str]]:
    """(provider, operator) -> how often it ran."""
    try:
        events: list[dict[str, Any]] = json.loads(profile.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WorkError(f"onnxruntime's record of its run cannot be read ({error}): update onnxruntime") from error
    nodes = (event["args"] for event in events if event.get("cat") == "Node" and "args" in event)
    return Counter((node["provider"], node["op_name"]) for node in nodes if "provider" in node)
