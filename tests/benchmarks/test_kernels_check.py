"""The compile gate's parts, on made-up numbers; and one kernel that is really compiled."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import kernels_check as check
from kernels_check import Entry, Resources

FOLDER = Path(check.__file__).parent
pytest.importorskip("triton")  # there is none for macOS and Windows

ENTRY = Entry("embed", "embed_kernel", "K=4 num_warps=4 of *i64,*bf16", "sm_90")


def test_a_table_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "table.csv"
    table = {ENTRY: Resources(40, 0, 0, 1024), Entry("sample", "draw", "V=8", "gfx942"): Resources(99, 8, 2, 0)}
    check.write_table(path, table)
    assert check.read_table(path) == table
    assert path.read_text().splitlines()[0] == "op,kernel,constants,target,registers,stack,spills,shared_bytes"


def test_each_minor_version_of_triton_has_its_table():
    assert check.table_of("3.8.0") == check.table_of("3.8.1") != check.table_of("3.6.0")
    for version in ("3.6.0", "3.8.0"):
        table = check.read_table(check.table_of(version))
        assert {entry.target for entry in table} == set(check.TARGETS)
        assert max(used.stack for used in table.values()) <= check.MOST_STACK


@pytest.mark.parametrize(
    ("used", "warps", "message"),
    [
        (Resources(64, 0, 0, 0), 32, None),
        (Resources(16, 0, 0, 0), 64, "2048 threads a block; 1024 is the most"),
        (Resources(129, 0, 0, 0), 16, "uses 129 registers with 16 warps; there are 128"),
        (Resources(255, 0, 0, 227 * 1024), 8, None),
        (Resources(40, 32, 8, 0), 4, None),
        (Resources(40, 40, 8, 0), 4, "uses 40 bytes of stack; 32 is the most"),
        (Resources(40, 0, 0, 227 * 1024 + 1), 4, "232449 bytes of shared memory; there are 232448"),
    ],
)
def test_limits_hold_whatever_the_table_says(used, warps, message):
    wrong = check.limits(ENTRY, used, warps)
    if message is None:
        assert wrong == []
    else:
        (sentence,) = wrong
        assert sentence.startswith("embed_kernel of embed on sm_90 (K=4")
        assert re.search(message, sentence)


def test_what_is_worse_missing_or_in_vain_is_named():
    known = {ENTRY: Resources(40, 0, 0, 1024)}

    def compare(used, whole=True):
        return check.compare(used, known, whole=whole)

    assert compare({ENTRY: Resources(40, 0, 0, 1024)}) == []
    assert "41 registers; the table has 40" in compare({ENTRY: Resources(41, 0, 0, 1024)})[0]
    assert "8 stack; the table has 0" in compare({ENTRY: Resources(40, 8, 0, 1024)})[0]
    assert "2048 shared bytes; the table has 1024" in compare({ENTRY: Resources(40, 0, 0, 2048)})[0]
    other = Entry("embed", "embed_kernel", "K=1", "sm_90")
    wrong = compare({other: Resources(1, 0, 0, 0)})
    assert "(K=1) is not in the table" in wrong[0] and "no case launches it" in wrong[1]
    assert compare({}, whole=False) == []


def test_resources_are_read_from_what_the_tools_print():
    usage = "Resource usage:\n Function k:\n  REG:24 STACK:8 SHARED:16 LOCAL:4 CONSTANT[0]:440 TEXTURE:0\n"
    assert check.read_cuda(usage, 1000) == Resources(24, 12, 0, 1016)
    sass = "  /*0010*/  STL [R1+0x4], R2 ;\n  /*0020*/  LDL.64 R4, [R1] ;\n  /*0030*/  LDG.E R5, [R2.64] ;\n"
    assert check.local_accesses(sass) == 2
    assembly = """
    .agpr_count:     0
    .group_segment_fixed_size: 512
    .private_segment_fixed_size: 20
    .sgpr_spill_count: 1
    .vgpr_count:     77
    .vgpr_spill_count: 5
"""
    assert check.read_amd(assembly, 0) == Resources(77, 20, 6, 512)


SCRIPT = """
import sys
sys.path[:0] = [{folder!r}, {here!r}]
import torch
import kernels_check as check
from clavilux.kernels.launch import launch, noted
from toy.triton import double, double_in_a_step

def entries(numbers, target="sm_90", kernel=double, dependent=False):
    x = torch.empty(numbers)
    with noted(dependent=dependent) as notes:
        launch(kernel, (1,), x, x, numbers, BLOCK=16)
    return check.job(notes[0], check.TARGETS[target])

one, many, odd = entries(1), entries(64), entries(63)
assert one.entry == many.entry and one.key != many.key != odd.key, "1 and multiples of 16 are compiled apart"
assert entries(64).key == entries(80).key
assert many.signature == {{"x": "*fp32", "out": "*fp32", "n": "i32", "BLOCK": "constexpr", "DEPENDENT": "constexpr"}}
assert many.attributes[(2,)] and not odd.attributes[(2,)] and one.constants[(2,)] == 1
assert many.entry.constants == "BLOCK=16 DEPENDENT=False num_warps=4 num_stages=3 of *fp32", many.entry
for target in ("sm_90", "gfx942"):
    measured, wrong = check.compile_all([entries(64, target)], 1)
    (used,) = measured.values()
    assert not wrong and 0 < used.registers < 64 and not used.stack and not used.spills, (used, wrong)
early = [entries(64, kernel=each, dependent=True) for each in (double, double_in_a_step)]
measured, wrong = check.compile_all(early, 1)
assert [entry.kernel for entry in measured] == ["double_in_a_step"], measured
assert len(wrong) == 1 and "double of toy" in wrong[0] and "NeverWaits" in wrong[0], wrong
"""

KERNEL = """
import triton
import triton.language as tl
from clavilux.kernels.prologue import wait

@triton.jit
def double(x, out, n, BLOCK: tl.constexpr, DEPENDENT: tl.constexpr):
    at = tl.arange(0, BLOCK)
    tl.store(out + at, 2 * tl.load(x + at, mask=at < n), mask=at < n)

@triton.jit
def double_in_a_step(x, out, n, BLOCK: tl.constexpr, DEPENDENT: tl.constexpr):
    wait(DEPENDENT)
    double(x, out, n, BLOCK, DEPENDENT)
"""


def test_a_kernel_is_noted_and_compiled_for_two_makers(tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "__init__.py").touch()
    (tmp_path / "toy" / "triton.py").write_text(KERNEL)
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path / "cache")
    script = SCRIPT.format(folder=str(FOLDER), here=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
