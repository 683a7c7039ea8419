"""Run bundles on clips and print what they answer: on this machine, and in the arm64 root, to be compared.

    python probe_worker.py WORK

`WORK/clips/` holds clips, `WORK/support/LABEL/` the clips to enrol, `WORK/bundles/` bundles as folders or as text files
that hold a shipped name, and `WORK/talk.*` recordings. It writes `WORK/answers-MACHINE.npz` and `.json`, and needs only
the runtime.
"""

from __future__ import annotations

import json
import platform
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from metaser.runtime import Engine, Profile, load_audio

EMBEDDINGS, SCORES = "embeddings", "scores"


def answers_of(bundle: str, work: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a bundle answers: arrays, and labels, events and the result of `verify`."""
    engine = Engine.open(bundle, provider="cpu", threads=1)
    profile = engine.enroll(work / "support")
    clips = [load_audio(path) for path in sorted((work / "clips").iterdir())]
    embeddings = np.stack([engine.embed(clip, profile) for clip in clips])
    decisions = [engine.classify(clip, profile) for clip in clips]
    shared = _shared_profile(profile, bundle, work)
    check = engine.verify()
    arrays = {
        EMBEDDINGS: embeddings,
        SCORES: np.array([list(decision.scores.values()) for decision in decisions]),
        "enrolled": profile.embeddings,
        "scores by one profile": np.array([list(engine.classify(clip, shared).scores.values()) for clip in clips]),
    }
    return arrays, {
        "labels": [decision.label for decision in decisions],
        "labels by one profile": [engine.classify(clip, shared).label for clip in clips],
        "events": [events(engine, profile, path) for path in sorted(work.glob("talk.*"))],
        "verify": {"embedding_cosine": check.embedding_cosine, "frames_max_difference": check.frames_max_difference},
    }


def _shared_profile(profile: Profile, bundle: str, work: Path) -> Profile:
    """The profile of the machine that ran first, so that only the clips' embeddings differ."""
    path = work / f"{Path(bundle).name}.safetensors"
    if not path.exists():
        profile.save(path)
    return Profile.load(path)


def events(engine: Engine, profile: Profile, path: Path) -> list[list[Any]]:
    """The finished segments of a recording: label, start and end."""
    stream = engine.stream(profile)
    found = [*stream.push(load_audio(path)), *stream.finish()]
    return [[each.label, round(each.start_s, 3), round(each.end_s or 0, 3)] for each in found if each.event == "leave"]


def main() -> None:
    """Run all bundles."""
    warnings.simplefilter("ignore")
    work = Path(sys.argv[1])
    arrays: dict[str, Any] = {}
    answers: dict[str, Any] = {}
    for path in sorted((work / "bundles").iterdir()):
        bundle = path.read_text().strip() if path.is_file() else str(path)
        found, answers[path.name] = answers_of(bundle, work)
        arrays |= {f"{path.name}/{name}": values for name, values in found.items()}
        print(f"{platform.machine()}: {path.name}", flush=True)
    place = work / f"answers-{platform.machine()}"
    np.savez(place.with_suffix(".npz"), allow_pickle=False, **arrays)
    place.with_suffix(".json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
