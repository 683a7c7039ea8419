"""Build the images of `examples/` and run them as containers: `python -m benchmarks.deployment.images`; as root.

Where a Docker daemon answers, it builds and runs them. Otherwise the steps of each Dockerfile run in a Debian root, for
amd64 and in an emulator for arm64, and the commands run there as a user without rights, without a network, on a root
that cannot be written. Writes `benchmarks/results/images.json`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socketserver
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.debian import ARCHITECTURES, Root, UnavailableError, emulator, exit_if_unavailable, parser_of
from benchmarks.deployment import attempts_worker
from benchmarks.deployment.docker import DockerImage, build_with_docker, daemon_version
from benchmarks.deployment.dockerfile import Settings
from benchmarks.deployment.image import Image, build, open_to_attempts
from benchmarks.machine import read_result, write_result
from metaser.runtime.bundles.bundle import shipped_folder

NAME = "benchmarks.deployment.images"
Run: TypeAlias = Callable[[Sequence[str], Path], "subprocess.CompletedProcess[str]"]

ROOT = Path(__file__).parents[2]
DOCKERFILES = {"jetson": ROOT / "examples/jetson/Dockerfile", "server": ROOT / "examples/server/Dockerfile"}
SUITE = "trixie"
"""Stands for the images that FROM names: `debian:trixie-slim`, and NVIDIA's for JetPack 6."""

REFUSED = {"write outside its own folder", "become root", "reach another address"}
"""What must be refused; a namespace of its own is refused by Docker's filter of system calls alone."""

PROFILE = "/data/profile.safetensors"
COMMANDS = {
    "doctor": ["metaser", "doctor"],
    "verify": ["metaser", "verify"],
    "demo": ["metaser", "demo"],
    "enroll": ["metaser", "enroll", "/mnt/support", "--profile", PROFILE],
    "stream": ["metaser", "stream", "/mnt/conversation.flac", "--json", "--profile", PROFILE],
}
SERVE = """
"$@" & server=$!
for second in $(seq 120); do
    if python -c "$HEALTH" 2>/dev/null; then echo ready; break; fi
    sleep 1
done
kill -TERM $server
wait $server
"""
"""Start the server, ask the command of HEALTHCHECK until it answers, and end the server as Docker does."""


def examined(run: Run, settings: Settings, shared: Path) -> dict[str, Any]:
    """Run the commands of a user in containers of an image, what is forbidden, and a server."""
    found: dict[str, Any] = {"commands": {}, "refused": []}
    for name, words in COMMANDS.items():
        print(f"  {name}", flush=True)
        done = run(words, shared)
        if done.returncode:
            last = " ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-1:])
            raise UnavailableError(f"{name} failed in the container with exit code {done.returncode}: {last}")
        found["commands"][name] = (done.stdout.splitlines() or [""])[-1]
    events = [json.loads(line) for line in done.stdout.splitlines()]
    found["labels"] = [event["label"] for event in events if event["event"] == "leave"]
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as listener:
        attempts = ["python", "/mnt/attempts_worker.py", *map(str, listener.server_address)]
        found["refused"] = json.loads(run(attempts, shared).stdout)
    if settings.health:
        print("  server", flush=True)
        health = settings.health[-1]
        serve = ["env", f"HEALTH={health}", "METASER_TOKEN=0123456789abcdef0123456789abcdef", "sh", "-c", SERVE, "sh"]
        done = run([*serve, *settings.entrypoint], shared)
        found["server"] = {"ready": "ready" in done.stdout.splitlines(), "exit_code": done.returncode}
    return found


def material(folder: Path) -> Path:
    """What containers get at /mnt: the clips of the demo, and the attempts."""
    shared = folder / "shared"
    shutil.copytree(shipped_folder() / "demo", shared, dirs_exist_ok=True)
    shutil.copy(attempts_worker.__file__, shared)
    return shared


def check(given: argparse.Namespace) -> dict[str, Any]:
    """Build and examine every image for every architecture; image and the way it was built -> what was found."""
    folder: Path = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    docker = daemon_version()
    images: dict[str, Any] = {}
    for arch in given.arch:
        base = Root(folder / f"{SUITE}-{arch}", arch)
        built = f"by Docker {docker}" if docker else f"its steps in Debian {SUITE}"
        built += f", {emulator()}" if base.emulated else ""
        if not docker:
            base.check()
            print(f"Debian {SUITE} for {arch}", flush=True)
            base.make(SUITE, (), given.mirror)
        for name, dockerfile in DOCKERFILES.items():
            print(f"{name}, {arch}", flush=True)
            image: Image | DockerImage
            if docker:
                image = build_with_docker(dockerfile, ROOT, arch, folder)
            else:
                image = build(dockerfile, ROOT, base, folder / f"{name}-{arch}")
                open_to_attempts(image.root)
            way = " by Docker" if docker else ""
            images[f"{name} {arch}{way}"] = {"built": built, **examined(image.run, image.settings, material(folder))}
    return images


def is_as_it_should_be(image: dict[str, Any]) -> bool:
    """Whether an image did its work and was refused everything else."""
    return set(image["refused"]) >= REFUSED and image.get("server", {"ready": True})["ready"]


def main() -> int:
    """Check, and write the result; exit code 3 if this machine cannot."""
    parser = parser_of(NAME, __doc__.split("\n")[0], ROOT / "build" / "deployment")
    parser.add_argument("--arch", nargs="+", choices=list(ARCHITECTURES), default=list(ARCHITECTURES))
    given = parser.parse_args()
    with exit_if_unavailable():
        found = check(given)
    images = read_result("images").get("images", {}) | found  # and those of other architectures and ways
    write_result("images", {"command": f"python -m {NAME}", "images": images})
    return 0 if all(map(is_as_it_should_be, found.values())) else 1


if __name__ == "__main__":
    sys.exit(main())
