"""The graph of integer products in the runtime's data."""

from metaser.runtime.providers.integer_products import PROBE
from tools.int8_probe import probe_graph


def test_the_graph_in_the_runtime_is_the_one_that_the_tool_makes() -> None:
    assert PROBE.read_bytes() == probe_graph().SerializeToString(deterministic=True)
