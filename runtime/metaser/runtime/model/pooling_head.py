"""The pooling head's graph: the frames of clips -> one embedding per clip, with the bundle's parameters or others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import Embeddings, HeadParameters
from metaser.runtime.errors import BundleError
from metaser.runtime.providers.session import check_finite, run

if TYPE_CHECKING:
    import onnxruntime


class PoolingHead:
    """A session of `head.onnx` on any provider, and its default parameters."""

    def __init__(self, session: onnxruntime.InferenceSession, parameters: HeadParameters, embedding_size: int) -> None:
        self.session = session
        self._parameters = parameters
        self._embedding_size = embedding_size
        self._inputs = {given.name for given in session.get_inputs()}

    def pool(
        self,
        frames: npt.NDArray[np.float32],
        frame_mask: npt.NDArray[np.float32],
        parameters: HeadParameters | None = None,
    ) -> Embeddings:
        """[B, N, D] frames and [B, N], 0 for padding -> [B, E].

        Raises:
            WorkError: the run failed, or gave numbers that are not finite.
            BundleError: the size of the embeddings differs from the manifest.
        """
        named = {f"parameter.{name}": value for name, value in (parameters or self._parameters).items()}
        taken = {name: value for name, value in named.items() if name in self._inputs}
        embeddings = run(self.session, "embedding", {"frames": frames, "frame_mask": frame_mask, **taken})
        wanted = (len(frames), self._embedding_size)
        if embeddings.shape != wanted:
            raise BundleError(f"head.onnx gives {embeddings.shape}, not {wanted}: export the bundle again")
        check_finite(embeddings, "the embedding")
        return embeddings
