"""Run the units of `examples/` under systemd: `python -m benchmarks.deployment.services`, as root on x86-64.

A Debian root gets the wheel and the units by the commands of docs/jetson.md and of the unit of the server. systemd runs
in it as the first process, in namespaces of its own, and starts the services with all their restrictions. Writes
`benchmarks/results/services.json`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.debian import Root, exit_if_unavailable, parser_of
from benchmarks.deployment import attempts_worker
from benchmarks.deployment.booted import Booted, booted
from benchmarks.deployment.image import CERTIFICATES, copy_context, open_to_attempts
from benchmarks.machine import write_result
from metaser.runtime.bundles.bundle import shipped_folder

NAME = "benchmarks.deployment.services"
ROOT = Path(__file__).parents[2]
SUITE = "trixie"
PACKAGES = (
    "curl", "dbus", "iproute2", "libportaudio2", "python3-venv", "sudo", "systemd", "systemd-sysv",
)  # fmt: skip
PAGE = ROOT / "docs" / "jetson.md"
SECTION = "## A service that writes a log"
UNITS = {"metaser-stream": ROOT / "examples/jetson", "metaser-serve": ROOT / "examples/server"}
MICROPHONE, RECORDING = "--mic", "/var/lib/metaser/conversation.flac"
METASER = "/opt/metaser/bin/metaser"
CURL = "curl --fail --silent --show-error"
NOT_OF_A_PROBE = r"(ExecStart|Type|NotifyAccess|WatchdogSec|Restart)"
PORT = 8000
ELSEWHERE = "192.0.2.7"
"""An address of the root that is not localhost; RFC 5737 keeps it for documentation."""


def install(root: Root, base: Root) -> None:
    """Install metaser and the units into a copy of `base` by the documented commands, up to those of systemctl."""
    shutil.rmtree(root.path, ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", base.path, root.path], check=True)
    source = root.path / "source"
    copy_context(ROOT, source)
    shutil.copytree(ROOT / "examples", source / "examples")
    shutil.copy(attempts_worker.__file__, source)
    shutil.copytree(shipped_folder() / "demo" / "support", source / "support")
    lines = [line for line in documented() if not re.search(r"systemctl|journalctl|tail", line)]
    lines += ["sudo /opt/metaser/bin/pip install '.[cpu,serve]'"]
    lines += ["sudo cp examples/server/metaser-serve.service /etc/systemd/system/"]
    for line in lines:
        print(f"  {line}", flush=True)
        env = {"PIP_CERT": "/mnt/ca-certificates.crt"}
        root.output("sh", "-c", f"cd /source && {line.replace('sudo ', 'sudo --preserve-env ')}",
                    binds={"/mnt": CERTIFICATES}, env=env)  # fmt: skip


def documented() -> list[str]:
    """The commands of the page on Jetson that install the service."""
    section = PAGE.read_text(encoding="utf-8").split(SECTION)[1]
    return re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)[0].splitlines()


def verified(root: Root) -> dict[str, list[str]]:
    """Unit -> what `systemd-analyze verify` says of it."""
    found = {}
    for name in UNITS:
        done = root.started("systemd-analyze", "verify", f"/etc/systemd/system/{name}.service")
        found[name] = [line for line in done.stderr.splitlines() if name in line]
    return found


def stream_service(machine: Booted) -> dict[str, Any]:
    """Run the stream's service: without a microphone, then on a recording, whose events are those without a service."""
    machine.output("systemctl enable --now metaser-stream")
    machine.wait_for("journalctl --unit metaser-stream --output cat | grep --quiet '^metaser: '", 60)
    said = machine.output("journalctl --unit metaser-stream --output cat | grep '^metaser: '")
    state = machine.output("systemctl show --value --property SubState metaser-stream").strip()
    machine.output("systemctl stop metaser-stream; rm -f /var/log/metaser/events.jsonl")
    unit = (UNITS["metaser-stream"] / "metaser-stream.service").read_text(encoding="utf-8")
    [start] = re.findall(r"^ExecStart=(.*)$", unit, flags=re.MULTILINE)
    drop_in = f"[Service]\nExecStart=\nExecStart={start.replace(MICROPHONE, RECORDING)}\n"
    folder = machine.root.path / "etc/systemd/system/metaser-stream.service.d"
    folder.mkdir()
    (folder / "recording.conf").write_text(drop_in)
    machine.output("systemctl daemon-reload && systemctl start metaser-stream")
    machine.wait_for("systemctl show --value --property ActiveState metaser-stream | grep --quiet inactive", 120)
    result = machine.output("systemctl show --value --property Result metaser-stream").strip()
    logged = machine.output("cat /var/log/metaser/events.jsonl")
    profile = "/var/lib/metaser/profile.safetensors"
    plain = machine.output(f"{METASER} stream {RECORDING} --json --profile {profile}")
    return {
        "without a microphone": {"state": state, "said": said.splitlines()[-1]},
        "on a recording": {"result": result, "segments": len(segments(logged)),
                           "same as without a service": segments(logged) == segments(plain)},
        "log": machine.output("stat --format '%U %a' /var/log/metaser/events.jsonl").strip(),
    }  # fmt: skip


def segments(lines: str) -> list[tuple[str | None, float, float]]:
    """Label, start and end of the finished segments."""
    events = [json.loads(line) for line in lines.splitlines()]
    return [(each["label"], each["start_s"], each["end_s"]) for each in events if each["event"] == "leave"]


def serve_service(machine: Booted) -> dict[str, Any]:
    """Run the server's service: enrol and classify by HTTP, kill it and see it come back, stop it."""
    url = "http://127.0.0.1:8765"
    machine.output("systemctl enable --now metaser-serve")
    ready = machine.run(f"{CURL} {url}/readyz").stdout.strip()
    clips = sorted((machine.root.path / "source/support").rglob("*.flac"))
    fields = " ".join(f"-F {path.parent.name}=@{'/' / path.relative_to(machine.root.path)}" for path in clips)
    machine.output(f"{CURL} -X PUT {url}/v1/profiles/me {fields}")
    answer = machine.output(f"{CURL} '{url}/v1/classify?profile=me' -F clip=@/source/support/joy/en-f2.flac")
    machine.output("systemctl kill --signal KILL metaser-serve")
    back = machine.wait_for(f"sleep 1; {CURL} {url}/readyz", 60)
    kept = "me" in machine.output(f"{CURL} {url}/v1/profiles")
    machine.output("systemctl stop metaser-serve")
    result = machine.output("systemctl show --value --property Result metaser-serve").strip()
    return {
        "ready": ready == "ready", "label": json.loads(answer)["label"], "back after a kill": back,
        "profile kept": kept, "stopped": result,
    }  # fmt: skip


def refused(machine: Booted, name: str) -> dict[str, list[str]]:
    """What a program is refused under the restrictions of a unit, and as the same kind of user without them."""
    unit = (UNITS[name] / f"{name}.service").read_text(encoding="utf-8")
    kept = [line for line in unit.splitlines() if not re.match(NOT_OF_A_PROBE, line)]
    words = f"/usr/bin/python3 /source/{Path(attempts_worker.__file__).name} {ELSEWHERE} {PORT}"
    place = kept.index("[Service]") + 1
    kept[place:place] = ["Type=oneshot", f"ExecStart={words}"]
    (machine.root.path / "etc/systemd/system/probe.service").write_text("\n".join(kept) + "\n")
    machine.output("systemctl daemon-reload; systemctl start probe")
    printed = machine.output("journalctl --unit probe --output cat | grep '^\\['")
    without = machine.output(f"setpriv --reuid=nobody --regid=nogroup --clear-groups {words}")
    return {"by the unit": json.loads(printed.splitlines()[-1]), "without it": json.loads(without)}


def check(given: argparse.Namespace) -> dict[str, Any]:
    """Install, verify and run the units."""
    folder: Path = given.folder.absolute()
    base, root = Root(folder / f"{SUITE}-systemd", "amd64"), Root(folder / "services", "amd64")
    base.check()
    print(f"Debian {SUITE} with systemd", flush=True)
    base.make(SUITE, PACKAGES, given.mirror)
    install(root, base)
    shutil.copy(shipped_folder() / "demo" / "conversation.flac", root.path / RECORDING.strip("/"))
    open_to_attempts(root)
    said = verified(root)
    with booted(root) as machine:
        machine.output(f"ip address add {ELSEWHERE}/32 dev lo")
        machine.output(f"systemd-run --unit listener python3 -m http.server {PORT}")
        version = machine.output("systemctl --version").split("\n")[0]
        reachable = machine.wait_for(f"curl --silent --output /dev/null http://{ELSEWHERE}:{PORT}/", 20)
        return {
            "systemd": version,
            "verify": said,
            "metaser-stream": stream_service(machine),
            "metaser-serve": serve_service(machine),
            "address reachable outside": reachable,
            "refused": {name: refused(machine, name) for name in UNITS},
        }


def is_as_it_should_be(document: dict[str, Any]) -> bool:
    """Whether both services did their work, and were refused what they would otherwise be allowed."""
    stream, serve = document["metaser-stream"]["on a recording"], document["metaser-serve"]
    worked = stream["same as without a service"] and stream["result"] == serve["stopped"] == "success"
    worked = worked and serve["ready"] and serve["back after a kill"] and serve["profile kept"]
    kept = all(set(each["by the unit"]) > set(each["without it"]) for each in document["refused"].values())
    return worked and kept and document["address reachable outside"] and not any(document["verify"].values())


def main() -> int:
    """Check, and write the result; exit code 3 if this machine cannot."""
    given = parser_of(NAME, __doc__.split("\n")[0], ROOT / "build" / "deployment").parse_args()
    with exit_if_unavailable():
        document = check(given)
    write_result("services", {"command": f"python -m {NAME}", **document})
    return 0 if is_as_it_should_be(document) else 1


if __name__ == "__main__":
    sys.exit(main())
