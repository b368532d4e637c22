"""transformers' MusicGen decoder with the weights of ours: the peer of whole steps and of generation.

Knows its names, its caches and its loop. It is an extra: `pip install 'clavilux[bench]'`.
"""

from collections.abc import Callable
from importlib.util import find_spec
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clavilux.bench.workloads import Subject
from clavilux.kernels.model_shapes import ModelShape
from clavilux.layers import Layer, Norm

if TYPE_CHECKING:
    from transformers import EncoderDecoderCache

MISSING = "transformers is missing, so nothing is compared with it: pip install 'clavilux[bench]'"


def available() -> bool:
    """Whether transformers is installed."""
    return find_spec("transformers") is not None


def has_peer(model: ModelShape) -> bool:
    """Whether transformers has this decoder: MusicGen's."""
    return model.name.startswith("musicgen-")


def peer_weights(subject: Subject) -> dict[str, torch.Tensor]:
    """Our weights under transformers' names; the fused ones as views."""
    decoder, spec = subject.decoder, subject.decoder.spec
    assert decoder.norm is not None and decoder.head is not None and spec.output_vocabulary is not None
    names: dict[str, Tensor] = {}
    for book, table in enumerate(decoder.embed.weight.split(spec.vocabulary)):
        names[f"model.decoder.embed_tokens.{book}.weight"] = table
    for book, head in enumerate(decoder.head.weight.split(spec.output_vocabulary)):
        names[f"lm_heads.{book}.weight"] = head
    _norm(names, "model.decoder.layer_norm", decoder.norm)
    for index, layer in enumerate(decoder.layers):
        assert isinstance(layer, Layer) and layer.attention is not None and layer.cross is not None
        name = f"model.decoder.layers.{index}"
        q, k, v = layer.attention.qkv.weight.chunk(3)
        cross_k, cross_v = layer.cross.kv.weight.chunk(2)
        _attention(names, f"{name}.self_attn", q, k, v, layer.attention.out.weight)
        _attention(names, f"{name}.encoder_attn", layer.cross.q.weight, cross_k, cross_v, layer.cross.out.weight)
        _norm(names, f"{name}.self_attn_layer_norm", layer.attention.norm)
        _norm(names, f"{name}.encoder_attn_layer_norm", layer.cross.norm)
        _norm(names, f"{name}.final_layer_norm", layer.ffn.norm)
        names[f"{name}.fc1.weight"], names[f"{name}.fc2.weight"] = layer.ffn.up.weight, layer.ffn.down.weight
    return names


def _attention(names: dict[str, Tensor], name: str, q: Tensor, k: Tensor, v: Tensor, out: Tensor) -> None:
    for part, weight in (("q", q), ("k", k), ("v", v), ("out", out)):
        names[f"{name}.{part}_proj.weight"] = weight


def _norm(names: dict[str, Tensor], name: str, norm: Norm) -> None:
    assert norm.bias is not None
    names[f"{name}.weight"], names[f"{name}.bias"] = norm.weight, norm.bias


class DevicePositions(nn.Module):
    """The library's sinusoidal positions, looked up where the tokens are.

    With a static cache the length is a tensor on the device. Up to 5.17 the library adds positions on the host to it,
    which fails on a GPU; since then it compares it with the size of its table, which breaks the compiled step in five
    and waits for the device. Either way there would be no compiled peer, or a slow one.
    """

    weights: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", table, persistent=False)

    def forward(self, input_ids: Tensor, length: int | Tensor = 0) -> Tensor:
        """[T, D] of the positions after `length` others; input_ids: [B, K, T]."""
        return self.weights.index_select(0, torch.arange(input_ids.shape[-1], device=input_ids.device) + length)


class TransformersPeer:
    """The peer of one subject, which must be plain (not packed).

    Attributes:
        model: a `MusicgenForCausalLM` in eval mode.
    """

    def __init__(self, subject: Subject, dtype: str):
        from transformers import MusicgenForCausalLM
        from transformers.models.musicgen.configuration_musicgen import MusicgenDecoderConfig

        spec, self.sizes, self.dtype = subject.decoder.spec, subject.model, dtype
        self.codebooks, self.vocabulary = spec.codebooks, subject.model.vocabulary
        self.special, self.device = subject.model.vocabulary, subject.device
        config = MusicgenDecoderConfig(
            vocab_size=spec.output_vocabulary, num_codebooks=spec.codebooks, hidden_size=spec.width,
            num_hidden_layers=spec.layers, num_attention_heads=spec.heads, ffn_dim=spec.ffn_width, dropout=0.0,
            max_position_embeddings=spec.max_positions, activation_function="gelu",
            pad_token_id=self.special, bos_token_id=self.special,
        )  # fmt: skip
        config._attn_implementation = "sdpa"
        number = getattr(torch, dtype)
        with torch.device(self.device):
            model = MusicgenForCausalLM(config).to(number)
        model.load_state_dict({name: w.to(number) for name, w in peer_weights(subject).items()}, strict=True)
        model.model.decoder.embed_positions = DevicePositions(model.model.decoder.embed_positions.weights)
        self.model = model.eval().requires_grad_(False)
        self.config = config
        memory = subject.conditioning().memory
        assert memory is not None  # the model has cross-attention
        self.memory = memory.to(number)
        self._compiled: Callable[..., Any] | None = None
        # 5.24 calls it "cache", and its `generate` takes the older name no more.
        self._cache_name = "cache" if "cache" in signature(model.forward).parameters else "past_key_values"

    def forced(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [T, R, K, V] along given tokens [1, K, T], step by step."""
        cache, found = self._dynamic_cache(), []
        for t in range(tokens.shape[2]):
            found.append(self._logits(self.model, tokens[:, :, t : t + 1], cache).float())
        return torch.stack(found)

    def generate(self, num_frames: int, *, greedy: bool = False) -> torch.Tensor:
        """`generate` of one piece, int64 [K, num_frames]; with all its preparations, as a user calls it.

        The cache is given: without it, 5.23 puts the memory's keys among the tokens' for a decoder alone.
        """
        model = self.sizes
        draw = {} if greedy else {"top_k": model.top_k, "temperature": model.temperature}
        start = torch.full((self.codebooks, 1), self.special, device=self.device)
        return self.model.generate(
            start, encoder_hidden_states=self.memory, **{self._cache_name: self._dynamic_cache()},
            attention_mask=torch.ones(1, 1, dtype=torch.int64, device=self.device),
            max_length=num_frames + self.codebooks, decoder_start_token_id=self.special, num_return_sequences=1,
            guidance_scale=model.guidance, do_sample=not greedy, **draw,
        )[0]  # fmt: skip

    def eager_steps(self, length: int) -> Callable[[int], None]:
        """run(n): n steps that end at `length`, or begin at 0 where that is less, over a growing cache; each is drawn
        as `generate` draws it.
        """
        from transformers import DynamicCache, EncoderDecoderCache

        shape = (self.sizes.rows, self.sizes.heads, length, self.sizes.head_dim)
        filled = [torch.randn(2, *shape, device=self.device, dtype=self.memory.dtype) for _ in range(self.sizes.layers)]
        cross = self._dynamic_cache()
        self._logits(self.model, self._start(), cross)  # reads the memory

        def run(count: int) -> None:
            before = max(0, length - count)
            cache = EncoderDecoderCache(DynamicCache(config=self.config), cross.cross_attention_cache)
            for index, (k, v) in enumerate(filled if before else ()):
                cache.self_attention_cache.update(k[:, :, :before], v[:, :, :before], index)
            tokens = self._start()
            for _ in range(count):
                tokens = self._drawn(self._logits(self.model, tokens, cache))

        return run

    def compiled_steps(self, length: int, capacity: int) -> Callable[[int], None]:
        """run(n): as `eager_steps`, compiled and over a static cache."""
        cache = self._static_cache(capacity)
        self._logits(self.model, self._start(), cache)  # allocates, and reads the memory
        for layer in cache.self_attention_cache.layers:
            layer.keys.normal_()
            layer.values.normal_()
        if self._compiled is None:
            mode = "max-autotune-no-cudagraphs" if self.device.type == "cpu" else "reduce-overhead"
            self._compiled = torch.compile(self.model, mode=mode if self.device.type == "cuda" else None)

        compiled = self._compiled

        def run(count: int) -> None:
            for layer in cache.self_attention_cache.layers:
                layer.cumulative_length.fill_(max(0, length - count))
            tokens = self._start()
            for _ in range(count):
                tokens = self._drawn(self._logits(compiled, tokens, cache))

        return run

    def _start(self) -> Tensor:
        return torch.full((1, self.codebooks, 1), 5, device=self.device)

    def _dynamic_cache(self) -> "EncoderDecoderCache":
        from transformers import DynamicCache, EncoderDecoderCache

        return EncoderDecoderCache(DynamicCache(config=self.config), DynamicCache(config=self.config))

    def _static_cache(self, capacity: int) -> "EncoderDecoderCache":
        from transformers import EncoderDecoderCache, StaticCache

        memory = StaticCache(config=self.config, max_cache_len=self.memory.shape[1])
        return EncoderDecoderCache(StaticCache(config=self.config, max_cache_len=capacity), memory)

    def _logits(self, model: Callable[..., Any], tokens: Tensor, cache: "EncoderDecoderCache") -> Tensor:
        # tokens: [1, K, 1], the same for every row of the guidance; logits: [R, K, V]
        ids = tokens.repeat(self.sizes.rows, 1, 1).reshape(-1, 1)
        out = model(
            input_ids=ids, encoder_hidden_states=self.memory, use_cache=True, **{self._cache_name: cache}
        )  # fmt: skip
        return out.logits[:, -1].view(self.sizes.rows, self.codebooks, -1)

    def _drawn(self, logits: Tensor) -> Tensor:
        """As `generate` draws: guidance, top-k, softmax, multinomial; int64 [1, K, 1]."""
        rows = logits.float().flatten(0, 1)  # [R * K, V]
        conditional, unconditional = rows.chunk(2)
        scores = unconditional + (conditional - unconditional) * self.sizes.guidance
        least = torch.topk(scores, self.sizes.top_k)[0][..., -1, None]
        scores = scores.masked_fill(scores < least, -torch.inf)
        return torch.multinomial(F.softmax(scores, -1), 1).view(1, self.codebooks, 1)
