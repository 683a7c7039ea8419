"""`metaser stream` in its own process: the time to its first label, and its memory over an hour."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from metaser.runtime import Profile
from metaser.runtime.arrays import SAMPLE_RATE_HZ

HOUR_S, WARM_S, SAMPLE_S = 3600, 300, 30
STARTS = 5
PAGE_BYTES = 4096
Audio = npt.NDArray[np.float32]


def command(arguments: argparse.Namespace, source: str, profile: Path) -> list[str]:
    """`metaser stream SOURCE --json` with the run's settings."""
    words = [sys.executable, "-m", "metaser.cli", "stream", source, "--json", "--profile", str(profile)]
    words += ["--window", str(arguments.window), "--hop", str(arguments.hop), "--threads", str(arguments.threads)]
    return words + (["--bundle", arguments.bundle] if arguments.bundle else [])


def first_label_s(profile: Profile, conversation: Audio, arguments: argparse.Namespace) -> dict[str, object]:
    """Seconds from a process's start to its first label, for a recording that begins with speech; median and worst.

    `of_it_speech_s` is the audio needed before that label: up to the start of speech, and its first second.
    """
    from metaser.runtime import StreamSettings

    times_s = []
    with tempfile.TemporaryDirectory() as name:
        path, saved = Path(name) / "speech.wav", Path(name) / "profile.safetensors"
        soundfile.write(path, conversation[_onset(conversation) :], SAMPLE_RATE_HZ)
        profile.save(saved)
        for _ in range(STARTS):
            began = time.perf_counter()
            words = [*command(arguments, str(path), saved), "--realtime"]
            with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
                assert process.stdout is not None
                first = json.loads(process.stdout.readline())
                times_s.append(time.perf_counter() - began)
                process.terminate()
    return {
        "first_label_s_median": round(float(np.median(times_s)), 3),
        "first_label_s_worst": round(max(times_s), 3),
        "first_label_of_it_speech_s": round(first["start_s"] + min(StreamSettings.min_window_s, arguments.window), 3),
    }


def _onset(audio: Audio) -> int:
    """Seconds to the first sample as loud as speech."""
    return int(np.argmax(np.abs(audio) > 0.05))


def memory_growth_mb(profile: Profile, conversation: Audio, arguments: argparse.Namespace) -> float:
    """Memory growth from five minutes to one hour of audio on standard input, at top speed."""
    block = (conversation * 32767).astype("<i2").tobytes()
    length_s = len(conversation) / SAMPLE_RATE_HZ
    held: list[int] = []
    with tempfile.TemporaryDirectory() as name:
        saved = Path(name) / "profile.safetensors"
        profile.save(saved)
        words = command(arguments, "-", saved)
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            reader = threading.Thread(target=process.stdout.read)
            reader.start()
            for _ in range(round(HOUR_S / length_s)):
                process.stdin.write(block)
                pages = Path(f"/proc/{process.pid}/statm").read_text(encoding="utf-8").split()[1]
                held.append(int(pages) * PAGE_BYTES)
            process.stdin.close()
            reader.join()
    return round((max(held) - held[round(WARM_S / length_s)]) / 1e6, 2)
