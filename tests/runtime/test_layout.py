"""The package's layout: a namespace over three roots, and a runtime without heavy imports."""

import subprocess
import sys
from pathlib import Path

import metaser.runtime

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "onnx", "onnxscript", "optimum", "scipy", "matplotlib", "typer", "rich")


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_no_part_has_an_init_file_in_the_namespace() -> None:
    assert not [path for part in ("runtime", "export", "toolkit") for path in (ROOT / part).glob("metaser/__init__.py")]
    assert getattr(metaser, "__file__", None) is None


def test_importing_the_runtime_loads_nothing_heavy_and_starts_no_thread() -> None:
    code = (
        "import sys, threading; import metaser.runtime; "
        f"print([name for name in {(*HEAVY, 'onnxruntime')!r} if name in sys.modules], threading.active_count())"
    )
    assert python(code) == "[] 1"


def test_the_runtime_works_where_torch_transformers_and_onnx_cannot_be_imported(support_folder: Path) -> None:
    code = f"""
import sys
for name in ("torch", "transformers", "onnx"):
    sys.modules[name] = None  # an import of it raises ImportError
from metaser.runtime import Engine, load_audio
engine = Engine.open(provider="cpu")
profile = engine.enroll({str(support_folder)!r})
clip = load_audio({str(next(iter(sorted(support_folder.glob("joy/*")))))!r})
print(engine.classify(clip, profile).label, len(engine.stream(profile).push(clip)) > 0, engine.verify().passed)
"""
    assert python(code) == "joy True True"


def test_a_missing_onnxruntime_is_named_with_what_to_install() -> None:
    code = """
import sys
sys.modules["onnxruntime"] = None
from metaser.runtime import Engine, MissingDependencyError
try:
    Engine.open()
except MissingDependencyError as error:
    print(error, error.exit_code)
"""
    assert python(code).startswith("onnxruntime is not installed: pip install 'metaser[cpu]'")
    assert python(code).endswith(" 3")


def test_the_rest_of_an_uninstalled_onnxruntime_is_told_from_a_whole_one() -> None:
    code = """
import sys, types
sys.modules["onnxruntime"] = types.ModuleType("onnxruntime")  # uninstalling one of two wheels leaves such a folder
from metaser.runtime import Engine, MissingDependencyError
try:
    Engine.open()
except MissingDependencyError as error:
    print(error)
"""
    assert python(code).startswith("onnxruntime is damaged")


def test_the_public_names_are_the_documented_ones() -> None:
    assert sorted(metaser.runtime.__all__) == metaser.runtime.__all__
    for name in metaser.runtime.__all__:
        assert hasattr(metaser.runtime, name)
    for name in ("Engine", "load_audio", "Profile", "Decision", "Stream", "StreamEvent", "MetaserError"):
        assert name in metaser.runtime.__all__
