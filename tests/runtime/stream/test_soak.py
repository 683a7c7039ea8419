"""`metaser stream -` for long: memory stays flat. METASER_SOAK_HOURS=1 makes it an hour."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt

from metaser.runtime import Profile
from metaser.runtime.arrays import SAMPLE_RATE_HZ

HOURS = float(os.environ.get("METASER_SOAK_HOURS", "0.1"))


def test_memory_stays_flat(profile: Profile, conversation: npt.NDArray[np.float32], tmp_path: Path) -> None:
    profile.save(tmp_path / "profile.safetensors")
    minute = (conversation * 32_767).astype("<i2").tobytes()
    turns = round(HOURS * 3600 * SAMPLE_RATE_HZ / len(conversation))
    command = [sys.executable, "-m", "metaser.cli", "stream", "-", "--json", "--threads", "1"]
    command += ["--profile", str(tmp_path / "profile.safetensors")]
    held_mb = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        reader = threading.Thread(target=process.stdout.read)
        reader.start()
        for _ in range(turns):
            process.stdin.write(minute)
            pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
            held_mb.append(int(pages) * os.sysconf("SC_PAGESIZE") / 1e6)
        process.stdin.close()
        reader.join()
        assert process.wait() == 0
    assert max(held_mb) - held_mb[max(1, turns // 12)] < 5
