"""Tiny random encoders of every architecture, saved as the hub saves them, and their reference: transformers itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    PreTrainedModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from metaser.toolkit.model.backbone import Backbone, load_backbone
from metaser.toolkit.model.network import ProtoNet, make_head

DEPTH = 3
MEL_BINS = 80
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": DEPTH,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 5,
}
SHORT_POSITIONS: dict[str, Any] = {"num_conv_pos_embeddings": 16}
GROUP_NORM: dict[str, Any] = {"feat_extract_norm": "group", "do_stable_layer_norm": False, "conv_bias": False}
STABLE: dict[str, Any] = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}


def small_whisper() -> PreTrainedModel:
    tokens: dict[str, Any] = {f"{name}_token_id": 0 for name in ("pad", "bos", "eos", "decoder_start")}
    config = WhisperConfig(
        d_model=32,
        encoder_layers=DEPTH,
        encoder_attention_heads=4,
        encoder_ffn_dim=64,
        num_mel_bins=MEL_BINS,
        max_source_positions=128,
        decoder_layers=1,
        decoder_attention_heads=4,
        decoder_ffn_dim=16,
        vocab_size=8,
        max_target_positions=4,
        **tokens,
    )
    return WhisperForConditionalGeneration(config)


ENCODERS: dict[str, Callable[[], PreTrainedModel]] = {
    "wav2vec2": lambda: Wav2Vec2ForCTC(Wav2Vec2Config(**SMALL, **SHORT_POSITIONS, **STABLE)),
    "wav2vec2-group-norm": lambda: Wav2Vec2ForCTC(Wav2Vec2Config(**SMALL, **SHORT_POSITIONS, **GROUP_NORM)),
    "hubert": lambda: HubertModel(
        HubertConfig(**SMALL, **SHORT_POSITIONS, **GROUP_NORM, conv_pos_batch_norm=True, feat_proj_layer_norm=False)
    ),
    "hubert-stable": lambda: HubertModel(HubertConfig(**SMALL, **SHORT_POSITIONS, **STABLE)),
    "wavlm": lambda: WavLMModel(WavLMConfig(**SMALL, **SHORT_POSITIONS, **GROUP_NORM)),
    "wavlm-stable": lambda: WavLMModel(WavLMConfig(**SMALL, **SHORT_POSITIONS, **STABLE)),
    "data2vec-audio": lambda: Data2VecAudioModel(Data2VecAudioConfig(**SMALL)),
    "whisper": small_whisper,
}
WITHOUT_INPUT_NORM = ("wavlm", "whisper")


@dataclass(frozen=True)
class Pretrained:
    """A saved encoder, its stock model, and the stock model's output for one clip."""

    name: str
    folder: Path
    model: Any

    @property
    def depth(self) -> int:
        return DEPTH

    @cached_property
    def loaded(self) -> Backbone:
        """All layers, loaded once; not to be changed."""
        return load_backbone(self.folder)

    def backbone(self, layers: int) -> Backbone:
        """The first layers, loaded again."""
        return load_backbone(self.folder, layers)

    def reference(self, clip: np.ndarray[Any, Any], layers: int) -> Tensor:
        """[T] -> [N, D], hidden_states[layers] of the clip alone through transformers, before any final norm."""
        states: list[Tensor] = []
        model = self.model
        with torch.no_grad():
            if self.name == "whisper":
                encoder = whisper_encoder(self.model, -(-len(clip) // 320))
                hook = encoder.layers[layers - 1].register_forward_hook(lambda *call: states.append(call[2]))
                mel = WhisperFeatureExtractor(feature_size=MEL_BINS)(clip, sampling_rate=16_000, return_tensors="pt")
                encoder(mel.input_features[:, :, : 2 * encoder.config.max_source_positions])
                hook.remove()
                return states[0][0]
            extractor = Wav2Vec2FeatureExtractor(do_normalize=self.name not in WITHOUT_INPUT_NORM)
            inputs = extractor(clip, sampling_rate=16_000, return_tensors="pt").input_values
            hidden: Tensor = model(inputs, output_hidden_states=True).hidden_states[layers]
            return hidden[0]


def whisper_encoder(model: Any, n: int) -> WhisperEncoder:
    """The stock encoder for exactly n frames."""
    config = WhisperConfig.from_dict({**model.config.to_dict(), "max_source_positions": n})
    weights = model.get_encoder().state_dict()
    weights["embed_positions.weight"] = weights["embed_positions.weight"][:n]
    encoder: WhisperEncoder = WhisperEncoder(config).eval()
    encoder.load_state_dict(weights)
    return encoder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads only cost time on tensors this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pretrained]:
    @lru_cache
    def save(name: str) -> Pretrained:
        torch.manual_seed(len(name))
        model: Any = ENCODERS[name]().eval()
        for parameter in model.parameters():  # norms of 1 and biases of 0 would hide a wrong order of calls
            parameter.data += 0.1 * torch.randn_like(parameter)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm1d):
                module.running_mean = torch.randn(module.num_features)
        folder = tmp_path_factory.mktemp(name)
        model.save_pretrained(folder)
        if name == "whisper":
            WhisperFeatureExtractor(feature_size=MEL_BINS).save_pretrained(folder)
        elif name in WITHOUT_INPUT_NORM:
            Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)
        return Pretrained(name, folder, getattr(model, "wav2vec2", model))

    return save


@pytest.fixture(scope="session", params=list(ENCODERS))
def pretrained(request: pytest.FixtureRequest, saved: Callable[[str], Pretrained]) -> Pretrained:
    """Every architecture in turn."""
    return saved(request.param)


@pytest.fixture(scope="session")
def wav2vec2(saved: Callable[[str], Pretrained]) -> Pretrained:
    return saved("wav2vec2")


@pytest.fixture(scope="session")
def whisper(saved: Callable[[str], Pretrained]) -> Pretrained:
    return saved("whisper")


@pytest.fixture
def network(wav2vec2: Pretrained) -> ProtoNet:
    torch.manual_seed(0)
    return ProtoNet(wav2vec2.backbone(2), make_head("glu", 32, 8)).eval()
