"""Damage the content of a file: values, keys and shapes of JSON, of TOML and of a safetensors header."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import numpy as np

DEEP = "@@DEEP@@"
"""Placeholder for deeply nested lists, which Python's JSON writer refuses."""

INFINITE = "@@INFINITE@@"
"""Placeholder for a number that is infinite as a float."""

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e-320, 3.5e38, 1e308, float("nan"), float("inf"), -float("inf"),
    2**15, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30, 10**400, "", "0", "1e5",
    "nan", "\0", "a\nb\x1b[2J", "\ud800", "\U0001f600", "e\u0301", "../../etc/passwd", "/dev/zero", "%s%n{0}",
    "x" * 70_000, [], [[]], {}, {"": None}, [0], [-1], [2**63], [1] * 5000, "unknown", "int8", DEEP, INFINITE,
)  # fmt: skip
"""Values of wrong types, boundary values, not finite, too large for a float, and invalid names."""

KEYS = ("", "scale", "version", "__metadata__", "\ud800", "x" * 5000, "../a", "__class__", "self")
DTYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "I8", "U8", "BOOL", "F8_E4M3", "F4", "f32", "")
FLOATS = (np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, 0.0)
MOST_CHANGES = 3


def changed(document: Any, rng: random.Random) -> Any:
    """A copy with one to three changes: values, keys, entries and swapped parts."""
    document = copy.deepcopy(document)
    for _ in range(rng.randint(1, MOST_CHANGES)):
        places = list(_places(document))
        if not places:
            return rng.choice(VALUES)
        _change(places, rng)
    return document


def other_numbers(document: Any, rng: random.Random) -> Any:
    """A copy in which one or two numbers, of the correct type, are boundary values or a thousand times as large."""
    document = copy.deepcopy(document)
    places = [(part, key) for part, key in _places(document) if type(part[key]) in (int, float)]
    for part, key in rng.sample(places, min(len(places), rng.randint(1, 2))):
        number = part[key]
        special = rng.choice((0, 1, -1, 2, number + 1, -number, 1000 * number, 2**15, 2**31, 2**62))
        part[key] = (
            special if isinstance(number, int) else rng.choice((special / 3, 1e-300, 1e300, 0.999, float(special)))
        )
    return document


def to_json(document: Any, rng: random.Random) -> bytes:
    """The text of a document, including values that JSON's grammar allows and Python's writer does not."""
    text = json.dumps(document, ensure_ascii=rng.random() < 0.7)
    depth = rng.choice((10, 900, 5000, 200_000))
    text = text.replace(f'"{DEEP}"', "[" * depth + "]" * depth).replace(f'"{INFINITE}"', "1e999")
    return text.encode(errors="surrogatepass")


def to_toml(table: dict[str, Any]) -> bytes:
    """The text of a table, sections as inline tables."""
    return "".join(f"{json.dumps(key)} = {_toml_value(value)}\n" for key, value in table.items()).encode(
        errors="surrogatepass"
    )


def changed_json(content: bytes, rng: random.Random) -> bytes:
    """A JSON file with changed content."""
    change = rng.choice((changed, other_numbers))
    return to_json(change(json.loads(content), rng), rng)


def changed_tensors(content: bytes, rng: random.Random) -> bytes:
    """A safetensors file with another header, other metadata in it, or other numbers."""
    size = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    metadata = header.get("__metadata__")
    how = rng.choice(("header", "tensor", "numbers", "metadata") if metadata else ("header", "tensor", "numbers"))
    if how == "header":
        header = changed(header, rng)
    elif how == "metadata":
        key = rng.choice(list(metadata))
        inside = json.loads(metadata[key]) if metadata[key].startswith("{") else metadata[key]
        metadata[key] = to_json(changed(inside, rng), rng).decode(errors="surrogatepass")
    else:
        names = [name for name in header if name != "__metadata__"]
        if how == "tensor":
            _change_tensor(header[rng.choice(names)], len(data), rng)
        else:
            data = _with_floats(data, header[rng.choice(names)], rng)
    text = to_json(header, rng)
    return len(text).to_bytes(8, "little") + text + data


def _change_tensor(entry: dict[str, Any], size: int, rng: random.Random) -> None:
    """Change the type, shape or position of a tensor; its bytes often still fit, for example 2 x 3 and 3 x 2."""
    shape = entry["shape"]
    kind = rng.randrange(4)
    if kind == 0:
        entry["dtype"] = rng.choice(DTYPES)
    elif kind == 1:
        entry["data_offsets"] = sorted(rng.randint(0, size) for _ in range(2))
    elif kind == 2:
        entry["shape"] = rng.choice((shape[::-1], [*shape, 1], [1, *shape], shape[1:], [int(np.prod(shape))]))
    else:
        entry["shape"] = [rng.choice((0, 1, 2**31, 2**63 - 1, 2**64 - 1, size)) for _ in shape or (1,)]


def _with_floats(data: bytes, entry: dict[str, Any], rng: random.Random) -> bytes:
    """Replace some or all numbers of a tensor by special values."""
    start, end = entry["data_offsets"]
    kinds = {"F32": np.float32, "F16": np.float16, "I64": np.int64, "F64": np.float64}
    if entry["dtype"] not in kinds or start == end:
        return data
    values = np.frombuffer(data[start:end], kinds[entry["dtype"]]).copy()
    chosen = rng.sample(range(len(values)), rng.choice((1, min(3, len(values)), len(values))))
    special = rng.choice((0, -1, 1, 2**62, -(2**63)) if entry["dtype"] == "I64" else FLOATS)
    with np.errstate(over="ignore"):
        values[chosen] = special
    return data[:start] + values.tobytes() + data[end:]


def _places(part: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with each of its keys."""
    if isinstance(part, dict | list):
        for key in list(part) if isinstance(part, dict) else range(len(part)):
            yield part, key
            yield from _places(part[key])


def _change(places: list[tuple[Any, Any]], rng: random.Random) -> None:
    container, key = rng.choice(places)
    kind = rng.randrange(8)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container[rng.choice(KEYS)] = rng.choice(VALUES)
    elif kind == 2 and isinstance(container, dict):
        container[rng.choice(KEYS)] = container.pop(key)
    elif kind == 3 and isinstance(container, list):
        container.insert(key, copy.deepcopy(container[key]))
    elif kind == 4:
        other, place = rng.choice(places)
        container[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(container[key])
    elif kind == 5 and isinstance(container[key], int | float):
        container[key] = rng.choice((-container[key], container[key] + 1, container[key] * 1000, str(container[key])))
    else:
        container[key] = copy.deepcopy(rng.choice(VALUES))


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml_value(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if value in (DEEP, INFINITE, None):
        return {DEEP: "[" * 5000 + "]" * 5000, INFINITE: "1e999", None: '""'}[value]
    return repr(value) if isinstance(value, float) else json.dumps(value)
