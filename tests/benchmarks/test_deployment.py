"""Reading Dockerfiles, and the command line with which a container or a service runs without a daemon."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from benchmarks.debian import Root, Sandbox
from benchmarks.deployment import attempts_worker
from benchmarks.deployment.dockerfile import (
    Instruction,
    Settings,
    expanded,
    ignore_patterns,
    in_context,
    read_instructions,
)
from benchmarks.deployment.image import copy_context, settings_of
from benchmarks.deployment.images import DOCKERFILES, is_as_it_should_be
from benchmarks.deployment.services import UNITS, documented, segments
from benchmarks.deployment.services import is_as_it_should_be as services_are_as_they_should_be
from benchmarks.machine import read_result

ROOT = Path(__file__).parents[2]
FILE = """\
# a comment
ARG BASE=debian
FROM ${BASE}
RUN apt-get update \\
    && apt-get install --yes x
ARG PACKAGES=.[cpu]
COPY . /source
USER me
WORKDIR /data
VOLUME /data
ENV A=/data/a \\
    PATH=/opt/bin:$PATH
EXPOSE 80
HEALTHCHECK --interval=30s CMD ["true", "x"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["metaser", "serve"]
CMD ["--help"]
"""


def test_instructions_are_read_in_order_and_over_several_lines() -> None:
    instructions = read_instructions(FILE)
    assert [each.word for each in instructions[:5]] == ["ARG", "FROM", "RUN", "ARG", "COPY"]
    assert instructions[2].text.split() == ["apt-get", "update", "&&", "apt-get", "install", "--yes", "x"]


def test_what_a_container_is_started_with_is_read(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(FILE)
    settings = settings_of(tmp_path / "Dockerfile")
    assert settings.arguments == {"BASE": "debian", "PACKAGES": ".[cpu]"}
    assert (settings.user, settings.workdir, settings.volumes) == ("me", "/data", ["/data"])
    assert settings.env["A"] == "/data/a"
    assert settings.env["PATH"].startswith("/opt/bin:/usr/local/sbin:")
    assert (settings.entrypoint, settings.command) == (["metaser", "serve"], ["--help"])
    assert settings.health == ["true", "x"]


def test_an_argument_that_was_given_is_kept() -> None:
    settings = Settings(arguments={"PACKAGES": "other"})
    for instruction in read_instructions("ARG PACKAGES=.[cpu]\n"):
        settings.apply(instruction)
    assert settings.arguments == {"PACKAGES": "other"}


def test_an_instruction_that_is_not_known_is_an_error_and_not_skipped() -> None:
    with pytest.raises(ValueError, match="ONBUILD is not read here"):
        Settings().apply(Instruction("ONBUILD", "RUN true"))


def test_variables_are_replaced() -> None:
    assert expanded("${A}/b:$C:$D", {"A": "a", "C": "c"}) == "a/b:c:"


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("pyproject.toml", True),
        ("runtime/metaser/cli/main.py", True),
        ("runtime/metaser/__pycache__/x.pyc", False),
        ("tests/conftest.py", False),
        (".git/config", False),
        ("onnxruntime_gpu-1.23.0-cp310-cp310-linux_aarch64.whl", True),
        ("dist/metaser.whl", False),
    ],
)
def test_an_image_gets_what_the_wheel_is_built_from(path: str, sent: bool) -> None:
    patterns = ["*", "!*.whl", "!pyproject.toml", "!runtime", "**/__pycache__"]
    assert in_context(PurePosixPath(path), patterns) == sent


def test_the_context_has_the_files_of_the_wheel(tmp_path: Path) -> None:
    copy_context(ROOT, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "LICENSE", "README.md", "export", "pyproject.toml", "runtime", "toolkit",
    ]  # fmt: skip
    assert "!pyproject.toml" in ignore_patterns(ROOT)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_images_run_as_a_user_who_owns_the_only_volume(name: str) -> None:
    settings = settings_of(DOCKERFILES[name])
    assert settings.user == "metaser"
    assert settings.volumes == [settings.workdir] == ["/data"]
    assert settings.entrypoint[0] == "metaser"


def test_the_page_installs_the_service_that_is_run() -> None:
    commands = documented()
    assert commands[0].startswith("sudo useradd")
    for line in commands:
        if "examples/" in line:
            assert (ROOT / line.split()[2]).is_file()
    for name, folder in UNITS.items():
        assert (folder / f"{name}.service").is_file()


def test_segments_are_the_events_that_end_one() -> None:
    lines = [
        {"event": "enter", "label": "joy", "start_s": 0.0, "end_s": None},
        {"event": "leave", "label": "joy", "start_s": 0.0, "end_s": 1.5},
    ]
    assert segments("\n".join(map(json.dumps, lines))) == [("joy", 0.0, 1.5)]


def attempted(folder: Path, *words: str) -> set[str]:
    """What is refused without restrictions, in a folder that stands for the root."""
    text = Path(attempts_worker.__file__).read_text().replace("/opt/open", str(folder))
    (folder / "attempts.py").write_text(text)
    done = subprocess.run(
        [sys.executable, str(folder / "attempts.py"), *words], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def test_without_restrictions_an_attempt_succeeds_and_without_a_reason_it_fails(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("#!/bin/sh\necho 0\n")
    (tmp_path / "id").chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = [str(part) for part in listener.getsockname()]
        assert attempted(tmp_path, *address) <= {"make a namespace"}  # some kernels refuse it to everybody
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    assert attempted(tmp_path, *address) >= {"become root", "reach another address"}


def can_make_namespaces() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    words = ["unshare", "--mount", "--net", "--pid", "--fork", "true"]
    return subprocess.run(words, check=False).returncode == 0


@pytest.mark.skipif(not can_make_namespaces(), reason="needs root and namespaces")
def test_a_sandbox_has_no_network_no_rights_and_a_root_that_cannot_be_written(tmp_path: Path) -> None:
    root = Root(tmp_path / "root", {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine])
    for folder in ("proc", "sys", "dev", "tmp", "data", "etc", "usr"):
        (root.path / folder).mkdir(parents=True)
    for folder in ("bin", "sbin", "lib", "lib64"):
        if (Path("/") / folder).is_symlink():
            (root.path / folder).symlink_to(f"usr/{folder}")
    (root.path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nme:x:12345:12345::/data:/bin/sh\n")
    (root.path / "etc/group").write_text("root:x:0:\nme:x:12345:\n")
    data = tmp_path / "volume"
    data.mkdir()
    os.chown(data, 12345, 12345)
    (root.path / "opt/open").mkdir(parents=True)
    (root.path / "opt/open").chmod(0o1777)
    program = (
        "id -u; touch /opt/open/new 2>/dev/null || echo refused; echo kept > /data/file; "
        "grep CapEff /proc/self/status; ls /dev; echo $HOME"
    )
    done = root.started(
        "sh", "-c", program, binds={"/usr": Path("/usr")}, sandbox=Sandbox("me", {"/data": data})
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert lines[:2] == ["12345", "refused"]  # although everybody may write there
    assert "CapEff:\t0000000000000000" in lines
    assert lines[-1] == "/data"
    assert "null" in lines
    assert (data / "file").read_text() == "kept\n"
    assert not (root.path / "opt/open/new").exists()


def test_all_images_find_the_same_labels() -> None:
    images = read_result("images")["images"]
    assert {name.split()[0] for name in images} == set(DOCKERFILES)
    assert len({tuple(each["labels"]) for each in images.values()}) == 1
    assert all(map(is_as_it_should_be, images.values()))


def test_the_services_did_their_work() -> None:
    assert services_are_as_they_should_be(read_result("services"))
