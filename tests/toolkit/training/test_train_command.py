"""`metaser train`: its exit codes and output."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from typer.testing import CliRunner

from metaser.cli.main import app
from metaser.toolkit.config import Config

MakeConfig: TypeAlias = Callable[..., Config]


def run(*words: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["train", *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_without_torch_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "metaser.toolkit.training.train", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    code, _, said = run(tmp_path / "any.toml")
    assert code == 3
    assert "metaser[train]" in said
    assert said.count("\n") == 1


def test_a_wrong_key_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("[epsiodes]\n")
    code, _, said = run(tmp_path / "run.toml")
    assert (code, said.count("\n")) == (2, 1)
    assert "there is no setting epsiodes: did you mean episodes?" in said


def test_it_trains_and_names_the_next_step(
    make_config: MakeConfig, to_toml: Callable[[Config], str], tmp_path: Path
) -> None:
    config = make_config({"episodes": {"count": 2}})
    (tmp_path / "run.toml").write_text(to_toml(config))
    code, said, _ = run(tmp_path / "run.toml", "--strict")
    assert code == 0
    assert said.endswith(f"Next: metaser export {config.out / 'best'} OUT\n")


def test_ctrl_c_saves_and_ends_with_130(
    make_config: MakeConfig, to_toml: Callable[[Config], str], tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"episodes": {"count": 100_000}, "validation": {"every": 0}, "save_every": 100_000}
    config = make_config(settings)
    (tmp_path / "run.toml").write_text(to_toml(config))
    command = [sys.executable, "-m", "metaser.cli", "train", str(tmp_path / "run.toml")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    log = config.out / "log.jsonl"
    deadline = time.monotonic() + 60
    while not (log.exists() and '"step": 2' in log.read_text()):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said, complained = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume continues from there" in said
    assert "Traceback" not in complained
    assert (config.out / "state.pt").exists()


def test_strict_stops_before_the_first_episode_at_a_clip_that_a_manifest_names_in_vain(
    make_config: MakeConfig, to_toml: Callable[[Config], str], tmp_path: Path
) -> None:
    config = make_config({"episodes": {"count": 1}})
    clip = next(config.data.corpora[0].rglob("*.wav"))
    (tmp_path / "more.csv").write_text(
        f"path,label,speaker,language,corpus\n{clip},low,a,,more\nnone.wav,low,a,,more\nno.wav,low,a,,more\n"
    )
    config = make_config({"episodes": {"count": 1}, "data": {"manifests": [str(tmp_path / "more.csv")]}})
    (tmp_path / "run.toml").write_text(to_toml(config))
    code, _, said = run(tmp_path / "run.toml", "--strict")
    assert (code, said.count("\n")) == (2, 1)
    assert "2 of 111 clips cannot be used and data.strict does not allow skipping them; the first is none.wav" in said
    assert not config.out.exists()
