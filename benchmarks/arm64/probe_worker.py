"""Run bundles on clips and print what they answer: on this machine, and in the arm64 root, to be compared.

    python probe_worker.py WORK [NAME ...]

NAME is a bundle; without one, all are asked. `WORK/clips/` holds clips, `WORK/support/NAME/LABEL/` clips to enrol,
`WORK/bundles.json` the name and the folder or shipped name of each bundle, and `WORK/talk.*` recordings. It writes
`WORK/answers/MACHINE/NAME.npz` and `.json`, leaves out bundles whose answers are there, decodes the clips once, keeps
the embeddings of clips as they come, so that a run that was ended continues, and needs only the runtime.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from metaser.runtime import Engine, Profile, load_audio
from metaser.runtime.arrays import Waveform

BUNDLES = "bundles.json"
EMBEDDINGS, PROFILES, EVENTS, VERIFY = "embeddings", "profiles", "events", "verify"
LABELS, LIMITS = "labels", "limits"
KEPT_EVERY = 25
"""Clips."""


def answers_of(
    bundle: str, name: str, work: Path, clips: list[Waveform], kept: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a bundle answers: arrays, and labels, events and the result of `verify`; embeddings are kept in a file."""
    engine = Engine.open(bundle, provider="cpu", threads=1)
    profiles = {folder.name: engine.enroll(folder) for folder in sorted((work / "support").iterdir())}
    first = next(iter(profiles.values()))
    for support, profile in list(profiles.items()):
        profiles[f"{support}, one profile"] = _shared_profile(profile, work / f"{name}-{support}.safetensors")
    check = engine.verify()
    embeddings = embedded(engine, clips, kept)
    arrays = {EMBEDDINGS: embeddings}
    answers: dict[str, Any] = {}
    for support, profile in profiles.items():
        arrays[support] = np.stack([engine.scores(embedding, profile) for embedding in embeddings])
        calibration = profile.calibration
        answers[support] = {
            LABELS: [engine.decide(embedding, profile).label for embedding in embeddings],
            LIMITS: {"threshold": calibration.threshold, "margin": calibration.margin},
        }
    return arrays, {
        PROFILES: answers,
        EVENTS: [events(engine, first, path) for path in sorted(work.glob("talk.*"))],
        VERIFY: {"embedding_cosine": check.embedding_cosine, "frames_max_difference": check.frames_max_difference},
    }


def decoded(folder: Path, kept: Path) -> list[Waveform]:
    """All clips of a folder; decoded ones are kept in a file for the next process."""
    if not kept.exists():
        new = kept.with_suffix(f".{os.getpid()}.npz")
        np.savez(new, allow_pickle=False, **{path.name: load_audio(path) for path in sorted(folder.iterdir())})
        new.replace(kept)
    with np.load(kept) as clips:
        return list(clips.values())


def embedded(engine: Engine, clips: list[Waveform], kept: Path) -> npt.NDArray[np.float32]:
    """[N, E] the embeddings of all clips; those that a file has from a run that was ended are not computed again."""
    found = list(np.load(kept)) if kept.exists() else []
    for start in range(len(found), len(clips), KEPT_EVERY):
        found += [engine.embed(clip) for clip in clips[start : start + KEPT_EVERY]]
        new = kept.with_suffix(".new.npy")
        np.save(new, np.stack(found), allow_pickle=False)
        new.replace(kept)
    return np.stack(found)


def _shared_profile(profile: Profile, path: Path) -> Profile:
    """The profile of the machine that ran first, so that only the clips' embeddings differ."""
    if not path.exists():
        profile.save(path)
    return Profile.load(path)


def events(engine: Engine, profile: Profile, path: Path) -> list[list[Any]]:
    """The finished segments of a recording: label, start and end."""
    stream = engine.stream(profile)
    found = [*stream.push(load_audio(path)), *stream.finish()]
    return [[each.label, round(each.start_s, 3), round(each.end_s or 0, 3)] for each in found if each.event == "leave"]


def main() -> None:
    """Ask the bundles that have no answers yet."""
    warnings.simplefilter("ignore")
    work = Path(sys.argv[1])
    folder = answers_folder(work, platform.machine())
    folder.mkdir(parents=True, exist_ok=True)
    bundles = json.loads((work / BUNDLES).read_text())
    for name in sys.argv[2:] or bundles:
        bundle, answers_file = bundles[name], folder / f"{name}.json"
        if not answers_file.exists():
            clips = decoded(work / "clips", folder / "clips.npz")
            kept = folder / f"{name}.{EMBEDDINGS}.npy"
            arrays, answers = answers_of(str(work / bundle) if "/" in bundle else bundle, name, work, clips, kept)
            np.savez(answers_file.with_suffix(".npz"), allow_pickle=False, **arrays)
            answers_file.write_text(json.dumps(answers))
        print(f"{platform.machine()}: {name}", flush=True)


def answers_folder(work: Path, machine: str) -> Path:
    """Where the answers of a machine are."""
    return work / "answers" / machine


if __name__ == "__main__":
    main()
