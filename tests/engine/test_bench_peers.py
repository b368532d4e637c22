"""The peers of whole steps: plain torch draws our tokens for every family's shape; transformers makes one graph."""

from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from clavilux.bench import baselines, peers
from clavilux.bench.baselines import TransformersPeer
from clavilux.bench.parity import check_close, check_peer, forced, generate, random_tokens
from clavilux.bench.peers import Peers, equal_peers
from clavilux.bench.suite import Bench, Mismatch
from clavilux.bench.torch_peer import TorchPeer
from clavilux.bench.workloads import build, named, step_cost

CPU = torch.device("cpu")
SMALL = {"width": 32, "layers": 2, "heads": 2, "head_dim": 16, "ffn": 48, "context": 40, "vocabulary": 30}
# Each family's own: four codebooks with delays, a memory and guidance; rope and guidance; neither; spans of every kind;
# tied heads and top-p.
SHAPES = {
    "musicgen-small": {"table": 31, "top_k": 5},
    "llamagen-b": {"top_k": 5},
    "imagegpt-small": {"table": 31},
    "jukebox-1b": {"layers": 6, "block": 4, "prefix": 8, "exceptions": ((3, "prefix"), (4, "full"))},
    "aria-composer": {},
}


def model_of(name):
    return replace(named(name), **{**SMALL, **SHAPES[name]})


@pytest.fixture(scope="module", params=SHAPES)
def pair(request):
    with torch.inference_mode():
        one = build(model_of(request.param), CPU)
        return one, TorchPeer(one, "float32", 30)


def test_it_draws_the_same_greedy_tokens(pair):
    one, peer = pair
    with torch.inference_mode():
        found = check_peer(one, peer, 26, "torch")
        assert found["greedy_tokens_compared"] == 26 * one.model.codebooks and found["logits_error"] < 1e-5
        assert len(generate(one, 26, one.greedy()).unique()) > 3


@pytest.mark.filterwarnings("ignore")
def test_one_graph_holds_the_whole_step(pair):
    """As much of torch.compile as needs no C++ compiler; `fullgraph` makes a break an error."""
    one, peer = pair
    with torch.inference_mode():
        tokens = random_tokens(one, 10)
        found = peer.forced(tokens, peer.compiled("eager"))
        check_close("torch", "float32", found, forced(one, tokens))


def test_it_draws_as_often_as_the_odds_say(pair):
    """Thousands of draws of one step, over the kept tokens."""
    _, peer = pair
    model = peer.model
    torch.manual_seed(0)
    with torch.inference_mode():
        logits = torch.randn(model.rows, model.codebooks, model.vocabulary)
        scores = sum(weight * block for weight, block in zip(peer.weights, logits, strict=True)) / model.temperature
        peer.greedy = False
        drawn = torch.stack([peer._drawn(logits)[0] for _ in range(4000)])  # [4000, K]
    if model.top_k:
        scores = scores.masked_fill(scores < scores.topk(model.top_k).values[:, -1:], -torch.inf)
    odds = scores.softmax(-1)
    if model.top_p < 1:
        ordered, order = odds.sort(descending=True)
        odds = odds.scatter(-1, order, ordered.where(ordered.cumsum(-1) - ordered < model.top_p, 0.0))
        odds = odds / odds.sum(-1, keepdim=True)
    for k in range(model.codebooks):
        share = torch.bincount(drawn[:, k], minlength=model.vocabulary) / len(drawn)
        assert share[odds[k] == 0].sum() == 0
        assert (share - odds[k]).abs().max() < 0.035


@pytest.mark.parametrize("name", ["layers.1.attention.qkv.weight", "layers.0.ffn.down.weight", "embed.weight"])
def test_a_peer_with_one_other_weight_is_found(pair, name):
    one, peer = pair
    with torch.inference_mode(False), torch.no_grad():
        weight = peer.decoder.get_parameter(name)
        kept = weight.clone()
        weight.copy_(weight.roll(1, 0))
    with torch.inference_mode(), pytest.raises(Mismatch, match="torch"):
        check_peer(one, peer, 6, "torch")
    with torch.no_grad():
        weight.copy_(kept)


def test_a_longer_generation_than_there_is_room_for():
    peer = TorchPeer(build(model_of("llamagen-b"), CPU), "float32", 4)
    with pytest.raises(ValueError, match="5 steps are asked for; there is room for 4"):
        peer.generate(5)


def test_a_compiled_peer_that_differs_is_not_timed(monkeypatch):
    with torch.inference_mode():
        one = build(model_of("llamagen-b"), CPU)
        bench = Bench(CPU, quick=True)
        tokens = random_tokens(one, 4)
        found = equal_peers(bench, one, tokens, forced(one, tokens), [])
        assert isinstance(found, Peers) and found.torch is not None and found.transformers is None
        monkeypatch.setattr(peers, "compiler_missing", lambda bench: False)
        monkeypatch.setattr(TorchPeer, "compiled", lambda self: self.forward)
        [side] = found.of_steps(20, 40, compiled=True)
        assert side.name == "torch compiled" and side.facts["dtype"] == "bfloat16"
        side.run(2)
        assert int(found.torch.position) == 20
        monkeypatch.setattr(TorchPeer, "compiled", lambda self: lambda: self.logits.fill_(1.0))
        assert found.of_steps(20, 40, compiled=True) == []
    assert any("torch was not timed compiled" in note for note in bench.notes)


def test_spans_are_part_of_the_decoder_and_of_what_a_step_reads():
    model = named("jukebox-1b")
    spec = build(model_of("jukebox-1b"), CPU).decoder.spec
    assert spec.spans == ("row", "column", "previous_row", "prefix", "full", "previous_row")
    assert (spec.block, spec.prefix_span) == (4, 8)
    read, _ = step_cost(model, 6528, "bfloat16", "bfloat16")
    full, _ = step_cost(replace(model, spans=("full",), exceptions=()), 6528, "bfloat16", "bfloat16")
    vectors = 2 * 512 * 2  # a key and a value of every head, in bytes
    # 68 layers of rows, columns and rows before; 3 of a prefix; one of all
    keys = sum({"row": 102, "column": 64, "previous_row": 102, "prefix": 448, "full": 6528}[kind] for kind in
               (model.span(n)[0] if model.span(n) else "full" for n in range(72)))  # fmt: skip
    assert full - read == vectors * (72 * 6528 - keys)


@pytest.mark.skipif(not baselines.available(), reason="transformers is not installed")
@pytest.mark.filterwarnings("ignore")
def test_the_peers_step_over_a_static_cache_is_one_graph():
    with torch.inference_mode():
        peer = TransformersPeer(build(model_of("musicgen-small"), CPU), "float32")
        cache = peer._static_cache(40)
        eager = peer._logits(peer.model, peer._start(), cache)
        for layer in cache.self_attention_cache.layers:
            layer.cumulative_length.zero_()
        whole = torch.compile(peer.model, backend="eager", fullgraph=True)  # a break would raise
        assert torch.allclose(peer._logits(whole, peer._start(), cache), eager, atol=1e-5)


def test_the_peers_positions_stay_on_the_device():
    """Fake tensors say where each would lie, without a GPU; a length on the device and positions on the host raise."""
    with FakeTensorMode():
        table = torch.zeros(40, 32, device="cuda")
        tokens, length = (torch.zeros(size, dtype=torch.int64, device="cuda") for size in ((1, 4, 1), ()))
        assert baselines.DevicePositions(table)(tokens, length).device.type == "cuda"


def test_all_that_a_compiled_step_touches_stays_where_it_is(pair):
    """Else a CUDA graph would be given up, or its inputs copied, for each step."""
    _, peer = pair
    kinds = {}

    def backend(graph, inputs):
        for node in graph.graph.nodes:
            if node.op == "placeholder":
                kinds[node.name] = node.meta.get("tensor_dict", {}).get("_dynamo_static_input_type")
        return graph.forward

    torch.compiler.reset()
    peer.start(0)
    peer.run(1, torch.compile(peer.forward, backend=backend, fullgraph=True, dynamic=False))
    assert len(kinds) > 20 and all(kinds.values()), [name for name, kind in kinds.items() if kind is None]
