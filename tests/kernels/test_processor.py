"""The limit to the processor's instructions: read, refused where it cannot hold, and told to the libraries."""

import os
import subprocess
import sys

import pytest
import torch

from clavilux.kernels import processor


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True
    )


def test_without_a_limit_nothing_is_told(monkeypatch):
    monkeypatch.setenv(processor.SETTING, "")
    assert processor.limited() is None


def test_unknown_limits_are_refused(monkeypatch):
    monkeypatch.setenv(processor.SETTING, "sse9")
    with pytest.raises(ValueError, match="CLAVILUX_CPU is 'sse9'; it should be baseline, avx2, avx512, or not set"):
        processor.limited()


def test_a_limit_that_comes_too_late_is_refused(monkeypatch):
    other = "avx2" if torch.backends.cpu.get_cpu_capability() == "DEFAULT" else "baseline"
    if other == "avx2" and not torch.cpu._is_avx2_supported():
        pytest.skip("this processor has nothing to be limited")
    for name in processor.LIMITS["avx2"]:
        monkeypatch.setenv(name, os.environ.get(name, ""))  # put back afterwards
    monkeypatch.setenv(processor.SETTING, other)
    with pytest.raises(ValueError, match="already; set it before Python starts"):
        processor.limited()


def test_what_the_processor_lacks_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_supported", lambda: False)
    monkeypatch.setenv(processor.SETTING, "avx512")
    with pytest.raises(ValueError, match="which this processor does not have"):
        processor.limited()


@pytest.mark.parametrize("limit", ["baseline", "avx2"])
def test_a_limit_reaches_torch_and_our_own_choice(limit):
    if limit == "avx2" and not torch.cpu._is_avx2_supported():
        pytest.skip("this processor has no AVX2")
    code = (
        "import clavilux, torch; from clavilux.kernels import processor as p; from clavilux.kernels.quantized import *;"
        "print(torch.backends.cpu.get_cpu_capability(), p.AMX, p.VNNI, p.BFLOAT16, packing_supported('int8'))"
    )
    found = python(code, CLAVILUX_CPU=limit)
    has_fbgemm = "fbgemm" in torch.backends.quantized.supported_engines
    expected = {"baseline": "DEFAULT False False False False", "avx2": f"AVX2 False False False {has_fbgemm}"}
    assert found.stdout.strip() == expected[limit], found.stderr
