"""The page of `metaser serve` in Chromium: `python -m benchmarks.serving.page [--minutes 60]`.

Bytes that are loaded, time to the first paint, time from the arrival of a label to the frame that shows it, and the
growth of a tab that listens for an hour to the demonstration's conversation. `make test-page` makes the environment, in
.venv-page. Writes `results/page.json`.
"""

from __future__ import annotations

import argparse
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.machine import machine, matrix_product_s, write_result
from benchmarks.serving.load import memory_mb
from metaser.runtime import Engine, load_audio
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.bundles.bundle import shipped_folder

DEMO = shipped_folder() / "demo"
LOADS = 11
SETTLED = 0.1
"""The share of the time after which growth is counted."""

OPTIONS = (
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
MEASURE_LABELS = """
window.labelTimes = [];
const Plain = WebSocket;
window.WebSocket = class extends Plain {
  constructor(...words) {
    super(...words);
    this.addEventListener("message", ({ data }) => {
      if (!["enter", "leave"].includes(JSON.parse(data).event)) return;
      const arrived = performance.now();
      requestAnimationFrame(() => setTimeout(() => window.labelTimes.push(performance.now() - arrived)));
    });
  }
};
"""


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """A running server with the demonstration's profile, and its address."""
    Engine.open(provider="cpu", threads=1).enroll(DEMO / "support").save(folder / "me.safetensors")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "metaser.cli", "serve", "--port", str(port), "--profiles", str(folder)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def loads(browser: Browser, url: str) -> dict[str, Any]:
    """Bytes and first paint, over several new contexts."""
    paints, sizes = [], []
    for _ in range(LOADS):
        page = browser.new_context().new_page()
        received: list[int] = []
        page.on("response", lambda answer, received=received: received.append(len(answer.body())))
        page.goto(url)
        page.get_by_role("button", name="Start listening").wait_for()
        paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        sizes.append(sum(received))
        page.context.close()
    return {"loaded_bytes": max(sizes), "first_paint_ms": round(float(np.median(paints)), 1), "loads": LOADS}


def renderer_mb(browser: Browser) -> float:
    """Resident memory of the largest process that renders a page."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return max(memory_mb(process["id"]) for process in processes if process["type"] == "renderer")


def heap_mb(page: Page) -> float:
    """JavaScript objects of a page after its garbage was collected."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return float(used) / 2**20


def listen(browser: Browser, url: str, minutes: float) -> dict[str, Any]:
    """Labels on the screen, and the growth of the tab."""
    page = browser.new_page()
    page.add_init_script(MEASURE_LABELS)
    page.goto(url)
    page.get_by_role("button", name="Start listening").click()
    page.wait_for_timeout(60_000 * minutes * SETTLED)
    before = (heap_mb(page), renderer_mb(browser))
    page.wait_for_timeout(60_000 * minutes * (1 - SETTLED))
    after = (heap_mb(page), renderer_mb(browser))
    times = page.evaluate("window.labelTimes")
    p50, p95, worst = (round(float(each), 1) for each in np.percentile(times, [50, 95, 100]))
    count = page.locator("#live-segments .detail").nth(1).inner_text()
    return {
        "minutes": minutes,
        "segments": int(re.findall(r"\d+", count)[0]),
        "label_on_screen_ms": {"p50": p50, "p95": p95, "max": worst, "labels": len(times)},
        "heap_mb": round(after[0], 1),
        "heap_growth_mb": round(after[0] - before[0], 2),
        "tab_mb": round(after[1], 1),
        "tab_growth_mb": round(after[1] - before[1], 1),
    }


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.page", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    given = parser.parse_args()
    product_ms = [1000 * matrix_product_s()]
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as url, sync_playwright() as playwright:
        audio = Path(folder) / "conversation.wav"
        soundfile.write(audio, load_audio(DEMO / "conversation.flac"), SAMPLE_RATE_HZ, "PCM_16")
        options = [*OPTIONS, f"--use-file-for-fake-audio-capture={audio}"]
        browser = playwright.chromium.launch(executable_path=given.chromium, args=options)
        figures = loads(browser, url) | {"browser": browser.version}
        figures |= listen(browser, url, given.minutes)
        browser.close()
    product_ms.append(1000 * matrix_product_s())
    command = "python -m benchmarks.serving.page"
    figures["matrix_product_ms"] = [round(each, 1) for each in product_ms]
    write_result("page", {"machine": machine(), "command": command, **figures})
    print(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
