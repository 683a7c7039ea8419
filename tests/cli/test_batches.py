"""One bad file never stops the others, and an output that is gone, full or closed never causes a traceback."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

import metaser.runtime.audio.load
from metaser.cli.main import main
from metaser.runtime import AudioError
from tests.rights import without_rights

ClipMaker: TypeAlias = Callable[[str, float, int], npt.NDArray[np.float32]]
Run: TypeAlias = Callable[..., CompletedProcess[str]]
Main: TypeAlias = Callable[..., int]
Start: TypeAlias = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def queries(make_clip: ClipMaker, tmp_path: Path) -> list[Path]:
    """Two clips that are not enrolled, calm and keen, and one between them to be damaged."""
    paths = [tmp_path / name for name in ("calm.wav", "bad.wav", "keen.wav")]
    for path, label in zip(paths, ("calm", "calm", "keen"), strict=True):
        soundfile.write(path, make_clip(label, 1.25, 20), 16_000)
    return paths


@pytest.fixture
def at_the_second(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """`at_the_second(error)` makes the reading of bad.wav raise the error."""
    load = metaser.runtime.audio.load.read_audio

    def arrange(error: BaseException) -> None:
        def read(path: Path) -> Any:
            if Path(path).name == "bad.wav":
                raise error
            return load(path)

        monkeypatch.setattr(metaser.runtime.audio.load, "read_audio", read)

    return arrange


@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_file_that_may_not_be_read_has_its_line_and_the_others_their_labels(
    run: Run, queries: list[Path], options: tuple[str, ...]
) -> None:
    with without_rights(queries[1]):
        result = run("classify", *queries, *options)
    assert result.returncode == 2
    assert result.stderr.startswith(f"metaser: {queries[1]} ")
    assert result.stderr.count("\n") == 1
    assert [line.count("calm") + line.count("keen") > 0 for line in result.stdout.splitlines()].count(True) >= 2
    assert str(queries[2]) in result.stdout


@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied"), "cannot be read (Permission denied)"),
        (OSError(5, "Input/output error"), "cannot be read (Input/output error)"),
        (FileNotFoundError(2, "No such file or directory"), "is not there"),
        (AudioError("bad.wav is silent: record it again"), "is silent: record it again"),
        (AudioError("too short"), ": too short"),
    ],
)
def test_whatever_is_wrong_with_a_file_is_one_line_with_its_path(
    run: Run, queries: list[Path], at_the_second: Callable[[BaseException], None], error: Exception, said: str
) -> None:
    at_the_second(error)
    result = run("classify", *queries, "--json")
    assert [json.loads(line)["label"] for line in result.stdout.splitlines()] == ["calm", "keen"]
    assert (result.returncode, result.stderr) == (2, f"metaser: {queries[1]} {said}\n".replace(" : ", ": "))


@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_file_that_is_cut_off_is_labelled_and_what_is_missing_is_reported(
    run: Run, queries: list[Path], options: tuple[str, ...]
) -> None:
    content = queries[1].read_bytes()
    queries[1].write_bytes(content[: len(content) * 9 // 10])
    result = run("classify", *queries, *options)
    notice = "it is cut off: 1.1 s were read and 0.1 s are missing"
    assert (result.returncode, result.stderr) == (0, f"{queries[1]}: {notice}\n")
    if options:
        assert [json.loads(line)["notices"] for line in result.stdout.splitlines()] == [[], [notice], []]


@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_an_interrupt_shows_what_is_done(
    run: Run, queries: list[Path], at_the_second: Callable[[BaseException], None], options: tuple[str, ...]
) -> None:
    at_the_second(KeyboardInterrupt())
    result = run("classify", *queries, *options)
    assert (result.returncode, result.stderr) == (130, "Stopped after 1 of 3 files.\n")
    assert str(queries[0]) in result.stdout
    assert str(queries[2]) not in result.stdout


def test_a_corpus_that_cannot_be_used_does_not_stop_the_others(run: Run, support_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "locked").mkdir()
    with without_rights(tmp_path / "locked"):
        places = (tmp_path / "absent", tmp_path / "empty", tmp_path / "locked", support_folder)
        result = run("corpora", *places, "--json")
    assert result.returncode == 2
    assert [json.loads(line)["clips"] for line in result.stdout.splitlines()] == [6]
    absent, empty, locked = result.stderr.splitlines()
    assert absent == f"metaser: no such folder: {tmp_path / 'absent'}"
    assert empty.startswith(f"metaser: {tmp_path / 'empty'} has no audio files")
    assert f"{tmp_path / 'locked'} cannot be read (Permission denied)" in locked


@pytest.fixture
def in_process(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Main:
    """`in_process(stdout, "info")` runs the whole command with another standard output and returns its exit code."""

    def invoke(stdout: io.TextIOBase | None, *words: str | Path, stderr: io.TextIOBase | None = None) -> int:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["metaser", *map(str, words)])
        monkeypatch.setattr(sys, "stdout", stdout)
        if stderr is not None:
            monkeypatch.setattr(sys, "stderr", stderr)
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0)

    return invoke


@pytest.fixture
def abandoned() -> Iterator[io.TextIOWrapper]:
    """A pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as output:
        yield output


class FullDisk(io.FileIO):
    """A file on a full disk, until `has_room` is set."""

    has_room = False

    def write(self, content: Any) -> int:
        if not self.has_room:
            raise OSError(28, "No space left on device")
        return len(content)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[io.TextIOWrapper]:
    disk = FullDisk(str(tmp_path / "full"), "w")
    with io.TextIOWrapper(io.BufferedWriter(disk)) as output:
        yield output
        disk.has_room = True


COMMANDS: tuple[tuple[str, ...], ...] = (
    (), ("--help",), ("--version",), ("enroll", "--help"), ("info",), ("info", "--json"), ("verify",), ("calibrate",),
    ("enroll", "--report"), ("classify", "{clip}"), ("classify", "{clip}", "--json"), ("corpora", "{support}"),
    ("stream", "{clip}", "--format", "csv"), ("doctor",),
)  # fmt: skip


def filled(words: tuple[str, ...], support_folder: Path) -> list[str]:
    return [word.format(support=support_folder, clip=support_folder / "calm" / "0.wav") for word in words]


@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize("words", COMMANDS)
def test_a_reader_that_is_gone_ends_every_command_with_0_and_silence(
    in_process: Main,
    abandoned: io.TextIOWrapper,
    support_folder: Path,
    words: tuple[str, ...],
    capfd: pytest.CaptureFixture[str],
) -> None:
    errors = io.StringIO()
    assert in_process(abandoned, *filled(words, support_folder), stderr=errors) == 0
    assert "Error" not in errors.getvalue()
    assert "Errno" not in errors.getvalue()
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize("words", COMMANDS)
def test_a_full_disk_ends_every_command_with_1_and_one_line(
    in_process: Main, full: io.TextIOWrapper, support_folder: Path, words: tuple[str, ...]
) -> None:
    errors = io.StringIO()
    assert in_process(full, *filled(words, support_folder), stderr=errors) == 1
    assert errors.getvalue().splitlines()[-1] == "metaser: No space left on device"
    assert "Traceback" not in errors.getvalue()


@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize("words", [("classify", "absent.wav"), ("enroll", "absent"), ("classify", "--absent")])
def test_errors_that_nobody_can_read_leave_the_exit_code(
    in_process: Main, full: io.TextIOWrapper, words: tuple[str, ...]
) -> None:
    assert in_process(io.TextIOWrapper(io.BytesIO()), *words, stderr=full) == 2


@pytest.mark.parametrize(
    ("closed", "code", "said"), [(">&-", 1, "metaser: standard output is closed: "), ("2>&-", 0, ""), ("<&-", 0, "")]
)
def test_a_descriptor_that_was_closed_before_the_start_is_never_a_traceback(
    closed: str, code: int, said: str, settings: dict[str, str], tmp_path: Path
) -> None:
    command = f"exec {sys.executable} -m metaser.cli info --json {closed}"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env={**os.environ, **settings},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == bool(said)
    assert bool(done.stdout) == (code == 0)


@pytest.mark.parametrize("words", [("forget",), ("forget", "--yes")])
def test_nobody_is_asked_at_a_standard_input_that_is_closed(
    run: Run, enrolled: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metaser.cli.commands.forget.can_ask", lambda: False)
    assert run(*words).returncode == (0 if "--yes" in words else 2)
    assert enrolled.exists() == ("--yes" not in words)


@pytest.mark.usefixtures("enrolled")
def test_no_line_is_lost_while_another_thread_decodes(start: Start, tmp_path: Path) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(16_000)
    for number in range(20):
        soundfile.write(tmp_path / f"{number}.wav", noise * (1 - number / 100), 16_000)
    for _ in range(3):
        with start("classify", *sorted(tmp_path.glob("*.wav")), "--threads", "4", "--format", "csv") as process:
            _, said = process.communicate(timeout=60)
        assert said.count("no speech was found") == 20
