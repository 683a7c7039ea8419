"""Enrol a folder of labelled clips and label one more: `python enroll_and_classify.py support/ clip.wav`."""

import sys

from metaser.runtime import Engine, load_audio

engine = Engine.open()
profile = engine.enroll(sys.argv[1])
decision = engine.classify(load_audio(sys.argv[2]), profile)
print(decision.label or "unknown", f"{decision.confidence:.0%}")
