"""Check what a release consists of: `make release-check`, or `python -m benchmarks.release`, about three minutes.

The wheel and the sdist are built from a clean copy of the commit: twice the same bytes, and the wheel from the sdist
has the same content. Both are installed on every supported Python, imported and run from; the wheel is also run by uvx
and pipx. Writes `benchmarks/results/release.json`, with the installed size and the time to the first label.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uv import find_uv_bin

from benchmarks.machine import write_result
from benchmarks.pythons import PYTHONS, find_python

ROOT = Path(__file__).parents[1]
CLIP = "runtime/metaser/runtime/data/demo/support/joy/en-f2.flac"
SUPPORT = "runtime/metaser/runtime/data/demo/support"
IMPORTS = "import metaser.runtime, metaser.archive, metaser.cli.main, metaser.diagnostics.doctor; print('imported')"
NEEDED_METADATA = ("Name", "Version", "Summary", "License-Expression", "License-File", "Requires-Python", "Classifier")


def shell(*words: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
    """Run a command that must succeed; return what it prints.

    Raises:
        RuntimeError: it failed, with its last line.
    """
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        last = re.sub(r"https?://\S+", "an index", (done.stderr.strip() or done.stdout.strip()).splitlines()[-1])
        raise RuntimeError(f"{' '.join(map(str, words[:4]))} failed: {last}")
    return done.stdout


def build(source: Path, out: Path, kind: str) -> Path:
    """Build a wheel or an sdist from a folder."""
    shell(sys.executable, "-m", "build", f"--{kind}", "--outdir", out, source)
    [made] = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


def clean_copy(to: Path) -> Path:
    """The files of the commit, without what a work tree has gathered."""
    to.mkdir()
    packed = to.with_suffix(".tar")
    shell("git", "archive", "--output", packed, "HEAD")
    shell("tar", "-xf", packed, "-C", to)
    return to


def content(wheel: Path) -> dict[str, str]:
    """Name -> sha256 of the files in a wheel."""
    with zipfile.ZipFile(wheel) as files:
        return {name: hashlib.sha256(files.read(name)).hexdigest() for name in files.namelist()}


def metadata(wheel: Path) -> dict[str, list[str]]:
    """The fields of a wheel's metadata.

    Raises:
        RuntimeError: one that a release needs is missing.
    """
    with zipfile.ZipFile(wheel) as files:
        [name] = [name for name in files.namelist() if name.endswith(".dist-info/METADATA")]
        head = files.read(name).decode().split("\n\n")[0]
    fields: dict[str, list[str]] = {}
    for key, value in re.findall(r"^([\w-]+): (.*)$", head, flags=re.MULTILINE):
        fields.setdefault(key, []).append(value)
    if missing := [field for field in NEEDED_METADATA if field not in fields]:
        raise RuntimeError(f"the metadata lacks {', '.join(missing)}")
    return fields


def installed(python: str, archive: Path, work: Path) -> dict[str, Any]:
    """Install a wheel or an sdist with the extra `cpu` on a Python; import it and label from it.

    Raises:
        RuntimeError: this Python is not on this machine, or something failed.
    """
    found = find_python(python)
    if found is None:
        raise RuntimeError(f"Python {python} is not on this machine: a release is checked on {', '.join(PYTHONS)}")
    place = work / f"venv-{python}-{archive.suffix}"
    uv = find_uv_bin()
    shell(uv, "venv", "--quiet", "--no-python-downloads", "--python", found, place)
    before = size_mb(place)
    shell(uv, "pip", "install", "--quiet", "--python", place / "bin" / "python", f"{archive}[cpu]")
    bin_, env = place / "bin", {"METASER_PROFILE": str(work / "profile.safetensors"), "XDG_STATE_HOME": str(work)}
    shell(bin_ / "python", "-c", IMPORTS, cwd=work)
    shell(bin_ / "metaser", "demo", cwd=work, env=env)
    shell(bin_ / "metaser", "enroll", ROOT / SUPPORT, cwd=work, env=env)
    began = time.perf_counter()
    shell(bin_ / "metaser", "classify", ROOT / CLIP, cwd=work, env=env)
    first_label_s = time.perf_counter() - began
    return {
        "python": python,
        "archive": "wheel" if archive.suffix == ".whl" else "sdist",
        "installed_mb": round(size_mb(place) - before, 1),
        "first_label_s": round(first_label_s, 2),
    }


def size_mb(folder: Path) -> float:
    """The size of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def without_installing(wheel: Path, work: Path) -> dict[str, str]:
    """Run the wheel by uvx and by pipx; command -> the version that it printed."""
    uv = find_uv_bin()
    shell(uv, "venv", "--quiet", work / "pipx")
    shell(uv, "pip", "install", "--quiet", "--python", work / "pipx" / "bin" / "python", "pipx")
    pipx = {"PIPX_HOME": str(work / "pipx-home"), "PIPX_BIN_DIR": str(work / "pipx-bin")}
    asked = ["metaser", "--version"]
    return {
        "uvx": shell(uv, "tool", "run", "--from", f"{wheel}[cpu]", *asked, cwd=work).strip(),
        "pipx run": shell(
            work / "pipx" / "bin" / "pipx", "run", "--spec", f"{wheel}[cpu]", *asked, cwd=work, env=pipx
        ).strip(),
    }


def check(work: Path) -> dict[str, Any]:
    """Build, compare, install and run."""
    source = clean_copy(work / "source")
    first, again = (build(source, work / name, "wheel") for name in ("one", "two"))
    sdist = build(source, work / "sdist", "sdist")
    (work / "unpacked").mkdir()
    shell("tar", "-xf", sdist, "-C", work / "unpacked", "--strip-components=1")
    from_sdist = build(work / "unpacked", work / "three", "wheel")
    runs = []
    for python in PYTHONS:
        for archive in (first, sdist):
            runs.append(installed(python, archive, work))
            print(runs[-1], flush=True)
    return {
        "wheel": {"name": first.name, "mb": round(first.stat().st_size / 1e6, 1)},
        "sdist": {"name": sdist.name, "mb": round(sdist.stat().st_size / 1e6, 1)},
        "reproducible": first.read_bytes() == again.read_bytes(),
        "same_from_sdist": content(first) == content(from_sdist),
        "metadata": {name: metadata(first)[name] for name in NEEDED_METADATA},
        "without_installing": without_installing(first, work),
        "installed": runs,
    }


def main() -> int:
    """Check, and write the result."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            document = check(Path(folder))
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    write_result("release", {"command": "python -m benchmarks.release", **document})
    return 0 if document["reproducible"] and document["same_from_sdist"] else 1


if __name__ == "__main__":
    sys.exit(main())
