"""Enrol arrays, save the profile and open it again: `python arrays_and_profile.py support/ me.safetensors`."""

import sys
from pathlib import Path

from metaser.runtime import Engine, load_audio

support, profile_path = Path(sys.argv[1]), sys.argv[2]
clips = {folder.name: [load_audio(path) for path in sorted(folder.iterdir())] for folder in sorted(support.iterdir())}

engine = Engine.open()
engine.enroll(clips).save(profile_path)
profile = engine.open_profile(profile_path)
print(f"{len(profile.clips)} clips of {', '.join(profile.labels)}; prototypes {profile.prototypes.shape}")
