"""Distillation: a small network learns the embeddings of a larger one, in addition to its episodes.

The teacher embeds every training clip once, whole and not augmented, and the student sees augmented crops. So the
student also learns to ignore the augmentation, as with a noisy student (Xie et al., arXiv 1911.04252).

Letters: B clips of an episode, E embedding size.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metaser.runtime.errors import InputError
from metaser.toolkit.config import Config
from metaser.toolkit.data.clip_store import ClipStore
from metaser.toolkit.evaluation.embeddings import embed_by
from metaser.toolkit.model.checkpoint import load_checkpoint


def embed_by_teacher(config: Config, store: ClipStore) -> Tensor | None:
    """[clips, E] unit rows, the teacher's embeddings of the clips of a store; None without a teacher.

    Raises:
        MetaserError: there is no usable checkpoint in the teacher's folder.
        InputError: its embeddings are of another size.
    """
    if config.distil.teacher is None:
        return None
    teacher, _ = load_checkpoint(config.distil.teacher)
    embedding_size = config.model.embedding_size
    if teacher.head.embedding_size != embedding_size:
        raise InputError(
            f"distil.teacher has embeddings of {teacher.head.embedding_size}: set model.embedding_size to it, "
            f"instead of {embedding_size}"
        )
    rows = [embed_by(teacher, store.load(clip)) for clip in range(len(store.utterances))]
    return F.normalize(torch.from_numpy(np.stack(rows)), dim=-1)


def distillation_loss(embeddings: Tensor, teacher: Tensor) -> Tensor:
    """[B, E] and unit rows [B, E] -> the mean of 1 - cosine."""
    return 1 - (F.normalize(embeddings, dim=-1) * teacher).sum(-1).mean()
