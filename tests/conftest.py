"""What holds for the whole suite: one thread, Triton's kernels in Python where there is no GPU, a small LlamaGen.

Its tensors are tiny, and on a busy machine two threads wait for each other: on two busy cores the suite took 207 s
with two threads and 112 s with one. Files are not signed, and no test sees the user's keys. Subprocesses inherit all of
it. Triton reads its setting when a kernel is defined.
"""

import os
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["CLAVILUX_CREDENTIALS"] = "0"  # the same seed gives the same bytes
os.environ["CLAVILUX_DATA"] = str(Path(tempfile.gettempdir()) / "clavilux-tests")  # never the user's own keys
os.environ["CLAVILUX_MARK"] = "0"  # what is drawn is compared with what was; tests of the mark ask for it

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(scope="session")
def llamagen(tmp_path_factory) -> Path:
    """A folder with a LlamaGen of 10 classes that paints 4 x 4 tokens of 2 x 2 pixels, and its codec."""
    from clavilux.image.codecs import vq

    folder, width, vocabulary = tmp_path_factory.mktemp("llamagen"), 64, 40
    torch.manual_seed(3)
    layer = {
        "attention.wqkv": (3 * width, width), "attention.wo": (width, width), "feed_forward.w1": (48, width),
        "feed_forward.w2": (width, 48), "feed_forward.w3": (48, width),
    }  # fmt: skip
    found = {
        "tok_embeddings.weight": torch.randn(vocabulary, width),
        "cls_embedding.embedding_table.weight": torch.randn(11, width),
        "norm.weight": torch.ones(width),
        "output.weight": torch.randn(vocabulary, width) * 0.3,
        "freqs_cis": torch.zeros(17, 32, 2),
    }
    for n in range(2):
        found |= {f"layers.{n}.{name}.weight": torch.randn(shape) * 0.2 for name, shape in layer.items()}
        found |= {f"layers.{n}.{name}.weight": torch.ones(width) for name in ("attention_norm", "ffn_norm")}
    torch.save({"model": found}, folder / "c2i_T_256.pt")
    spec = vq.VQSpec(
        vocabulary=vocabulary, embedding_width=4, latent_channels=32, base_channels=32, multipliers=(1, 1),
        residual_blocks=1,
    )  # fmt: skip
    torch.save({"model": vq.VQ(spec).state_dict()}, folder / "vq_ds16_c2i.pt")
    return folder
