"""Finding the other files that an ONNX file reads, without the onnx package.

A walk over the protobuf wire format (protobuf.dev/programming-guides/encoding) along the few fields of onnx.proto
that can hold tensors. Payloads are skipped, not copied, so a file of a gigabyte takes milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metaser.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator

# message -> field number -> message inside it; the numbers are those of onnx.proto
FIELDS = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "Entry"},
}
KEY, VALUE = 1, 2  # fields of Entry
MAX_TAG = 2**32 - 1
MAX_VARINT_BITS = 70
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types


def external_files(model: bytes | memoryview) -> set[str]:
    """The `location` of every tensor that is stored outside the model's own bytes.

    Raises:
        BundleError: the bytes are not a protobuf message.
    """
    try:
        return set(_locations(memoryview(model), "Model"))
    except (IndexError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError("not an ONNX file, or a damaged one: export the bundle again") from error


def _locations(message: memoryview, kind: str) -> Iterator[str]:
    if kind == "Entry":
        entry = {number: bytes(value).decode() for number, value in _length_delimited(message)}
        if entry.get(KEY) == "location":
            yield entry.get(VALUE, "")
        return
    inside = FIELDS[kind]
    for number, value in _length_delimited(message):
        if number in inside:
            yield from _locations(value, inside[number])


def _length_delimited(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if tag > MAX_TAG or number == 0:  # other readers cut such a tag to 32 bits and see another field
            raise IndexError(f"tag {tag}")
        if wire_type == VARINT:
            _, position = _varint(message, position)
        elif wire_type == FIXED64:
            position += 8
        elif wire_type == FIXED32:
            position += 4
        elif wire_type == BYTES:
            size, position = _varint(message, position)
            yield number, message[position : position + size]
            position += size
        else:
            raise IndexError(f"wire type {wire_type}")
        if position > len(message):
            raise IndexError("message cut off")


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift >= MAX_VARINT_BITS:
            raise IndexError("a varint of more than ten bytes")
