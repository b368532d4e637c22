"""Makes jukebox_alignment.safetensors: which lyrics the frozen priors of transformers 4.57.6 attend to.

Run it as `make_jukebox_priors.py`, after it. For `separate` the attention of layer 18, which reads the lyric encoder,
for `merged` that of the prime layers 15 and 31: each [2, heads, 48, 12], over the frozen tokens of a window. The
library's own `get_alignment` keeps a layer's weights in their place, so they are taken from where they are computed.
"""

import json
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import torch  # noqa: E402
from make_jukebox_priors import logits_of  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from transformers.models.deprecated.jukebox.configuration_jukebox import JukeboxPriorConfig  # noqa: E402
from transformers.models.deprecated.jukebox.modeling_jukebox import JukeboxPrior  # noqa: E402

HERE = Path(__file__).parent
LAYERS = {"separate": (18,), "merged": (15, 31)}

if __name__ == "__main__":
    source, found = load_file(HERE / "jukebox_priors.safetensors"), {}
    with safe_open(HERE / "jukebox_priors.safetensors", "pt") as file:
        configs = {name: json.loads(file.metadata()[name]) for name in LAYERS}
    for name, layers in LAYERS.items():
        prior = JukeboxPrior(JukeboxPriorConfig(**configs[name]), nb_priors=3).eval()
        stem = f"{name}.weights."
        weights = {key.removeprefix(stem): value.float() for key, value in source.items() if key.startswith(stem)}
        prior.load_state_dict(weights, strict=True)
        tokens, metadata = source[f"{name}.tokens"].long(), source[f"{name}.metadata"].long()
        with torch.no_grad():
            prior.prior.transformer.set_record_attn(set(layers))
            logits_of(prior, tokens, None, metadata)
            for layer in layers:
                probability = prior.prior.transformer._attn_mods[layer].attn.attention_prob
                found[f"{name}.{layer}"] = probability.float().contiguous()
                print(name, layer, tuple(probability.shape), "most", float(probability.max()))
    save_file(found, HERE / "jukebox_alignment.safetensors")
