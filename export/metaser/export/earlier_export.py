"""Find the earlier exports of a bundle that give the same embeddings, so that their profiles remain valid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from metaser.export.golden import voiced_waveform
from metaser.export.identity import graph_id, model_id
from metaser.export.parity import Graphs
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.bundles.bundle import MANIFEST, open_bundle
from metaser.runtime.bundles.manifest import Precision
from metaser.runtime.errors import MetaserError
from metaser.runtime.scoring.decision import unit
from metaser.toolkit.model.network import ProtoNet

EQUAL_COSINE = 0.99999
SECONDS = (1.0, 1.7, 2.4)
"""Length of the synthetic clips that are compared in addition to those of the export."""


def equal_graphs(
    earlier: Path, folder: Path, network: ProtoNet, precision: Precision, clips: Sequence[Waveform] = ()
) -> list[str]:
    """The graph ids of the bundle `earlier` whose embeddings the graphs in `folder` reproduce.

    Empty if there is no such bundle, if it cannot be opened, or if its model or precision differs.
    """
    if not (earlier / MANIFEST).is_file():
        return []
    try:
        manifest = open_bundle(earlier).manifest
        if (manifest.model_id, manifest.precision) != (model_id(network), precision):
            return []
        before, now = Graphs(earlier, network), Graphs(folder, network)
    except MetaserError:  # a damaged bundle: the export replaces it
        return []
    made_up = [voiced_waveform(int(seconds * SAMPLE_RATE_HZ), seed) for seed, seconds in enumerate(SECONDS)]
    for clip in (*made_up, *clips):
        if not float(unit(before.embed(clip)) @ unit(now.embed(clip))) >= EQUAL_COSINE:
            return []
    own = graph_id(folder)
    return [known for known in (manifest.graph_id, *manifest.equal_graphs) if known != own]
