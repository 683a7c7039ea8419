"""One module writes the files of the package; this reads the sources of all others."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WRITERS = ("files.py", "folders.py", "in_place.py")
"""Of `metaser.runtime.system`."""

HANDED_OUT = ("replacing", "emptied")
"""The functions there that give a library a file to write to."""

NEVER = frozenset(
    {
        "write_text", "write_bytes", "touch", "rename", "renames", "link", "symlink", "symlink_to", "hardlink_to",
        "truncate", "copy", "copy2", "copyfile", "copytree", "move", "mkstemp",
        "FileHandler", "ZipFile", "memmap", "tofile", "savetxt", "to_csv",
    }
)  # fmt: skip
INTO_A_FILE = frozenset({"save_file", "savez", "savez_compressed", "savefig", "serialize_file", "dump", "SoundFile"})
"""They take the file or its path; so do `save` and `write` of the modules below."""

MODULES = {"torch": {"save"}, "np": {"save"}, "numpy": {"save"}, "soundfile": {"write"}, "onnx": {"save"}}


def writes(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each call that opens, makes or moves a file otherwise."""
    tree = ast.parse(source)
    ours = {
        item.optional_vars.id
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        for item in node.items
        if isinstance(item.optional_vars, ast.Name) and _name(item.context_expr) in HANDED_OUT
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or _uses(node, ours) or "os.devnull" in ast.unparse(node):
            continue
        name = _name(node)
        owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        if (
            (name in NEVER and not _is_of_values(owner, name))
            or (name in INTO_A_FILE and not _reads(node))
            or name in MODULES.get(owner, ())
            or (name == "NamedTemporaryFile" and any(keyword.arg == "delete" for keyword in node.keywords))
            or (name == "open" and _opens_to_write(node, owner))
            or (name == "replace" and owner and len(node.args) == 1 and not node.keywords)
        ):
            yield node.lineno, name


def _name(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _uses(call: ast.Call, ours: set[str]) -> bool:
    """Whether a call's file is one that was handed out."""
    inside = [part for argument in call.args for part in ast.walk(argument)]
    return any(getattr(part, "id", "") in ours or _name(part) in HANDED_OUT for part in inside)


def _is_of_values(owner: str, name: str) -> bool:
    """Whether it copies something in memory."""
    return name == "copy" and owner not in ("shutil",)


def _reads(call: ast.Call) -> bool:
    """Whether a sound file is opened as `SoundFile` does without a mode, or a figure goes to memory."""
    name, words = _name(call), ast.unparse(call)
    if name == "SoundFile":
        return len(call.args) < 2 and "mode" not in words
    return name == "savefig" and "picture" in words


def _opens_to_write(call: ast.Call, owner: str) -> bool:
    if owner == "os":
        return "O_RDONLY" not in ast.unparse(call)
    modes = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    texts = [mode.value for mode in modes if isinstance(mode, ast.Constant) and isinstance(mode.value, str)]
    return any(text and len(text) <= 3 and set(text) <= set("rwaxbt+") and set(text) & set("wax+") for text in texts)


def sources() -> list[Path]:
    found = [path for part in ("runtime", "toolkit", "export") for path in (ROOT / part).rglob("*.py")]
    assert len(found) > 150
    return [path for path in found if not (path.parent.name == "system" and path.name in WRITERS)]


def test_no_other_module_opens_a_file_for_writing() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in sources()
        for line, name in writes(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "path.write_text('x')", "open(path, 'w')", "path.open('ab')", "path.open(mode='x')",
        "os.open(path, os.O_WRONLY)",
        "temporary.replace(path)", "os.rename(one, other)", "np.save(path, x)", "torch.save(x, path)",
        "save_file(x, path)", "figure.savefig(path)", "soundfile.write(path, x, 1)", "json.dump(x, file)",
        "soundfile.SoundFile(path, 'w')", "NamedTemporaryFile(delete=False)", "shutil.copy(one, other)",
    ],
)  # fmt: skip
def test_each_way_to_write_is_found(line: str) -> None:
    assert [number for number, _ in writes(line)] == [1]


@pytest.mark.parametrize(
    "line",
    [
        "open(path)", "path.open('rb')", "os.open(path, os.O_RDONLY)", "text.replace('a', 'b')",
        "replace(profile, x=1)",
        "x.copy()", "soundfile.SoundFile(path)", "with replacing(path) as file: np.save(file, x)",
        "with replacing(path) as file: save_file(x, file.name)", "NamedTemporaryFile(prefix='scratch')",
    ],
)  # fmt: skip
def test_what_only_reads_or_writes_to_a_file_that_was_handed_out_is_not(line: str) -> None:
    assert list(writes(line)) == []
