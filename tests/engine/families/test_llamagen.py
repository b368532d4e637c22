"""LlamaGen from its own files, against transformers' Llama with queries and keys permuted and its rotation replaced."""

import pytest
import torch
import torch.nn.functional as F

import clavilux
from clavilux.cli.info import describe
from clavilux.errors import CheckpointError
from clavilux.families.registry import llamagen_files, needed
from clavilux.image.codecs import vq
from clavilux.image.codecs.vq_spec import VQSpec

transformers = pytest.importorskip("transformers")
GRID, PATCH, V, LAYERS, FFN, CLASSES, LONGEST, TEXT = 4, 2, 40, 2, 48, 10, 9, 48
SAME = {  # transformers' names of what is the same
    "self_attn.o_proj": "attention.wo", "mlp.gate_proj": "feed_forward.w1", "mlp.up_proj": "feed_forward.w3",
    "mlp.down_proj": "feed_forward.w2", "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
SIZES = {"heads-of-64": (128, 64), "heads-of-100": (200, 100)}


def random(*shape, std=1.0):
    return torch.randn(*shape) * std


def angles(head_dim):
    """[GRID * GRID, head_dim / 2]: of the interleaved pairs, rows first."""
    rates = 10000.0 ** (-torch.arange(0, head_dim // 2, 2) / (head_dim // 2))
    places = torch.arange(GRID)[:, None] * rates
    rows, columns = places[:, None].expand(-1, GRID, -1), places[None].expand(GRID, -1, -1)
    return torch.cat([rows, columns], -1).flatten(0, 1)


def tensors(width, head_dim, prefix):
    torch.manual_seed(width + prefix)
    found = {
        "tok_embeddings.weight": random(V, width),
        "norm.weight": 1 + random(width, std=0.2),
        "output.weight": random(V, width, std=3 * width**-0.5),
        "freqs_cis": torch.zeros(prefix + GRID**2, head_dim // 2, 2),
    }
    if prefix == 1:
        found["cls_embedding.embedding_table.weight"] = random(CLASSES + 1, width)
    else:
        found["cls_embedding.uncond_embedding"] = random(prefix, TEXT)
        found["cls_embedding.cap_proj.fc1.weight"] = random(width, TEXT, std=0.3)
        found["cls_embedding.cap_proj.fc2.weight"] = random(width, width, std=0.1)
    for n in range(LAYERS):
        sizes = {"attention.wqkv": (3 * width, width), "attention.wo": (width, width), "feed_forward.w1": (FFN, width),
                 "feed_forward.w2": (width, FFN), "feed_forward.w3": (FFN, width)}  # fmt: skip
        for name, (out, size) in sizes.items():
            found[f"layers.{n}.{name}.weight"] = random(out, size, std=2 * size**-0.5)
        for name in ("attention_norm", "ffn_norm"):
            found[f"layers.{n}.{name}.weight"] = 1 + random(width, std=0.2)
    return found


def save_codec(path):
    torch.manual_seed(4)
    spec = VQSpec(vocabulary=V, embedding_width=4, latent_channels=32, base_channels=32, multipliers=(1, 1),
                  residual_blocks=1)  # fmt: skip
    codec = vq.VQ(spec)
    torch.save({"model": codec.state_dict()}, path)
    return codec.eval().requires_grad_(False)


def llama(found, width, head_dim, prefix):
    """transformers' own, with the same weights: it turns pairs (i, i + E/2) where LlamaGen turns (2i, 2i + 1)."""
    config = transformers.LlamaConfig(
        vocab_size=V, hidden_size=width, intermediate_size=FFN, num_hidden_layers=LAYERS, head_dim=head_dim,
        num_attention_heads=width // head_dim, num_key_value_heads=width // head_dim, rms_norm_eps=1e-5,
        max_position_embeddings=64, attn_implementation="eager",
    )  # fmt: skip
    order = [
        h * head_dim + 2 * i + odd for h in range(width // head_dim) for odd in (0, 1) for i in range(head_dim // 2)
    ]
    state = {"model.embed_tokens.weight": found["tok_embeddings.weight"], "model.norm.weight": found["norm.weight"],
             "lm_head.weight": found["output.weight"]}  # fmt: skip
    for n in range(LAYERS):
        here, there = f"model.layers.{n}", f"layers.{n}"
        q, k, v = found[f"{there}.attention.wqkv.weight"].split(width)
        state |= {f"{here}.self_attn.q_proj.weight": q[order], f"{here}.self_attn.k_proj.weight": k[order],
                  f"{here}.self_attn.v_proj.weight": v}  # fmt: skip
        for ours, theirs in SAME.items():
            state[f"{here}.{ours}.weight"] = found[f"{there}.{theirs}.weight"]
    model = transformers.LlamaForCausalLM(config).eval().requires_grad_(False)
    model.load_state_dict(state)

    class Turn(torch.nn.Module):
        def forward(self, x, position_ids):
            turned = angles(head_dim)
            tables = [torch.cat([torch.zeros(prefix, head_dim), torch.cat([part, part], 1)])
                      for part in (turned.cos(), turned.sin())]  # fmt: skip
            return tuple(table[position_ids].expand(len(x), -1, -1) for table in tables)

    model.model.rotary_emb = Turn()
    return model


def their_logits(model, prefixes, tokens, starts=None):
    """[B, T + 1, V] after prefixes [B, P, D], of which row b begins at starts[b]."""
    embedded = torch.cat([prefixes, model.model.embed_tokens(tokens)], 1)
    mask = torch.ones(embedded.shape[:2], dtype=torch.int64)
    for row, start in enumerate(starts or ()):
        mask[row, :start] = 0
    positions = torch.arange(embedded.shape[1])[None]
    out = model(inputs_embeds=embedded, attention_mask=mask, position_ids=positions, use_cache=False)
    return out.logits[:, prefixes.shape[1] - 1 :]


def their_greedy(model, said, nothing, scale, start=0):
    tokens = torch.zeros(1, 0, dtype=torch.int64)
    for _ in range(GRID**2):
        c, u = their_logits(model, torch.cat([said, nothing]), tokens.repeat(2, 1), [start, start])[:, -1]
        tokens = torch.cat([tokens, (u + scale * (c - u)).argmax().view(1, 1)], 1)
    return tokens


@pytest.fixture(scope="module", params=SIZES, ids=list(SIZES))
def by_class(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("c2i")
    found = tensors(*SIZES[request.param], prefix=1)
    torch.save({"model": found, "steps": 7}, folder / "c2i_T_256.pt")
    save_codec(folder / "vq_ds16_c2i.pt")
    return folder, found, llama(found, *SIZES[request.param], prefix=1)


@pytest.fixture(scope="module")
def by_words(tmp_path_factory):
    from transformers import T5Config, T5EncoderModel

    folder = tmp_path_factory.mktemp("t2i")
    found = tensors(*SIZES["heads-of-64"], prefix=LONGEST)
    torch.save({"module": found}, folder / "t2i_T_stage1_256.pt")
    codec = save_codec(folder / "vq_ds16_t2i.pt")
    text = T5EncoderModel(T5Config(d_model=TEXT, d_kv=8, d_ff=32, num_layers=2, num_heads=3, vocab_size=32)).eval()
    for parameter in text.parameters():
        parameter.data = torch.randn(parameter.shape) * 0.4
    text.save_pretrained(folder / "flan-t5-xl")
    save_words(folder / "flan-t5-xl")
    return folder, found, llama(found, *SIZES["heads-of-64"], prefix=LONGEST), text, codec


def save_words(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["<pad>", "</s>", "<unk>", "a", "red", "apple", "blue", "boat", "on", "the", "sea"]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))


def load(path, **words):
    return clavilux.load(path, device="cpu", dtype="float32", **words)


def test_logits_of_a_class(by_class):
    folder, found, theirs = by_class
    family = load(folder).family
    table = found["cls_embedding.embedding_table.weight"]
    tokens = torch.randint(V, (3, GRID**2 - 1), generator=torch.Generator().manual_seed(1))
    prefixes = table[[3, 9, CLASSES]][:, None]
    ours = family.decoder(tokens[:, None], conditioning=clavilux.conditioning.Conditioning(prefix=prefixes))[:, 0]
    expected = their_logits(theirs, prefixes, tokens)
    torch.testing.assert_close(ours, expected[:, 1:], atol=1e-4, rtol=0)
    public = load(folder).logits(tokens[:1], class_id=3)
    torch.testing.assert_close(public, expected[:1, :-1], atol=1e-4, rtol=0)
    assert expected.std() > 0.5


def test_greedy_tokens_of_a_class(by_class):
    folder, found, theirs = by_class
    picture = load(folder).generate(class_id=3, temperature=0, seed=1)
    table = found["cls_embedding.embedding_table.weight"]
    expected = their_greedy(theirs, table[3][None, None], table[CLASSES][None, None], 4.0)
    assert torch.equal(picture.tokens, expected)
    assert len(expected.unique()) > 3
    assert (picture.width, picture.height) == (GRID * PATCH, GRID * PATCH)


def their_prefixes(found, text, ids):
    """(said, nothing) [1, LONGEST, D] and where they begin, as published: padded ids' features, moved to the right."""
    padded = torch.tensor([ids + [0] * (LONGEST - len(ids))])
    mask = (torch.arange(LONGEST) < len(ids)).long()[None]
    states = text(input_ids=padded, attention_mask=mask).last_hidden_state[0]
    start = LONGEST - len(ids)
    states = torch.cat([torch.zeros(start, TEXT), states[: len(ids)]])
    up, down = (found[f"cls_embedding.cap_proj.{name}.weight"] for name in ("fc1", "fc2"))
    both = torch.stack([states, found["cls_embedding.uncond_embedding"]])
    said, nothing = (F.gelu(both @ up.T, approximate="tanh") @ down.T)[:, None]
    return said, nothing, start


PROMPTS = {
    "a red  Apple": [3, 4, 5, 1],
    "boat": [7, 1],
    "a blue boat on the sea a red boat": [3, 6, 7, 8, 9, 10, 3, 4, 1],
}


@torch.no_grad()
def test_greedy_tokens_of_words_padded_on_the_left(by_words):
    """Texts of different lengths side by side; the last one is cut at the end of the room that it has."""
    folder, found, theirs, text, codec = by_words
    pictures = load(folder).generate(list(PROMPTS), temperature=0, seed=1)
    for picture, (prompt, ids) in zip(pictures, PROMPTS.items(), strict=True):
        said, nothing, start = their_prefixes(found, text, ids)
        assert torch.equal(picture.tokens, their_greedy(theirs, said, nothing, 7.5, start)), prompt
        decoded = codec.decode(picture.tokens[None])[0]
        assert torch.equal(picture.pixels, ((decoded + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0))
    assert pictures[2].receipt["notes"] == ["the last 1 tokens of the prompt were too many to be read"]
    assert len({tuple(picture.tokens[0].tolist()) for picture in pictures}) == 3


@torch.no_grad()
def test_surprise_of_words_padded_on_the_left(by_words):
    folder, found, theirs, text, _ = by_words
    model = load(folder)
    picture = model.generate("a red  Apple", seed=4)
    said, nothing, start = their_prefixes(found, text, PROMPTS["a red  Apple"])
    c, u = their_logits(theirs, torch.cat([said, nothing]), picture.tokens[:, :-1].repeat(2, 1), [start, start])
    bits = -(u + 7.5 * (c - u)).log_softmax(-1).gather(1, picture.tokens[0][:, None]) / torch.tensor(2.0).log()
    torch.testing.assert_close(model.explain(picture).surprise.flatten(), bits[:, 0], atol=1e-3, rtol=0)


def test_no_words_are_the_unconditional_features(by_words):
    folder, found, theirs, text, _ = by_words
    picture = load(folder).generate("", temperature=0, seed=1)
    _, nothing, _ = their_prefixes(found, text, [1])
    assert torch.equal(picture.tokens, their_greedy(theirs, nothing, nothing, 7.5))


def test_the_usual_settings(by_class, by_words):
    by_class, by_words = load(by_class[0]), load(by_words[0])
    assert (by_class.family.sampling.guidance, by_class.family.sampling.top_k) == (4.0, 2000)
    assert (by_words.family.sampling.guidance, by_words.family.sampling.top_k) == (7.5, 1000)
    assert by_class.accepts == {"class_id": "the number of an ImageNet class, 0 to 9"}


def test_another_size_is_painted_and_said(by_class):
    model = load(by_class[0])
    picture = model.generate(class_id=2, size=12, seed=3)
    assert picture.tokens.shape == (1, 36) and picture.width == 12
    assert picture.receipt["notes"] == ["painted at 12 pixels; the model was trained on 8"]
    assert model.generate(class_id=2, seed=3).tokens.shape == (1, 16)
    family = model.family  # what is captured of a decoder serves the next picture of that size
    assert family.decoder_for(12) is family.decoder_for(12) is not family.decoder_for(8) is family.decoder
    with pytest.raises(ValueError, match="size is 9; it should be a multiple of 2 pixels"):
        model.generate(class_id=2, size=9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "paints classes, not words; give class_id, a number from 0 to 9"),
        ({"class_id": 10}, "class_id is 10; it should be a whole number from 0 to 9"),
        ({"class_id": -1}, "class_id is -1"),
        ({"class_id": 1.0}, "class_id is 1.0"),
        ({"prompt": "apple", "class_id": 1}, "takes class_id alone"),
    ],
)
def test_what_a_class_model_is_told(by_class, options, message):
    with pytest.raises(ValueError, match=message):
        load(by_class[0]).generate(**options)


def test_the_codec_lies_beside_it_or_is_named(by_class, tmp_path):
    folder, _, _ = by_class
    alone = tmp_path / "c2i_T_256.pt"
    alone.symlink_to(folder / "c2i_T_256.pt")
    with pytest.raises(CheckpointError, match="no file beside it is its VQ codec"):
        load(alone)
    expected = load(folder / "c2i_T_256.pt").generate(class_id=1, seed=1)
    assert torch.equal(
        load(alone, codec=folder / "vq_ds16_c2i.pt").generate(class_id=1, seed=1).pixels, expected.pixels
    )
    with pytest.raises(ValueError, match="a codec is given; a model of the family 'aria' has its own"):
        clavilux.load("aria", codec=folder / "vq_ds16_c2i.pt")


def test_which_files_are_read(tmp_path):
    names = ["c2i_B_256.pt", "c2i_B_384.pt", "t2i_XL.pt", "vq_ds16_c2i.pt", "vq_ds16_t2i.pt", "vq_ds8_c2i.pt"]
    for name in names:
        (tmp_path / name).touch()
    assert llamagen_files(tmp_path / "c2i_B_384.pt")[1].name == "vq_ds16_c2i.pt"
    assert llamagen_files(tmp_path / "t2i_XL.pt")[1].name == "vq_ds16_t2i.pt"
    with pytest.raises(CheckpointError, match=r"several transformers \(c2i_B_256.pt, c2i_B_384.pt, t2i_XL.pt\)"):
        llamagen_files(tmp_path)
    assert needed([*names, "README.md"], "c2i_B_384.pt") == ["c2i_B_384.pt", "vq_ds16_c2i.pt"]
    (tmp_path / "vq_ds16_c2i_again.pt").touch()
    with pytest.raises(CheckpointError, match=r"several codecs \(vq_ds16_c2i.pt, vq_ds16_c2i_again.pt\)"):
        llamagen_files(tmp_path / "c2i_B_256.pt")


def test_facts(by_class, by_words):
    facts = describe(by_class[0] / "c2i_T_256.pt", batch=4)
    assert facts["family"] == "LlamaGen (10 classes)" and facts["picture"] == "8 x 8 pixels"
    assert facts["codec"] == "vq_ds16_c2i.pt" and facts["tokens"] == 16
    assert facts["memory_for_4_x_8_pixels_bytes"] > 0
    assert describe(by_words[0])["family"] == "LlamaGen (text)"
    codec = describe(by_class[0] / "vq_ds16_c2i.pt")
    assert (codec["kind"], codec["vocabulary"], codec["downsampling"]) == ("picture codec", V, PATCH)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.pop("tok_embeddings.weight"), "is no LlamaGen: one has tok_embeddings.weight .* lacks it"),
        (lambda f: f.pop("layers.1.attention.wo.weight"), "lacks layers.1.attention.wo.weight"),
        (lambda f: f.update({"layers.0.attention.wqkv.weight": torch.zeros(4, 4)}), "wqkv.weight is"),
        (lambda f: f.update(extra=torch.zeros(1)), "has extra"),
        (lambda f: f["norm.weight"].fill_(torch.nan), "not finite in norm.weight"),
        (lambda f: f.update({"output.weight": torch.zeros(V + 1, f["norm.weight"].numel())}), "output.weight is"),
    ],
)
def test_files_that_are_not_understood(by_class, tmp_path, change, message):
    folder, found, _ = by_class
    found = {name: tensor.clone() for name, tensor in found.items()}
    change(found)
    torch.save({"state_dict": found}, tmp_path / "c2i_T_256.pt")
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path / "c2i_T_256.pt", codec=folder / "vq_ds16_c2i.pt")


def test_a_codec_of_another_vocabulary(by_class, tmp_path):
    folder, _, _ = by_class
    codec = vq.VQ(VQSpec(vocabulary=V + 1, embedding_width=4, latent_channels=32, base_channels=32, multipliers=(1, 1)))
    torch.save(codec.state_dict(), tmp_path / "vq.pt")
    with pytest.raises(CheckpointError, match="has 41 tokens; .* paints 40"):
        load(folder / "c2i_T_256.pt", codec=tmp_path / "vq.pt")


def test_code_in_a_file_is_not_run(tmp_path):
    import pathlib

    torch.save({"model": pathlib.PurePosixPath("a")}, tmp_path / "c2i_T_256.pt")
    save_codec(tmp_path / "vq_ds16_c2i.pt")
    with pytest.raises(CheckpointError, match="could run code, so it was not read"):
        load(tmp_path / "c2i_T_256.pt")
