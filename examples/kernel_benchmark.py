"""One kernel against its specification in plain PyTorch, on your GPU: is it right, and how fast is it?

    python examples/kernel_benchmark.py --op norm_linear --model musicgen-small

Cases, tensors and bytes are those of the catalog that the tests and `clavilux bench` use.
"""

import argparse
from dataclasses import replace
from functools import partial

import torch

from clavilux.bench.timing import Side, measure, rotating
from clavilux.kernels import catalog
from clavilux.kernels.case_inputs import call

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--op", default="norm_linear", help="the function's name")
parser.add_argument("--model", default="musicgen-small", help="how the names of the cases begin")
parser.add_argument("--repeats", type=int, default=9)
options = parser.parse_args()

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
cases = [case for case in catalog.cases(options.op, toy=False) if case.name.startswith(options.model)]
if not cases:
    names = sorted({case.name for case in catalog.cases(options.op, toy=False)})
    parser.error(f"no case of {options.op} begins with {options.model!r}; there are {', '.join(names)}")
if device.type == "cpu":
    print("no GPU: an op of weights that are not packed is plain PyTorch itself, so both columns are the same code")
for case in cases:
    if device.type == "cpu":
        case = replace(case, dtype="float32")  # what a CPU computes in
    made = call(case, device=device)
    ours, plain = made.results(), made.results("reference")
    error = max(float((a.float() - b.float()).abs().max()) for a, b in zip(ours, plain, strict=True))
    sides = [Side("kernel", rotating([made])), Side("torch", rotating([partial(made, "reference")]))]
    times = measure(sides, device, repeats=options.repeats)
    kernel_s, torch_s = times["kernel"].median_s, times["torch"].median_s
    print(f"{case.name:36} {1e6 * kernel_s:9.1f} us, torch {1e6 * torch_s:9.1f} us, largest difference {error:.1e}")
