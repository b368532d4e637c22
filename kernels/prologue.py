"""How a Triton kernel begins where it may be started before the one before it has ended (`launch.dependent`).

In this order: ask for weights and for what was complete before the step began, `wait`, and only then touch what another
kernel of the step writes. Every kernel of a step waits, also one that reads nothing of the kernel before it: its
successor counts on everything further back being done.
PTX ISA, griddepcontrol and prefetch.
"""

import triton
import triton.language as tl


@triton.jit
def wait(DEPENDENT: tl.constexpr):
    """Let the next kernel begin, and wait until what the kernels before this one wrote can be seen."""
    if DEPENDENT:
        tl.inline_asm_elementwise("griddepcontrol.launch_dependents; // $0", "=r", [], tl.int32, is_pure=False, pack=1)
        tl.inline_asm_elementwise("griddepcontrol.wait; // $0", "=r", [], tl.int32, is_pure=False, pack=1)


@triton.jit
def ask_for(lines):
    """Have the lines at these addresses brought to the second-level cache; nothing waits for them."""
    tl.inline_asm_elementwise(
        "prefetch.global.L2 [$1]; mov.u32 $0, 0;", "=r,l", [lines], tl.int32, is_pure=False, pack=1
    )
