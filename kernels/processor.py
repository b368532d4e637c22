"""What the processor offers, and a limit to it, so that one machine can show what another would do.

`CLAVILUX_CPU=avx512`, `avx2` or `baseline` makes torch, oneDNN, FBGEMM and our own choices use no more than that. It
has to stand in the environment before the first operation of torch. For developers; slower, never faster.

| variable of a library | what it changes |
|---|---|
| `ATEN_CPU_CAPABILITY` | torch's own kernels: norms, softmax, random numbers |
| `ONEDNN_MAX_CPU_ISA` | oneDNN: convolutions, float32 and bfloat16 products |
| `FBGEMM_ENABLE_INSTRUCTIONS` | FBGEMM: float16 and int8 products; it has none for less than AVX2 |
| `MKL_ENABLE_INSTRUCTIONS` | MKL: other products, on Intel's processors only |
"""

import os

import torch

SETTING = "CLAVILUX_CPU"
# limit -> what each library calls it
LIMITS = {
    "baseline": {
        "ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    },
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "FBGEMM_ENABLE_INSTRUCTIONS": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
    "avx512": {
        "ATEN_CPU_CAPABILITY": "avx512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "FBGEMM_ENABLE_INSTRUCTIONS": "AVX512",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512",
    },
}  # fmt: skip


def limited() -> str | None:
    """The limit that the environment sets, after telling the libraries.

    Raises:
        ValueError: an unknown limit, one above this processor, or one that comes too late: torch has chosen already.
    """
    limit = os.environ.get(SETTING)
    if not limit:
        return None
    if limit not in LIMITS:
        raise ValueError(f"{SETTING} is {limit!r}; it should be {', '.join(LIMITS)}, or not set")
    offered = {"avx2": torch.cpu._is_avx2_supported(), "avx512": torch.cpu._is_avx512_supported()}
    if not offered.get(limit, True):
        raise ValueError(f"{SETTING} is {limit!r}, which this processor does not have")
    os.environ.update(LIMITS[limit])
    chosen = torch.backends.cpu.get_cpu_capability().lower()
    if chosen != LIMITS[limit]["ATEN_CPU_CAPABILITY"]:
        raise ValueError(f"{SETTING} is {limit!r}, but torch runs with {chosen} already; set it before Python starts")
    return limit


LIMIT = limited()
AMX = LIMIT is None and torch.cpu._is_amx_tile_supported()
BFLOAT16 = LIMIT is None and torch.cpu._is_avx512_bf16_supported()  # computes with it, not only stores it
VNNI = LIMIT is None and torch.cpu._is_vnni_supported()
FBGEMM = LIMIT != "baseline" and "fbgemm" in torch.backends.quantized.supported_engines
ONEDNN = torch.backends.mkldnn.is_available()
