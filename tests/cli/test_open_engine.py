"""A licence that restricts use is printed once, on standard error."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import pytest

Run: TypeAlias = Callable[..., CompletedProcess[str]]

NOTICE = "Licence of the bundle tiny: CC-BY-NC-SA-4.0, no commercial use; give credit; "


def licensed(bundle: Path, folder: Path, licence: str, **changes: str) -> Path:
    """A copy of a bundle under another licence."""
    shutil.copytree(bundle, folder)
    document = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**document, "licence": licence, **changes}))
    return folder


@pytest.fixture
def restricted(tiny_bundle: Path, tmp_path: Path) -> Path:
    return licensed(tiny_bundle, tmp_path / "restricted", "CC-BY-NC-SA-4.0")


@pytest.mark.usefixtures("enrolled")
def test_a_restricted_licence_is_printed_at_first_use_and_not_again(
    run: Run, restricted: Path, support_folder: Path
) -> None:
    clip = support_folder / "calm" / "0.wav"
    first = run("classify", clip, "--bundle", restricted)
    assert first.stderr.startswith(NOTICE)
    assert first.stderr.count("\n") == 1
    assert "commercial" not in first.stdout
    for words in (("classify", clip), ("stream", clip, "--json"), ("verify",), ("calibrate",)):
        again = run(*words, "--bundle", restricted)
        assert again.returncode == 0
        assert "commercial" not in again.stderr


def test_with_json_it_goes_to_standard_error_too(run: Run, restricted: Path) -> None:
    result = run("verify", "--bundle", restricted, "--json")
    assert json.loads(result.stdout)["passed"] is True
    assert result.stderr.startswith(NOTICE)


def test_another_model_and_another_licence_are_printed_separately(run: Run, tiny_bundle: Path, tmp_path: Path) -> None:
    model = {"model_id": "3" * 64}
    other = licensed(tiny_bundle, tmp_path / "other", "CC-BY-NC-SA-4.0", **model)
    unknown = licensed(tiny_bundle, tmp_path / "unknown", "LicenseRef-unknown", **model)
    precision = licensed(tiny_bundle, tmp_path / "precision", "CC-BY-NC-SA-4.0", **model, graph_id="4" * 64)
    assert "no commercial use" in run("verify", "--bundle", other).stderr
    assert "read LICENSE in the bundle's folder" in run("verify", "--bundle", unknown).stderr
    assert run("verify", "--bundle", precision).stderr == ""


def test_a_permissive_licence_is_not_printed(run: Run, settings: dict[str, str]) -> None:
    assert run("verify").stderr == ""
    assert run("verify", "--bundle", "frozen").stderr == ""
    assert not Path(settings["XDG_STATE_HOME"]).exists()


def test_if_nothing_can_be_stored_it_is_printed_again_and_everything_else_works(
    run: Run, restricted: Path, settings: dict[str, str]
) -> None:
    Path(settings["XDG_STATE_HOME"]).write_text("a file where a folder should be")
    for _ in range(2):
        result = run("verify", "--bundle", restricted)
        assert result.returncode == 0
        assert result.stderr.startswith(NOTICE)


def test_the_printed_notice_can_be_read_in_its_file(run: Run, restricted: Path, settings: dict[str, str]) -> None:
    run("verify", "--bundle", restricted)
    (kept,) = [path for path in Path(settings["XDG_STATE_HOME"]).rglob("*") if path.is_file()]
    assert kept.read_text(encoding="utf-8").startswith(NOTICE)


def test_info_prints_what_the_licence_allows_and_does_not_count_as_use(run: Run, restricted: Path) -> None:
    result = run("info", restricted)
    assert "no commercial use" in " ".join(result.stdout.split())
    assert result.stderr == ""
    assert run("verify", "--bundle", restricted).stderr.startswith(NOTICE)
