"""A toy MusicGen that is trained here, codec and all, in a few minutes: `marks_codec.py` draws with it.

Its sounds are real scores, played. The codec (EnCodec's network, four codebooks of 256, 50 frames a second of 8 kHz)
learns to give them back, the decoder to go on with its tokens. Nothing of it says anything of published weights.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import clavilux
from clavilux.audio.clip import Audio
from clavilux.audio.score import Score
from clavilux.audio.synth import SAMPLE_RATE, render_score
from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder
from clavilux.family import Request
from clavilux.music_model import MusicModel

ROOT = Path(__file__).resolve().parents[1]
RATE, HOP, K, V = 8000, 160, 4, 256
EXCERPT_S = 8.0
CODEC_STEPS, CODEC_SAMPLES, CODEC_BATCH = 500, 4800, 8
DECODER_STEPS, DECODER_FRAMES, DECODER_BATCH = 300, 100, 12
COMMITMENT, KEPT = 0.25, 0.95  # the weight of a latent's distance to its vector; what a moving mean keeps
SHORTEST = 64  # samples of a window of the loss


def played(scores: Iterable[Score], count: int) -> Tensor:
    """float32 [count, EXCERPT_S * RATE]: the beginnings of scores, played by the bundled instruments, as loud as each
    other; what is shorter begins again."""
    found: list[Tensor] = []
    for score in scores:
        if len(found) == count:
            break
        sound = render_score(score.slice(0.0, min(score.length, 16.0)))
        samples = Audio(sound, SAMPLE_RATE).to_mono().resample(RATE).samples[0]
        if len(samples) < RATE or not samples.abs().max() > 0.01:
            continue
        length = round(EXCERPT_S * RATE)
        samples = samples.repeat(-(-length // len(samples)))[:length]
        found.append(0.1 * samples / samples.square().mean().sqrt())
    return torch.stack(found)


def untrained(folder: Path) -> MusicModel:
    """With random weights, as transformers saves it; made where it is not there."""
    if not (folder / "config.json").exists():
        _save(folder)
    model = clavilux.load(folder, device="cpu", dtype="float32")
    assert isinstance(model, MusicModel), "its config says so"
    return model


def _save(folder: Path) -> None:
    import transformers

    text = transformers.T5Config(d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2, vocab_size=32)
    codec = transformers.EncodecConfig(
        sampling_rate=RATE, audio_channels=1, normalize=False, chunk_length_s=None, num_filters=8,
        upsampling_ratios=[5, 4, 4, 2], codebook_size=V, codebook_dim=32, hidden_size=32, num_lstm_layers=1,
        target_bandwidths=[K * 8 * RATE / HOP / 1000], use_causal_conv=False, norm_type="weight_norm",
    )  # fmt: skip
    decoder = transformers.MusicgenDecoderConfig(
        vocab_size=V, max_position_embeddings=1024, num_codebooks=K, pad_token_id=V, bos_token_id=V, audio_channels=1,
        hidden_size=96, num_attention_heads=4, num_hidden_layers=3, ffn_dim=384,
    )  # fmt: skip
    config = transformers.MusicgenConfig(text_encoder=text, audio_encoder=codec, decoder=decoder)
    torch.manual_seed(1)
    model = transformers.MusicgenForConditionalGeneration(config).eval()
    model.generation_config.decoder_start_token_id = V
    model.save_pretrained(folder)
    where = ROOT / "tests/engine/conftest.py"
    spec = importlib.util.spec_from_file_location("toy_tokenizer", where)
    assert spec is not None and spec.loader is not None, "the file is there"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.save_tokenizer(folder)


def trained(folder: Path, sounds: Tensor) -> MusicModel:
    """The toy, taught with sounds [N, samples]; what was learned is kept in its folder."""
    model, path = untrained(folder), folder / "taught.pt"
    codec, decoder = model.family.stage.codec, Decoder(model.family.stage.decoder.spec)  # whose weights are not packed
    if path.exists():
        held = torch.load(path, weights_only=True)
        codec.load_state_dict(held["codec"])
        decoder.load_state_dict(held["decoder"])
    else:
        torch.manual_seed(4)
        teach_codec(codec, sounds)
        decoder._initialize()
        teach_decoder(model, decoder, codec.encode(sounds[:, None]))
        torch.save({"codec": codec.state_dict(), "decoder": decoder.state_dict()}, path)
    model.family.stage = replace(model.family.stage, decoder=decoder.requires_grad_(False).eval())
    return model


def teach_codec(codec: Any, sounds: Tensor) -> None:
    """Encoder and decoder by gradients, the vectors as moving means of what they stand for."""
    chance = torch.Generator().manual_seed(2)
    weights = [*codec.encoder.parameters(), *codec.decoder.parameters()]
    for weight in weights:
        weight.requires_grad_(True)
        if weight.ndim > 1:
            torch.nn.init.kaiming_normal_(weight, generator=chance)
            weight.data.mul_(0.7)
        else:
            torch.nn.init.zeros_(weight)
    means = _Means(codec, chance)
    optimizer = torch.optim.AdamW(weights, lr=2e-3, betas=(0.8, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, CODEC_STEPS)
    for step in range(CODEC_STEPS):
        rows = torch.randint(len(sounds), (CODEC_BATCH,), generator=chance)
        starts = torch.randint(sounds.shape[1] - CODEC_SAMPLES, (CODEC_BATCH,), generator=chance)
        batch = torch.stack([sounds[r, s : s + CODEC_SAMPLES] for r, s in zip(rows, starts, strict=True)])[:, None]
        latent = codec.encoder(batch)
        quantized = means.learn(latent, first=step == 0)
        heard = codec.decoder(latent + (quantized - latent).detach())
        loss = _distance(heard[:, 0], batch[:, 0]) + COMMITMENT * F.mse_loss(latent, quantized)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            print(f"codec: step {step + 1}, loss {float(loss):.3f}", flush=True)
    codec.requires_grad_(False)


class _Means:
    """The vectors of a codec's quantizers while they are learned."""

    def __init__(self, codec: Any, chance: torch.Generator) -> None:
        self._vectors, self._chance = codec.quantizer.vectors, chance
        self._counts = [torch.ones(V) for _ in self._vectors]
        self._sums: list[Tensor] = []

    @torch.no_grad()
    def learn(self, latent: Tensor, first: bool) -> Tensor:
        """What latents [B, D, T] are quantized to; a vector that stands for nothing any more is put on a latent."""
        rest = latent.transpose(1, 2).flatten(0, 1)  # [N, D]
        whole = rest
        for book, vectors in enumerate(self._vectors):
            if first:
                vectors.copy_(self._some(rest, V))
                self._sums.append(vectors.clone())
            nearest = torch.cdist(rest, vectors).argmin(1)
            counts = torch.bincount(nearest, minlength=V).float()
            sums = torch.zeros_like(vectors).index_add_(0, nearest, rest)
            self._counts[book].mul_(KEPT).add_(counts, alpha=1 - KEPT)
            self._sums[book].mul_(KEPT).add_(sums, alpha=1 - KEPT)
            dead = self._counts[book] < 0.05
            self._sums[book][dead] = self._some(rest, int(dead.sum()))
            self._counts[book][dead] = 1.0
            vectors.copy_(self._sums[book] / self._counts[book][:, None])
            rest = rest - vectors[nearest]
        return (whole - rest).unflatten(0, (len(latent), -1)).transpose(1, 2)

    def _some(self, rows: Tensor, count: int) -> Tensor:
        return rows[torch.randint(len(rows), (count,), generator=self._chance)]


def _distance(heard: Tensor, wanted: Tensor) -> Tensor:
    """Of sounds [B, N]: their samples, and the magnitudes of three spectra."""
    total = F.l1_loss(heard, wanted)
    for size in (4 * SHORTEST, 8 * SHORTEST, 16 * SHORTEST):
        window = torch.hann_window(size)
        first, second = (
            torch.stft(x, size, size // 4, window=window, return_complex=True).abs() for x in (heard, wanted)
        )
        total = total + (first - second).abs().mean() / size**0.5
        total = total + 0.2 * F.l1_loss((first + 1e-2).log(), (second + 1e-2).log())
    return total


def teach_decoder(model: MusicModel, decoder: Decoder, frames: Tensor) -> None:
    """With frames [N, K, T] of the codec's, without any prompt."""
    chance, family = torch.Generator().manual_seed(3), model.family
    layout = family.stage.layout
    generation = family.begin([Request("", 1.0, 0, None, {}, True)])[0]
    memory, mask = generation.conditioning.memory, generation.conditioning.memory_mask
    assert memory is not None and mask is not None, "its text is read by cross-attention"
    empty = Conditioning(
        memory=memory.clone().expand(DECODER_BATCH, -1, -1), memory_mask=mask.clone().expand(DECODER_BATCH, -1)
    )
    start = generation.prompt.clone().expand(DECODER_BATCH, -1, -1)
    decoder.requires_grad_(True)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, DECODER_STEPS)
    for step in range(DECODER_STEPS):
        rows = torch.randint(len(frames), (DECODER_BATCH,), generator=chance)
        starts = torch.randint(frames.shape[2] - DECODER_FRAMES, (DECODER_BATCH,), generator=chance)
        pieces = [frames[r, :, s : s + DECODER_FRAMES] for r, s in zip(rows, starts, strict=True)]
        plan = layout.arrange(torch.stack(pieces), DECODER_FRAMES)
        logits = decoder(torch.cat([start, plan[:, :, :-1]], 2), conditioning=empty)[..., :V]
        loss = F.cross_entropy(logits.flatten(0, 2), plan.masked_fill(plan >= V, -100).flatten(), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            print(f"decoder: step {step + 1}, {float(loss):.3f} nats a token", flush=True)
