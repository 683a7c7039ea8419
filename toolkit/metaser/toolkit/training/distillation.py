"""Distillation: a small network learns the embeddings of a larger one beside its episodes.

The teacher embeds every training clip once, whole and not augmented, and the student sees augmented crops. So the
student also learns to ignore the augmentation, as with a noisy student (Xie et al., arXiv 1911.04252).

Letters: B clips of an episode, E embedding size.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metaser.runtime.errors import InputError
from metaser.toolkit.data.clip_store import ClipStore
from metaser.toolkit.evaluation.embeddings import embed_by
from metaser.toolkit.model.checkpoint import load_checkpoint


def embed_by_teacher(folder: Path, store: ClipStore, embedding_size: int) -> Tensor:
    """[clips, E] unit rows, a checkpoint's embeddings of the clips of a store.

    Raises:
        MetaserError: there is no usable checkpoint in the folder.
        InputError: its embeddings are of another size.
    """
    teacher, _ = load_checkpoint(folder)
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
