"""The model card of a bundle, written from its manifest."""

from __future__ import annotations

from typing import Any

from metaser.runtime.bundles.manifest import Manifest

UNTRAINED = "No training: the encoder is frozen as published, and the head returns the mean of its frames."

TEMPLATE = """# {name}
A speech encoder and a pooling head for few-shot speech emotion recognition with metaser. A person enrols a few labelled
clips per class. A query gets the class whose prototype has the highest cosine similarity.

| | |
|---|---|
| backbone | {source}, the first {layers} layers ({family}, width {width}) |
| head | {head}, embeddings of {embedding_size} |
| precision | {precision}, ONNX opset {opset} |
| window | up to {max_window_s:g} s at 16 kHz, one frame every {hop_ms:g} ms |
| licence of the weights | {licence} |
| made by | `{command}` |

## Training data
{training}

## Agreement with PyTorch in float32
{parity}
{accuracy}
## Use and limits
- Intended for labelling speech from a person's own examples, on their own device. Enrol with the speakers, language and
  microphone that you will use; accuracy for unseen speakers is clearly lower.
- Acted emotion is not felt emotion, and a label is not a fact about a person. Emotion recognition is restricted by law
  in some places, for example at work and in schools in the European Union.
- Not for decisions about people.
"""


def model_card(manifest: Manifest, command: str) -> str:
    """The text of MODEL_CARD.md."""
    backbone, head, audio = manifest.backbone, manifest.head, manifest.audio
    corpora = ", ".join(manifest.training_corpora)
    languages = ", ".join(manifest.training_languages)
    return TEMPLATE.format(
        name=manifest.name,
        source=backbone.source,
        layers=backbone.layers,
        family=backbone.family,
        width=backbone.width,
        head=head.kind,
        embedding_size=head.embedding_size,
        precision=manifest.precision,
        opset=manifest.opset,
        max_window_s=audio.max_window_s,
        hop_ms=1000 * audio.hop_samples / audio.sample_rate_hz,
        licence=manifest.licence,
        command=command,
        training=f"{corpora} ({languages})." if corpora else UNTRAINED,
        parity=_list(manifest.parity),
        accuracy=_accuracy(manifest),
    )


def _accuracy(manifest: Manifest) -> str:
    if not manifest.accuracy:
        return ""
    return f"\n## Accuracy\n{_list(manifest.accuracy)}\n"


def _list(report: dict[str, Any]) -> str:
    return "\n".join(f"- {key.replace('_', ' ')}: {_text(value)}" for key, value in report.items() if value is not None)


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return f"{value:.5g}" if isinstance(value, float) else str(value)
