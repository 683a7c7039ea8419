"""A script from its start to its first result: `python cold_start_worker.py KIND MODEL CLIP PROFILE|LAYERS`.

`metaser` opens a bundle and a profile and labels the clip; `transformers` loads the first layers of an encoder and
embeds the clip as the mean over frames, which is what metaser does without the label. Each imports only what it needs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def metaser(bundle: str, clip: str, profile: str) -> str:
    """Label the clip."""
    from metaser.runtime import Engine, load_audio

    engine = Engine.open(bundle, provider="cpu")
    decision = engine.classify(load_audio(clip), engine.open_profile(profile))
    return str(decision.label)


def transformers(folder: str, clip: str, layers: str) -> str:
    """The width of the clip's embedding; Whisper's extractor fills every clip up to 30 s."""
    import soundfile
    import torch
    from transformers import AutoFeatureExtractor

    audio, rate_hz = soundfile.read(clip, dtype="float32")
    inputs = AutoFeatureExtractor.from_pretrained(folder)(audio, sampling_rate=rate_hz, return_tensors="pt")
    encoder = _encoder(folder, int(layers)).float().eval()
    with torch.inference_mode():
        embedding = encoder(**inputs).last_hidden_state.mean(1)
    return str(embedding.shape[1])


def _encoder(folder: str, layers: int) -> Any:
    """Import only what is needed, which is the best case for a user."""
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(folder)
    if config.model_type != "whisper":
        config.num_hidden_layers = layers
        return AutoModel.from_pretrained(folder, config=config)
    from safetensors.torch import load_file
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config.encoder_layers = layers
    encoder = WhisperEncoder(config)
    weights = load_file(Path(folder) / "model.safetensors")
    named = {name.partition("encoder.")[2]: value for name, value in weights.items() if "encoder." in name}
    encoder.load_state_dict({name: named[name] for name in encoder.state_dict()})
    return encoder


if __name__ == "__main__":
    kinds = {"metaser": metaser, "transformers": transformers}
    print(kinds[sys.argv[1]](*sys.argv[2:]), flush=True)
