"""Janus in the layout of transformers and in its authors', against that library's own picture generation."""

import json
import re

import pytest
import torch
from marked_draws import assert_marked

import clavilux
from clavilux.cli.info import describe
from clavilux.errors import CheckpointError

transformers = pytest.importorskip("transformers")
COLUMNS, V, D = 4, 40, 32
WORDS = [
    "<｜begin▁of▁sentence｜>", "<｜▁pad▁｜>", "<begin_of_image>", "<unk>", "<|User|>", "<|Assistant|>", ":", "a", "red",
    "apple", "blue", "boat", "on", "the", "sea",
]  # fmt: skip
BEGIN, PAD, PICTURE = range(3)
PROMPTS = {"a red apple": [7, 8, 9], "  boat ": [11], "a blue boat on the sea": [7, 10, 11, 12, 13, 14]}
ORIGINAL = {  # transformers' beginnings of names -> its authors'
    "model.language_model.": "language_model.model.", "lm_head.": "language_model.lm_head.",
    "model.generation_embeddings.": "gen_embed.", "model.generation_aligner.fc1.": "gen_aligner.layers.0.",
    "model.generation_aligner.hidden_layers.0.": "gen_aligner.layers.2.",
    "model.generation_head.proj_out.": "gen_head.output_mlp_projector.", "model.generation_head.": "gen_head.",
    "model.vqmodel.": "gen_vision_model.", "model.vision_model.": "vision_model.vision_tower.",
    "model.aligner.": "aligner.",
}  # fmt: skip


def save_words(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(WORDS[:6])
    tokenizer.add_tokens([":"])
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def janus(tmp_path_factory):
    """(folder in transformers' layout, its model)"""
    torch.manual_seed(5)
    text = transformers.LlamaConfig(
        vocab_size=len(WORDS), hidden_size=D, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, rms_norm_eps=1e-5, rope_theta=100.0,
    )  # fmt: skip
    vision = transformers.JanusVisionConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=2, projection_dim=D,
        num_image_tokens=COLUMNS**2,
    )  # fmt: skip
    codec = transformers.JanusVQVAEConfig(
        embed_dim=4, num_embeddings=V, latent_channels=32, base_channels=32, channel_multiplier=(1, 1),
        num_res_blocks=1, projection_dim=D, image_token_embed_dim=D,
    )  # fmt: skip
    config = transformers.JanusConfig(text_config=text, vision_config=vision, vq_config=codec)
    model = transformers.JanusForConditionalGeneration(config).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if "vqmodel" not in name:  # large enough that the likeliest token stands out
            one = "norm" in name
            parameter.copy_(one + torch.randn(parameter.shape) * (0.2 if one or "bias" in name else 0.3))
    model.model.language_model.embed_tokens.weight.mul_(4)
    codebook = model.model.vqmodel.quantize.embedding.weight
    codebook.copy_(torch.nn.functional.normalize(torch.randn(codebook.shape), dim=1))
    folder = tmp_path_factory.mktemp("janus")
    model.save_pretrained(folder)
    save_words(folder)
    model.generation_config.update(bos_token_id=BEGIN, pad_token_id=PAD)
    model.generation_config.generation_kwargs = {"boi_token_id": PICTURE}
    return folder, model


@pytest.fixture(scope="module")
def original(janus, tmp_path_factory):
    """The same in its authors' layout: two shards in PyTorch's format, vision tower and all."""
    folder, model = tmp_path_factory.mktemp("original"), janus[1]
    found = {}
    for name, tensor in model.state_dict().items():
        start = next(start for start in ORIGINAL if name.startswith(start))
        name = ORIGINAL[start] + name.removeprefix(start)
        if "gen_vision_model" in name:
            name = name.replace("decoder.up", "decoder.conv_blocks").replace("encoder.down", "encoder.conv_blocks")
            name = name.replace(".block.", ".res.")
            for number, word in enumerate(("block_1", "attn_1", "block_2")):
                name = name.replace(f"mid.{word}", f"mid.{number}")
        found[name] = tensor.clone()
    found["gen_vision_model.quantize.codebook_used"] = torch.zeros(9)
    shards = {f"pytorch_model-0000{n}-of-00002.bin": dict(list(found.items())[n - 1 :: 2]) for n in (1, 2)}
    for file, tensors in shards.items():
        torch.save(tensors, folder / file)
    index = {name: file for file, tensors in shards.items() for name in tensors}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    llama = {"hidden_size": D, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
             "num_key_value_heads": 2, "vocab_size": len(WORDS), "rms_norm_eps": 1e-5, "rope_theta": 100.0,
             "max_position_embeddings": 16384, "model_type": "llama", "torch_dtype": "bfloat16"}  # fmt: skip
    aligner = {"depth": 2, "input_dim": 4, "n_embed": D, "projector_type": "mlp_gelu"}
    config = {
        "model_type": "multi_modality", "language_config": llama,
        "gen_aligner_config": {"cls": "MlpProjector", "params": aligner},
        "gen_head_config": {"params": {"image_token_embed": D, "image_token_size": V, "n_embed": D}},
        "gen_vision_config": {"cls": "VQ-16", "params": {"image_token_size": V, "n_embed": 4}},
        "vision_config": {"params": {"image_size": 384}},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    save_words(folder)
    return folder


def load(folder):
    return clavilux.load(folder, device="cpu", dtype="float32")


def ids_of(words):
    return [BEGIN, 4, 6, *words, 5, 6, PICTURE]


def their_greedy(model, words, guidance=5):
    ids = torch.tensor([ids_of(words)])
    model.generation_config.guidance_scale = guidance
    return model.generate(ids, attention_mask=torch.ones_like(ids), generation_mode="image", do_sample=False)


def test_logits_are_those_of_transformers(janus):
    """Of a prompt and a whole picture, teacher-forced."""
    folder, theirs = janus
    family = load(folder).family
    tokens = torch.randint(V, (1, COLUMNS**2), generator=torch.Generator().manual_seed(1))
    said = family._read(family._ids("a red apple")[0])
    ours = family.decoder(tokens[:, None], conditioning=said)[:, 0]
    words = theirs.get_input_embeddings()(torch.tensor([ids_of(PROMPTS["a red apple"])]))
    embeds = torch.cat([words, theirs.prepare_embeddings_for_image_generation(tokens)], 1)
    hidden = theirs.model.language_model(inputs_embeds=embeds).last_hidden_state
    expected = theirs.model.generation_head(hidden[:, words.shape[1] - 1 :])
    torch.testing.assert_close(ours, expected[:, 1:], atol=1e-4, rtol=0)
    assert expected.std() > 0.5
    picture = clavilux.Picture(torch.zeros(8, 8, 3, dtype=torch.uint8), tokens, dict(family.identity))
    bits = -expected[0, :-1].log_softmax(-1).gather(1, tokens[0][:, None])[:, 0] / torch.tensor(2.0).log()
    found = load(folder).explain(picture, "a red apple", guidance=1.0).surprise
    torch.testing.assert_close(found.flatten(), bits, atol=1e-3, rtol=0)


@pytest.mark.parametrize("layout", ["transformers", "original"])
def test_greedy_pictures_are_those_of_transformers(janus, original, layout):
    """End to end: words of several lengths side by side, guidance, tokens, pixels."""
    folder, theirs = janus
    model = load(folder if layout == "transformers" else original)
    if layout == "original":  # whose pictures have 24 x 24 tokens
        assert (model.family.size, model.family.sizes) == (24 * 2, "its pictures have rows of 24 tokens")
        model.family.size = COLUMNS * 2
    pictures = model.generate(list(PROMPTS), temperature=0, seed=1)
    assert len({tuple(picture.tokens[0].tolist()) for picture in pictures}) == len(PROMPTS)
    for picture, words in zip(pictures, PROMPTS.values(), strict=True):
        expected = their_greedy(theirs, words)
        assert torch.equal(picture.tokens, expected)
        assert len(expected.unique()) > 3
        pixels = theirs.decode_image_tokens(expected)[0]
        assert (picture.pixels - ((pixels + 1) * 127.5).round().clamp(0, 255)).abs().max() <= 1
    assert not torch.equal(their_greedy(theirs, PROMPTS["a red apple"], 1.5), pictures[0].tokens)


def test_the_unconditional_row_keeps_its_ends(janus):
    """Padding between the first and the last id; the two rows are as long."""
    said, nothing = load(janus[0]).family._ids("a red apple")
    assert said == ids_of([7, 8, 9])
    assert nothing == [BEGIN, *[PAD] * (len(said) - 2), PICTURE]


def test_its_tokens_carry_the_mark(janus):
    assert_marked(
        load(janus[0]), "a red apple", seeds=range(8), guidance=1.0
    )  # its usual guidance leaves little choice


def test_the_upper_half_is_carried_on(janus, tmp_path):
    model = load(janus[0])
    whole = model.generate("a red apple", seed=1)
    more = model.generate("boat", seed=2, continue_from=whole, keep=(0, 0, 8, 4))
    assert torch.equal(more.tokens[:, :8], whole.tokens[:, :8]) and not torch.equal(more.tokens, whole.tokens)


def test_the_usual_settings_and_facts(janus, original):
    sampling = load(janus[0]).family.sampling
    assert (sampling.guidance, sampling.temperature, sampling.top_k) == (5.0, 1.0, 0)
    facts, same = describe(janus[0]), describe(original)
    assert (facts["family"], facts["picture"], facts["tokens"]) == ("Janus", "8 x 8 pixels", 16)
    assert facts["memory_for_1_x_8_pixels_bytes"] > 0
    assert same["picture"] == "384 x 384 pixels" and same["parameters"] == facts["parameters"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "a " * 1100}, "the prompt has 1104 tokens with what is said around it; 1022 can be read"),
        ({"prompt": "apple", "size": 16}, "size is 16; it should be 8: its pictures have rows of 4 tokens"),
    ],
)
def test_what_it_cannot_do(janus, options, message):
    with pytest.raises(ValueError, match=message):
        load(janus[0]).generate(**options)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("text_config", {"num_key_value_heads": 1}, "num_key_value_heads is 1; it should be 2"),
        ("text_config", {"hidden_act": "gelu"}, "hidden_act is 'gelu'; it should be 'silu'"),
        ("text_config", {"rope_parameters": {"rope_type": "yarn"}}, "rope_type is 'yarn'"),
        ("text_config", {"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
        ("text_config", {"num_hidden_layers": 3}, "lacks model.language_model.layers.2"),
        ("vision_config", {"num_image_tokens": 15}, "num_image_tokens is 15"),
        ("vq_config", {"hidden_act": "relu"}, "hidden_act is 'relu'"),
        ("vq_config", {"num_hidden_layers": 3}, "lacks model.generation_aligner.hidden_layers.1"),
        ("vq_config", {"projection_dim": 48}, "proj_out.weight is"),
        ("vq_config", None, "lacks 'vq_config'"),
    ],
)
def test_configs_that_are_not_understood(janus, tmp_path, part, change, message):
    folder, _ = janus
    for path in folder.iterdir():
        if path.name != "config.json":
            (tmp_path / path.name).symlink_to(path)
    config = json.loads((folder / "config.json").read_text())
    if change is None:
        del config[part]
    else:
        config[part] |= change
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path)


def test_a_tokenizer_is_missing_or_lacks_a_word(janus, tmp_path):
    folder, _ = janus
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=re.escape("tokenizer.json' is no tokenizer")):
        load(tmp_path).generate("a red apple")
    text = (folder / "tokenizer.json").read_text().replace("begin_of_image", "begin_of_something")
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(CheckpointError, match="lacks <begin_of_image>, which Janus needs"):
        load(tmp_path).generate("a red apple")
