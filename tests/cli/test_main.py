"""The command as a whole: help, version, exit codes and what never happens."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import TypeAlias

import pytest

Run: TypeAlias = Callable[..., CompletedProcess[str]]
Start: TypeAlias = Callable[..., Popen[str]]

COMMANDS = (
    "enroll",
    "classify",
    "stream",
    "record",
    "info",
    "verify",
    "forget",
    "doctor",
    "bench",
    "export",
    "train",
    "corpora",
    "evaluate",
    "demo",
)
HEAVY = ("numpy", "onnx", "onnxruntime", "soundfile", "torch", "transformers", "metaser.runtime")


def test_help_names_every_command(run: Run) -> None:
    result = run("--help")
    assert result.returncode == 0
    assert all(re.search(rf"\b{command}  ", result.stdout) for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.returncode == 0
    assert f"Example: metaser {command}" in result.stdout


def test_every_option_is_explained(run: Run) -> None:
    for command in COMMANDS:
        for line in run(command, "--help").stdout.splitlines():
            if option := re.match(r"│\s+(?:\*\s+)?(--[a-z0-9-]+)", line):
                assert re.search(r"[a-z]{3}", line[option.end() :]), line


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, metaser.cli.main as cli\n"
        "try: cli.app(['enroll', '--help'])\n"
        f"finally: sys.stderr.write(' '.join(name for name in {HEAVY} if name in sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stderr == ""


def test_the_version_is_that_of_the_package(run: Run) -> None:
    assert run("--version").stdout == f"metaser {version('metaser')}\n"


@pytest.mark.parametrize("words", [("absent",), ("enroll", "--absent"), ("verify", "--provider", "abacus")])
def test_wrong_use_is_code_2(run: Run, words: tuple[str, ...]) -> None:
    assert run(*words).returncode == 2


def test_an_absent_bundle_is_one_line(start: Start) -> None:
    with start("verify", "--bundle", "absent") as process:
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (2, "")
    assert errors.startswith("metaser: no such bundle: absent")
    assert errors.count("\n") == 1


def test_without_onnxruntime_the_package_is_named(start: Start, tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('not here')")
    with start("verify", env={"PYTHONPATH": str(tmp_path)}) as process:
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 3
    assert "pip install 'metaser[cpu]'" in errors
    assert errors.count("\n") == 1


def test_without_torch_export_names_the_package(start: Start, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('not here', name='torch')")
    with start("export", "model", tmp_path / "bundle", env={"PYTHONPATH": str(tmp_path)}) as process:
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 3
    assert errors == "metaser: `metaser export` needs PyTorch: pip install 'metaser[export]'\n"
    assert not (tmp_path / "bundle").exists()


def test_two_precisions_exclude_each_other(run: Run) -> None:
    result = run("export", "--fp16", "--int8")
    assert (result.returncode, result.stderr) == (2, "metaser: --fp16 and --int8 exclude each other: choose one\n")


@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_closed_pipe_ends_quietly_with_the_summary_where_it_can_be_read(
    start: Start, conversation: Path, options: tuple[str, ...]
) -> None:
    with start("stream", conversation, *options) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        lines = process.stderr.read()
    assert process.returncode == 0
    assert "Traceback" not in lines
    assert ("Segments: " in lines) == bool(options)  # the summary is on standard error then


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_full_disk_is_one_line_and_code_1(start: Start, options: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full, start("verify", *options, stdout=full.fileno()) as process:
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors == "metaser: No space left on device\n"


def test_a_current_folder_that_is_gone_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    result = run("doctor", "--profile", "p")
    assert result.returncode == 1
    assert result.stderr == "metaser: the current folder no longer exists: change to another one\n"


def test_an_interrupt_is_code_130(start: Start, tmp_path: Path) -> None:
    raised = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # a parent may have it ignored
    (tmp_path / "onnxruntime.py").write_text(f"import os, signal\n{raised}\nos.kill(os.getpid(), signal.SIGINT)")
    with start("verify", env={"PYTHONPATH": str(tmp_path)}) as process:
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == ""


@pytest.mark.parametrize(("module", "code"), [("main", -signal.SIGINT), ("commands.classify", 130)])
def test_an_interrupt_while_the_command_is_loaded_ends_it_without_a_word(module: str, code: int) -> None:
    program = (
        "import os, runpy, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(name, *_):\n"
        f"        if name == 'metaser.cli.{module}': os.kill(os.getpid(), signal.SIGINT)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.meta_path.insert(0, Finder)\n"
        "runpy.run_module('metaser.cli', run_name='__main__')"
    )
    words = [sys.executable, "-c", program, "classify", "clip.wav"]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (code, "", "")


@pytest.mark.usefixtures("enrolled")
def test_a_terminal_that_knows_only_ascii_gets_its_table(start: Start, support_folder: Path) -> None:
    clip = support_folder / "calm" / "0.wav"
    with start("classify", clip, env={"PYTHONIOENCODING": "ascii"}) as process:
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert "calm" in output


def test_completion_stays_that_of_typer(start: Start) -> None:
    environment = {"_METASER_COMPLETE": "complete_bash", "COMP_WORDS": "metaser cl", "COMP_CWORD": "1"}
    with start(env=environment) as process:
        output, _ = process.communicate(timeout=20)
    assert output.split() == ["classify"]


def test_a_command_loads_no_other_command() -> None:
    code = """
import sys
from metaser.cli.main import command
assert list(command().commands)[:2] == ["enroll", "classify"]
command().main(["info", "--help"], standalone_mode=False)
print([name for name in command().commands if f"metaser.cli.commands.{name}" in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['info']"


@pytest.mark.parametrize(
    "words",
    [
        ("enroll", ""),
        ("enroll", "--add", ""),
        ("enroll", "--report", "--plot", ""),
        ("enroll", "--report", "--profile", ""),
        ("enroll", ".", "--bundle", ""),
        ("classify", ""),
        ("classify", "a.wav", ""),
        ("test", ""),
        ("stream", ""),
        ("stream", "a.wav", "--record", ""),
        ("calibrate", "--others", ""),
        ("reenroll", ""),
        ("record", "joy", "--into", ""),
        ("info", ""),
        ("corpora", ""),
        ("evaluate", "frozen", "--corpus", ""),
        ("train", ""),
        ("export", "", "bundle"),
    ],
)
def test_an_empty_path_is_refused_and_never_the_current_folder(run: Run, words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.returncode == 2
    assert "empty" in result.stderr
    assert result.stdout == ""


def test_what_is_an_option_of_another_command_is_named(run: Run) -> None:
    result = run("tune")
    assert result.returncode == 2
    assert "Use: metaser enroll --tune auto" in " ".join(result.stderr.replace("│", " ").split())
