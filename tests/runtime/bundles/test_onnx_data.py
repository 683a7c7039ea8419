"""Finding external data in ONNX bytes, without the onnx package."""

import struct

import pytest

from metaser.runtime import BundleError
from metaser.runtime.bundles.onnx_data import external_files


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def message(*parts: tuple[int, bytes]) -> bytes:
    return b"".join(varint(number << 3 | 2) + varint(len(body)) + body for number, body in parts)


def tensor(location: str | None) -> bytes:
    data = message((9, b"\x00" * 300))
    if location is None:
        return data
    entry = message((1, b"location"), (2, location.encode()))
    other = message((1, b"offset"), (2, b"0"))
    return message((13, entry), (13, other)) + varint(14 << 3) + varint(1)


def test_an_initializer_outside_the_file_is_found() -> None:
    graph = message((5, tensor(None)), (5, tensor("weights.data")))
    model = varint(1 << 3) + varint(10) + message((7, graph))
    assert external_files(model) == {"weights.data"}


def test_a_model_without_external_data_has_none() -> None:
    assert external_files(message((7, message((5, tensor(None)))))) == set()


@pytest.mark.parametrize(
    "hide",
    [
        lambda inner: message((1, message((5, message((5, inner)))))),  # a node's attribute
        lambda inner: message((1, message((5, message((6, message((5, inner)))))))),  # a subgraph of a node
        lambda inner: message((1, message((5, message((11, message((5, inner)))))))),  # one of several subgraphs
        lambda inner: message((15, message((1, inner)))),  # a sparse initializer
    ],
)
def test_no_corner_of_a_graph_hides_external_data(hide: object) -> None:
    assert external_files(message((7, hide(tensor("../secret"))))) == {"../secret"}  # type: ignore[operator]


def test_functions_and_training_graphs_are_searched_too() -> None:
    node = message((5, message((5, tensor("a")))))
    assert external_files(message((25, message((7, node))), (20, message((1, message((5, tensor("b")))))))) == {
        "a",
        "b",
    }


def test_fixed_width_fields_are_skipped() -> None:
    fixed = varint(3 << 3 | 1) + struct.pack("<d", 1.0) + varint(4 << 3 | 5) + struct.pack("<f", 1.0)
    assert external_files(fixed + message((7, message((5, tensor("a")))))) == {"a"}


def test_a_tag_beyond_32_bits_does_not_hide_a_field() -> None:
    body = tensor("secret.bin")
    overlong = varint((5 << 3 | 2) | 1 << 32) + varint(len(body)) + body
    with pytest.raises(BundleError):
        external_files(message((7, overlong)))


@pytest.mark.parametrize(
    "damaged", [b"\x80" * 20 + b"\x01", b"\x02\x00", b"\x3a\xff", b"\xff\xff", b"\x3a\x05ab", b"\x0b"]
)
def test_bytes_that_are_no_message_are_refused(damaged: bytes) -> None:
    with pytest.raises(BundleError, match="not an ONNX file"):
        external_files(damaged)
