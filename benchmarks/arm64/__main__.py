"""Run the wheel on an emulated arm64 Debian and compare it with this machine: `python -m benchmarks.arm64 CORPORA`.

It installs the wheel with its real dependencies for arm64, runs doctor, verify and the demo, and compares embeddings,
labels and events of 100 clips of RAVDESS with those on this machine. Writes `benchmarks/results/arm64.json`. Nothing is
timed: an emulator says nothing about speed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.arm64 import probe_worker
from benchmarks.arm64.compare import compared
from benchmarks.arm64.root import (
    CPU,
    ENVIRONMENT,
    PYTHON,
    SUITE,
    UnavailableError,
    check_machine,
    fetch_wheels,
    inside,
    install,
    make_root,
)
from benchmarks.machine import write_result

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "runtime" / "metaser" / "runtime" / "data" / "demo"
BUNDLES = ("default",)
CLIPS = 100
COMMANDS = (("doctor",), ("verify",), ("demo",))


def prepare(work: Path, corpora: Path, bundles: tuple[str, ...], clips: int) -> None:
    """Put clips, support, a recording and the names of bundles into the working folder."""
    shutil.rmtree(work, ignore_errors=True)
    (work / "clips").mkdir(parents=True)
    (work / "bundles").mkdir()
    found = sorted((corpora / "ravdess").rglob("*.*g")) + sorted((corpora / "ravdess").rglob("*.flac"))
    if len(found) < clips:
        raise UnavailableError(f"{corpora} has no folder ravdess with {clips} clips: make arm64 CORPORA=FOLDER")
    for path in found[:: len(found) // clips][:clips]:
        shutil.copy(path, work / "clips")
    shutil.copytree(DEMO / "support", work / "support")
    shutil.copy(DEMO / "conversation.flac", work / "talk.flac")
    for bundle in bundles:
        (work / "bundles" / bundle).write_text(bundle)
    shutil.copy(Path(probe_worker.__file__), work / "probe_worker.py")


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Make the root, install the wheel, run the commands and compare."""
    check_machine()
    base: Path = given.folder
    root, work = base / "root", base / "work"
    wheels = sorted((ROOT / "dist").glob("*.whl"))
    if not wheels:
        raise UnavailableError("there is no wheel in dist/: make wheel")
    prepare(work, given.corpora, BUNDLES, CLIPS)
    print(f"Debian {SUITE} for arm64 in {root}", flush=True)
    make_root(root, given.mirror)
    fetch_wheels(wheels[-1], work / "wheels")
    print("Installing the wheel", flush=True)
    install(root, work)
    printed = {}
    for words in COMMANDS:
        print(f"metaser {' '.join(words)}", flush=True)
        printed[" ".join(words)] = inside(root, work, "metaser", *words).splitlines()
    subprocess.run([sys.executable, str(work / "probe_worker.py"), str(work)], check=True)
    print(inside(root, work, "python", "/mnt/probe_worker.py", "/mnt"), end="", flush=True)
    packages = inside(root, work, f"{ENVIRONMENT}/bin/pip", "freeze").split()
    return {
        "system": f"Debian {SUITE}, arm64, Python {PYTHON}, qemu-user with {CPU}",
        "packages": packages,
        "printed": printed,
        "compared": compared(work, "x86_64", "aarch64"),
    }


def main() -> int:
    """Run, and write the result; exit code 3 if this machine cannot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.arm64", description=__doc__.split("\n")[0])
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "arm64", help="for the root, about 1 GB")
    parser.add_argument("--mirror", help="of Debian's packages; the default one of debootstrap")
    try:
        document = run(parser.parse_args())
    except UnavailableError as error:
        print(error, file=sys.stderr)
        return 3
    write_result("arm64", {"command": "python -m benchmarks.arm64 CORPORA", **document})
    return 0


if __name__ == "__main__":
    sys.exit(main())
