"""Seconds a picture of LlamaGen's shape, random weights, beside a plain loop: `python benchmarks/pictures.py`.

Both sides have the same weights and paint whole pictures: tokens with guidance and top-k, then the VQ decoder. The
plain loop is what one would write first in PyTorch: a cache of keys and values, one token after another. Before
anything is timed, the greedy tokens of both in float32 are compared.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import checkout  # noqa: F401  before clavilux
import torch
import torch.nn.functional as F
from torch import Tensor

from clavilux.bench import report
from clavilux.bench.suite import Bench, Mismatch
from clavilux.bench.timing import Side
from clavilux.decoder import Decoder
from clavilux.families.grid_family import placed
from clavilux.families.llamagen import BY_CLASS, LlamaGen, sizes_of, weights_of
from clavilux.files import check_ending, check_target, write_json
from clavilux.image.codecs.vq import VQ, VQSpec
from clavilux.image_model import ImageModel
from clavilux.kernels.model_shapes import MODELS

SIZES = ("b", "l", "xl", "xxl", "3b")
CLASSES, PATCH, CLASS = 1000, 16, 207


def random_checkpoint(size: str, pixels: int, layers: int | None) -> dict[str, Tensor]:
    """A transformer's tensors by its authors' names; its numbers are large enough that tokens differ."""
    model = MODELS[f"llamagen-{size}"]
    width, wide, vocabulary = model.width, model.ffn, model.vocabulary
    columns = pixels // PATCH
    torch.manual_seed(1)
    found = {
        "tok_embeddings.weight": torch.randn(vocabulary, width),
        "cls_embedding.embedding_table.weight": torch.randn(CLASSES + 1, width),
        "norm.weight": torch.ones(width),
        "output.weight": torch.randn(vocabulary, width) * 2 * width**-0.5,
        "freqs_cis": torch.zeros(1 + columns**2, model.head_dim // 2, 2),
    }
    shapes = {"attention.wqkv": (3 * width, width), "attention.wo": (width, width), "feed_forward.w1": (wide, width),
              "feed_forward.w2": (width, wide), "feed_forward.w3": (wide, width)}  # fmt: skip
    for n in range(layers or model.layers):
        for name, shape in shapes.items():
            found[f"layers.{n}.{name}.weight"] = torch.randn(shape) * shape[1] ** -0.5
        for name in ("attention_norm", "ffn_norm"):
            found[f"layers.{n}.{name}.weight"] = torch.ones(width)
    return found


def painter(tensors: dict[str, Tensor], codec: VQ, device: torch.device, dtype: str) -> ImageModel:
    """The engine's model of these tensors."""
    sizes = sizes_of(Path("llamagen"), tensors)
    decoder = Decoder.from_weights(sizes.spec, weights_of(sizes.spec, tensors))
    identity = {"model": "llamagen", "fingerprint": None} | placed(decoder, codec, device, dtype)
    tables = {name: tensor.to(device) for name, tensor in tensors.items() if name.startswith("cls_embedding.")}
    return ImageModel(LlamaGen(decoder, codec, sizes.size, identity, tables, None))


class PlainLoop:
    """LlamaGen as one would first write it in PyTorch."""

    def __init__(self, tensors: dict[str, Tensor], codec: VQ, device: torch.device, dtype: torch.dtype):
        spec = sizes_of(Path("llamagen"), tensors).spec
        self.heads, self.head_dim, self.codec, self.layers = spec.heads, spec.head_dim, codec, spec.layers
        self.columns, self.positions = spec.grid_columns, spec.max_positions
        self.weights = {name: tensor.to(device, dtype) for name, tensor in tensors.items()}
        rates = 10000.0 ** (-torch.arange(0, self.head_dim // 2, 2) / (self.head_dim // 2))
        places = torch.arange(self.columns**2)
        angles = torch.cat([(places // self.columns)[:, None] * rates, (places % self.columns)[:, None] * rates], 1)
        turns = torch.stack([angles.cos(), angles.sin()], -1)  # [rows * columns, E / 2, 2]
        self.turns = torch.cat([torch.zeros(1, *turns.shape[1:]), turns]).to(device)

    def paint(self, seed: int, batch: int, *, scale: float, top_k: int, greedy: bool = False) -> tuple[Tensor, Tensor]:
        """Tokens [B, rows * columns] and pixels [B, 3, H, W]."""
        weights = self.weights
        device, dtype = weights["norm.weight"].device, weights["norm.weight"].dtype
        generator = torch.Generator(device).manual_seed(seed)
        size = (2, self.layers, 2 * batch, self.heads, self.positions, self.head_dim)  # keys and values
        cache = torch.zeros(size, device=device, dtype=dtype)
        classes = torch.tensor([CLASS] * batch + [CLASSES] * batch, device=device)
        x, tokens = weights["cls_embedding.embedding_table.weight"][classes], []
        for position in range(self.columns**2):
            logits = self.step(x, cache, position).float()
            c, u = logits.chunk(2)
            logits = u + scale * (c - u)
            if greedy:
                token = logits.argmax(-1)
            else:
                least = logits.topk(top_k).values[:, -1:]
                p = logits.masked_fill(logits < least, -torch.inf).softmax(-1)
                token = torch.multinomial(p, 1, generator=generator)[:, 0]
            tokens.append(token)
            x = weights["tok_embeddings.weight"][token.repeat(2)]
        painted = torch.stack(tokens, 1)
        return painted, self.codec.decode(painted[:, None])

    def step(self, x: Tensor, cache: Tensor, position: int) -> Tensor:
        """Logits [2 B, V] after x [2 B, D]."""
        weights = self.weights
        for n in range(self.layers):
            layer = f"layers.{n}."
            qkv = self.norm(x, layer + "attention_norm") @ weights[layer + "attention.wqkv.weight"].t()
            q, k, v = qkv.view(len(x), 3, self.heads, self.head_dim).unbind(1)
            q, k = self.turned(q, position), self.turned(k, position)
            cache[0, n, :, :, position], cache[1, n, :, :, position] = k, v
            keys, values = cache[:, n, :, :, : position + 1]
            read = F.scaled_dot_product_attention(q[:, :, None], keys, values)
            x = x + read.flatten(1) @ weights[layer + "attention.wo.weight"].t()
            normed = self.norm(x, layer + "ffn_norm")
            gate = F.silu(normed @ weights[layer + "feed_forward.w1.weight"].t())
            wide = gate * (normed @ weights[layer + "feed_forward.w3.weight"].t())
            x = x + wide @ weights[layer + "feed_forward.w2.weight"].t()
        return self.norm(x, "norm") @ weights["output.weight"].t()

    def norm(self, x: Tensor, name: str) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], self.weights[name + ".weight"], 1e-5)

    def turned(self, x: Tensor, position: int) -> Tensor:
        """[2 B, H, E], turned by row and column in pairs (2 i, 2 i + 1)."""
        cos, sin = self.turns[position].unbind(-1)
        a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
        return torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2).to(x)


def compare(ours: ImageModel, plain: PlainLoop) -> int:
    """Tokens that were compared. Raises Mismatch where a greedy one differs."""
    found = ours.generate(class_id=CLASS, seed=1, temperature=0).tokens
    expected, _ = plain.paint(1, 1, scale=BY_CLASS.guidance, top_k=0, greedy=True)
    same = int((found == expected.cpu()).sum())
    if same < found.numel() or len(found.unique()) < 5:
        raise Mismatch(
            f"{same} of {found.numel()} greedy tokens are those of the plain loop; all should be, and differ"
        )
    return same


def sides(tensors, codec, device: torch.device, dtypes: list[str], batch: int) -> list[Side]:
    """One call of each is `batch` pictures."""
    numbers = iter(range(1, 1 << 30))

    def engine(dtype: str) -> Side:
        model = painter(tensors, codec, device, dtype)
        settled = model.family.identity["dtype"]

        def run(count: int) -> None:
            for _ in range(count):
                model.generate(class_id=CLASS, seed=next(numbers), batch=batch)

        return Side(f"clavilux, {settled}", run, facts={"dtype": settled})

    def loop(dtype: torch.dtype) -> Side:
        plain = PlainLoop(tensors, codec, device, dtype)

        def run(count: int) -> None:
            for _ in range(count):
                plain.paint(next(numbers), batch, scale=BY_CLASS.guidance, top_k=BY_CLASS.top_k)

        name = str(dtype).removeprefix("torch.")
        return Side(f"plain loop, {name}", run, facts={"dtype": name})

    return [*map(engine, dtypes), loop(torch.bfloat16), loop(torch.float32)]


def decoding(codec: VQ, pixels: int, device: torch.device, batch: int) -> Iterator[Side]:
    """What the VQ decoder takes of it; the same for all."""
    tokens = torch.randint(codec.vocabulary, (batch, 1, (pixels // PATCH) ** 2), device=device)
    yield Side("VQ decoder, float32", lambda n: [codec.decode(tokens) for _ in range(n)], facts={"dtype": "float32"})


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="b")
    parser.add_argument("--pixels", type=int, default=256)
    parser.add_argument("--batch", type=int, nargs="+", default=[1], help="pictures side by side; each is a table")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="two layers, to see that it works")
    parser.add_argument("--json", type=Path, help="write every sample here")
    args = parser.parse_args()
    if args.pixels % PATCH or args.pixels < PATCH or min(args.batch) < 1 or args.repeats < 1:
        parser.error(f"pixels should be a multiple of {PATCH}, batch and repeats at least 1")
    if args.json:
        check_ending(args.json, (".json",))
        check_target(args.json)
    device = torch.device(args.device)
    bench = Bench(device, repeats=args.repeats, quick=args.quick, announce=print)
    tensors = random_checkpoint(args.size, args.pixels, 2 if args.quick else None)
    torch.manual_seed(2)
    codec = VQ(VQSpec()).eval().requires_grad_(False).to(device)
    same = compare(painter(tensors, codec, device, "float32"), PlainLoop(tensors, codec, device, torch.float32))
    bench.note(f"{same} greedy tokens in float32 are those of the plain loop")
    dtypes = ["bfloat16", "float16", "int8", "float32"] if device.type == "cpu" else ["bfloat16", "float32"]
    for batch in args.batch:
        at = f"{args.pixels} pixels, {batch} side by side" if batch > 1 else f"{args.pixels} pixels"
        compared = [*sides(tensors, codec, device, dtypes, batch), *decoding(codec, args.pixels, device, batch)]
        rows = bench.compare("pictures", f"llamagen-{args.size}", at, compared, most=1)
        for row in rows:
            row["s_a_picture"] = row["median_s"] / batch
    found = bench.report()
    report.show(found)
    if args.json:
        write_json(found, args.json)


if __name__ == "__main__":
    main()
