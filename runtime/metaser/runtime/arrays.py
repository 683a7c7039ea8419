"""Types of the arrays in the library's interface, and its internal sampling rate.

Letters: B batch, T samples, N frames, D frame width, E embedding size, C classes, K shots, M support clips.
"""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ = 16_000
MAX_RATE_HZ = 768_000
"""The highest rate that any recording has."""

Waveform: TypeAlias = npt.NDArray[np.float32]
"""[T] samples at 16 kHz, mono, in [-1, 1]."""

Frames: TypeAlias = npt.NDArray[np.float32]
"""[N, D], one row per hop of the backbone."""

Embedding: TypeAlias = npt.NDArray[np.float32]
"""[E], not normalised."""

Embeddings: TypeAlias = npt.NDArray[np.float32]
"""[M, E], one row per clip, not normalised."""

Prototypes: TypeAlias = npt.NDArray[np.float32]
"""[C, E], one unit row per class."""

HeadParameters: TypeAlias = Mapping[str, npt.NDArray[np.float32]]
"""The parameters of a pooling head by name; `scale` is its factor on cosines."""
