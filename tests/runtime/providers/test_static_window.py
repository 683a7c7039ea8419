"""Only encoders are checked for a static window."""

import pytest

from metaser.runtime import BundleError, Engine
from metaser.runtime.providers.session import HEAD_NAMES, open_session
from metaser.runtime.providers.static_window import has_static_window


def test_a_graph_that_takes_no_clips_is_no_encoder(engine: Engine) -> None:
    head = open_session(engine.bundle.folder / "head.onnx", "cpu", 1, HEAD_NAMES)
    with pytest.raises(BundleError, match=r"this graph takes .*frames.* and is not an encoder: export the bundle"):
        has_static_window(head)
