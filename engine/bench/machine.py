"""What the numbers were measured on: device, driver, versions, commit, threads.

Knows how to ask the machine; runs nothing on it.
"""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

from clavilux.files import free_memory_bytes

CHECKOUT = Path(__file__).resolve().parents[2]


def machine(device: torch.device, commit: str | None = None) -> dict[str, Any]:
    """Facts for a report; None where the machine does not say."""
    facts = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit or _commit(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_bytes": memory_bytes(device),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{name: _version(name) for name in ("clavilux", "triton", "transformers")},
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts |= {
            "driver": _driver(),
            "cuda": torch.version.cuda or torch.version.hip,
            "multiprocessors": properties.multi_processor_count,
            "capability": f"{properties.major}.{properties.minor}",
            "cache_bytes": properties.L2_cache_size,
        }
    return facts


def memory_bytes(device: torch.device) -> int | None:
    """The device's memory in all."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    try:
        return psutil.virtual_memory().total
    except OSError:  # a sandbox without /proc
        return None


def free_bytes(device: torch.device) -> int | None:
    """The device's memory that can be had now."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return free_memory_bytes()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    # Only a checkout has one: an installed package may lie inside another project's repository.
    if not (CHECKOUT / ".git").exists() or not (CHECKOUT / "pyproject.toml").exists():
        return None
    return _output("git", "-C", str(CHECKOUT), "describe", "--always", "--dirty")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _driver() -> str | None:
    found = _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    return found.splitlines()[0] if found else None


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
