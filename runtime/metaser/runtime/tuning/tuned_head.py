"""A tuned head in a profile: its parameters, the clips' embeddings, and their frames for tuning again.

tensor              shape        what
head.NAME           its own      the parameters
tuned_embeddings    [M, E]       the clips by this head
frames              [sum N, D]   the encoder's frames of all clips, one clip after the other, in float16
frame_lengths       [M]          frames of each clip
tuned_cross_fitted  [M, C]       cosines to the prototypes, by a head tuned without the clip's fold; with a guard only
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import Embeddings, HeadParameters
from metaser.runtime.scoring.decision import SCALES, is_between
from metaser.runtime.system.strict_json import finite
from metaser.runtime.tuning.guard import Guard
from metaser.runtime.tuning.head import SupportFrames
from metaser.runtime.tuning.steps import Indices

HEAD = "head."


@dataclass(frozen=True, eq=False)
class TunedHead:
    """A head that was tuned on exactly these clips; it is not valid if one is added or removed."""

    clips: tuple[str, ...]
    """sha256 of each clip, in the profile's order."""
    parameters: HeadParameters
    embeddings: Embeddings
    """[M, E], not normalised."""
    frames: npt.NDArray[np.float16]
    """[sum of N, D]"""
    lengths: Indices
    """[M] number of frames of each clip."""
    guard: Guard | None
    """The guard's measurement; None if a class has a single clip."""
    cross_fitted: npt.NDArray[np.float32] | None = None
    """[M, C] cosines of each clip to the prototypes, by a head tuned without its fold; None likewise."""

    @property
    def scale(self) -> float:
        """The head's factor on cosines."""
        return float(self.parameters["scale"])

    def support(self, targets: Indices) -> SupportFrames:
        """The frames [M, N, D] with the class of each clip."""
        return SupportFrames.of(np.split(self.frames, np.cumsum(self.lengths)[:-1]), targets)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The tensors to store in the profile's file."""
        return {
            **{f"{HEAD}{name}": np.asarray(value) for name, value in self.parameters.items()},
            "tuned_embeddings": self.embeddings,
            "frames": self.frames,
            "frame_lengths": self.lengths,
            **({} if self.cross_fitted is None else {"tuned_cross_fitted": self.cross_fitted}),
        }

    def header(self) -> dict[str, Any]:
        """The values to store in its header."""
        return {"clips": list(self.clips), "guard": asdict(self.guard) if self.guard else None}

    @classmethod
    def read(cls, header: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> TunedHead:
        """The reverse of `header` and `tensors`.

        Raises:
            KeyError, TypeError, ValueError: something is missing or has the wrong type.
        """
        guard = header["guard"]
        return cls(
            clips=tuple(str(clip) for clip in header["clips"]),
            parameters={name.removeprefix(HEAD): value for name, value in tensors.items() if name.startswith(HEAD)},
            embeddings=tensors["tuned_embeddings"],
            frames=tensors["frames"],
            lengths=tensors["frame_lengths"],
            guard=None if guard is None else Guard(int(guard["folds"]), *(finite(guard[name]) for name in FIGURES)),
            cross_fitted=tensors.get("tuned_cross_fitted"),
        )

    def is_valid(self, clips: Sequence[str]) -> bool:
        """Whether the parts fit each other and these clips, and every number is finite."""
        floats = [*self.parameters.values(), self.embeddings]
        return (
            self.clips == tuple(clips)
            and all(value.dtype == np.float32 and np.isfinite(value).all() for value in floats)
            and self.parameters.get("scale", self.embeddings).shape == ()
            and is_between(self.scale, SCALES)
            and self.embeddings.ndim == self.frames.ndim == 2
            and self.frames.dtype == np.float16
            and bool(np.isfinite(self.frames).all())
            and self.lengths.dtype == np.int64
            and self.lengths.shape == (len(self.embeddings),) == (len(clips),)
            and bool((self.lengths > 0).all())
            and int(self.lengths.sum()) == len(self.frames)
        )

    def has_classes(self, count: int) -> bool:
        """Whether the cross-fitted cosines have this many classes."""
        found = self.cross_fitted
        return found is None or (found.shape == (len(self.clips), count) and bool(np.isfinite(found).all()))


FIGURES = ("log_loss_before", "log_loss_after", "cooling")
