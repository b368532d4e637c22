"""Reading the files of checkpoints: safetensors, PyTorch's own, and JSON. The ground floor, for every folder.

Knows what people have where weights should be: Git LFS pointers, web pages, archives that swell, names with a wrapper's
prefix. Runs no code of a file, and looks at sizes before it reads. Does not know what the weights are for. Every error
is a CheckpointError of one sentence. torch is imported where tensors are read: a config needs none.
"""

from __future__ import annotations

import json
import math
import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clavilux.errors import CheckpointError
from clavilux.files import MIB, check_readable

if TYPE_CHECKING:
    from torch import Tensor

FOLDER_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
Select = Callable[[Collection[str]], Collection[str]]  # of all the names in a checkpoint, those to read

_POINTER = b"version https://git-lfs.github.com/spec/v1"
_PAGES = (b"<!doctype html", b"<html")
_NAMED = 5  # names that an error lists
_DIGITS = 60  # of a whole number in a config; tokenizers often state 10^30 as their longest text
_LARGEST_HEADER = 100_000_000  # bytes of a safetensors header: the library's own limit
# Of a zip file's directory and of a pickle inside. Jukebox's largest prior has 1,200 tensors, of some 100 bytes each.
_LARGEST_LISTING = 64 * MIB
# What wrappers put before every name: torch.compile (anywhere in it), DataParallel, and whatever held the model.
_COMPILED = "_orig_mod."
_WRAPPERS = ("module.", "model.")
# Where "model." is the layout's own: transformers' Janus.
_OWN_ROOTS = ("model.language_model.", "model.vqmodel.")
# What PyTorch's restricted unpickler says of a pickle that would call or build what it does not know.
_CODE = re.compile(r"unsupported (global|class)|unrecognized function|trying to (instantiate|call)|can only", re.I)


def check_file(path: str | Path, kind: str = "checkpoint") -> Path:
    """The path, if there is a file that can be a checkpoint's; `kind` is a key of `files.LARGEST_BYTES`.

    Raises:
        CheckpointError: it is missing, no regular file, empty or too large, a Git LFS pointer, or a web page.
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointError(f"{str(path)!r} is missing")
    try:
        check_readable(path, kind)
    except ValueError as error:
        raise CheckpointError(str(error)) from None
    with open(path, "rb") as file:
        head = file.read(1024)
    what = "weights" if kind == "checkpoint" else kind
    if head.startswith(_POINTER):
        stated = re.search(rb"^size (\d{1,18})\s*$", head, re.M)
        size = f" ({int(stated[1]) / MIB:,.0f} MiB)" if stated and int(stated[1]) >= MIB else ""
        raise CheckpointError(
            f"{str(path)!r} is a Git LFS pointer, not the {what}: the file{size} that it stands for was not "
            "downloaded; run `git lfs pull` in its folder, or download that file itself"
        )
    if head.lstrip().lower().startswith(_PAGES):
        raise CheckpointError(f"{str(path)!r} is a web page (HTML), not the {what}; download the file itself")
    return path


def read_json(path: str | Path) -> dict[str, Any]:
    """A JSON file that is an object, such as `config.json`; numbers in it are finite.

    Raises:
        CheckpointError: as `check_file`; or it is no JSON, or no object.
    """
    path = check_file(path, "JSON file")
    label = repr(str(path))
    try:
        content = parse_json(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise CheckpointError(f"{label} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{label} is no JSON: byte {error.start} is no UTF-8 text") from None
    except ValueError as error:
        raise CheckpointError(f"{label} is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{label} holds a JSON {_kind_of(content)}; it should hold an object")
    return content


def parse_json(text: str) -> Any:
    """The value of a JSON text. ValueError for what is none, is nested beyond reason, or holds no finite number."""
    try:
        return json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_finite)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg[:1].lower()}{error.msg[1:]} in line {error.lineno}") from None
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None


def _whole(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"it holds a number of {len(text)} digits, {text[:8]}...; the most is {_DIGITS}")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"it holds the number {text[:20]}, which is not finite")
    return value


def _kind_of(value: Any) -> str:
    return {list: "array", str: "string", bool: "boolean", type(None): "null"}.get(type(value), "number")


def read_tensors(path: str | Path, select: Select = set) -> dict[str, Tensor]:
    """Tensors by name, on the CPU, in the file's dtypes; without a wrapper's prefix (`unwrapped`).

    Args:
        path: a safetensors file, a PyTorch file that is a dict of tensors, an index of shards (`*.index.json`), or a
            folder with one of `FOLDER_FILES`.
        select: given all the names, says which to read; of safetensors the others are not brought into memory.

    Raises:
        CheckpointError: nothing there, a damaged file, a missing shard, or a pickle of more than tensors.
    """
    path = weights_file(Path(path))
    if path.name.endswith(".index.json"):
        return _read_shards(path, select)
    if path.suffix == ".safetensors":
        with open_safetensors(path) as file:
            names = unwrapped_names(file.keys())
            return {name: file.get_tensor(names[name]) for name in sorted(select(list(names)))}
    return tensors_in(read_torch(path), select, path)


def weights_file(path: Path) -> Path:
    """The file of weights, or of their index, in a folder; a file itself. CheckpointError where there is none."""
    if not path.is_dir():
        return path
    found = [path / name for name in FOLDER_FILES if (path / name).exists()]
    if not found:
        raise CheckpointError(f"{str(path)!r} holds no weights; there should be one of {', '.join(FOLDER_FILES)}")
    return found[0]


def tensors_in(content: Mapping[str, Any], select: Select, path: Path) -> dict[str, Tensor]:
    """Those of a PyTorch file's values that are selected, all of them tensors. CheckpointError if one is not."""
    chosen = set(select([str(name) for name in content]))
    return check_tensors({name: value for name, value in content.items() if str(name) in chosen}, repr(str(path)))


def beginning_with(prefix: str) -> Select:
    """Selects the names that begin so."""
    return lambda names: [name for name in names if name.startswith(prefix)]


def _read_shards(index: Path, select: Select) -> dict[str, Tensor]:
    where = shards_of(index)
    names = unwrapped_names(where)  # of all shards together: one alone may have a prefix in common by chance
    chosen = {name: names[name] for name in sorted(select(list(names)))}
    tensors: dict[str, Tensor] = {}
    for path in sorted({where[name] for name in chosen.values()}):
        held = {name: theirs for name, theirs in chosen.items() if where[theirs] == path}
        if path.suffix == ".safetensors":
            with open_safetensors(path) as file:
                lacking = sorted(set(held.values()) - set(file.keys()))
                tensors |= {} if lacking else {name: file.get_tensor(theirs) for name, theirs in held.items()}
        else:
            content = read_torch(path, unwrap=False)
            lacking = sorted(set(held.values()) - set(content))
            if not lacking:
                content = {name: content[theirs] for name, theirs in held.items()}
                tensors |= check_tensors(content, repr(str(path)))
        if lacking:
            raise CheckpointError(f"the shards of {str(index)!r} do not hold what it says: {listed(lacking)}")
    return tensors


def shards_of(index: str | Path) -> dict[str, Path]:
    """The file of each tensor, by its name in the files. CheckpointError for what is no index of shards."""
    index = Path(index)
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(file, str) for file in names.values()):
        raise CheckpointError(f"{str(index)!r} is no index of shards: it has no 'weight_map' from names to files")
    if any(Path(file).name != file or file.endswith(".index.json") for file in names.values()):
        raise CheckpointError(f"{str(index)!r} names shards outside its folder; they should lie beside it")
    return {name: index.parent / file for name, file in names.items()}


@contextmanager
def open_safetensors(path: str | Path, framework: str = "pt") -> Iterator[Any]:
    """A safetensors file, as `safetensors.safe_open` gives it, for torch or "numpy", its header looked at first.

    Raises:
        CheckpointError: as `check_file`; or it is damaged, also where that shows as a tensor is read.
    """
    from safetensors import SafetensorError, safe_open

    path = check_file(path)
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(8)
    length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
    if len(head) < 8 or length > min(size - 8, _LARGEST_HEADER):
        says = f"its header would be {length:,} bytes long" if len(head) == 8 else "it is shorter than any header"
        raise CheckpointError(f"{str(path)!r} is damaged, or no safetensors file: {says}, of {size:,} in all")
    try:
        with safe_open(path, framework) as file:
            yield file
    except SafetensorError as error:
        why = "it is cut short" if "incomplete" in str(error).lower() else "its header is wrong"
        raise CheckpointError(f"{str(path)!r} is damaged: {why}") from None
    except OSError as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error.strerror or 'the system refused'}") from None


def read_metadata(path: str | Path) -> dict[str, str]:
    """The texts that a safetensors file holds beside its tensors. Raises as `read_tensors`."""
    with open_safetensors(path) as file:
        return dict(file.metadata() or {})


def read_torch(
    path: str | Path, *, mmap: bool = False, device: str = "cpu", plain: Collection[type] = (), unwrap: bool = True
) -> dict[str, Any]:
    """A PyTorch file: a dict of plain values and tensors. A pickle that could run code is refused unread.

    Args:
        path: of a zip file (since PyTorch 1.6) or of a bare pickle.
        mmap: map the tensors of a zip file, so that what is not used is not read.
        device: where tensors go; "meta" for their shapes alone.
        plain: classes that count as plain values too.
        unwrap: take a wrapper's prefix off names, those in the file and those of dicts in it (`unwrapped`).

    Raises:
        CheckpointError: as `check_file`; or it is damaged, no dict, or holds more than plain values and tensors.
    """
    import torch

    path = check_file(path)
    label = repr(str(path))
    is_zip = zipfile.is_zipfile(path)
    if is_zip:
        _check_archive(path)
    try:
        with torch.serialization.safe_globals(list(plain)) if plain else nullcontext():
            content = torch.load(path, map_location=device, weights_only=True, mmap=mmap and is_zip)
    except pickle.UnpicklingError as error:
        if _CODE.search(str(error)):
            raise CheckpointError(
                f"{label} holds more than plain values and tensors, which could run code, so it was not read; "
                "save its tensors as safetensors"
            ) from None
        raise CheckpointError(f"{label} is damaged, or was not saved by PyTorch") from None
    except Exception:  # a damaged pickle can raise nearly anything
        raise CheckpointError(f"{label} is damaged, or was not saved by PyTorch") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{label} holds a {type(content).__name__}; it should hold a dict")
    if not unwrap:
        return content
    return {
        name: unwrapped(value) if isinstance(value, Mapping) else value for name, value in unwrapped(content).items()
    }


def _check_archive(path: Path) -> None:
    """Refuse a zip file that would swell: what PyTorch writes is stored as it is, each part once."""
    label, size = repr(str(path)), path.stat().st_size
    if _directory_bytes(path) > _LARGEST_LISTING:
        raise CheckpointError(f"{label} is no checkpoint: the directory of its zip file alone has more than 64 MiB")
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise CheckpointError(f"{label} is damaged, or was not saved by PyTorch") from None
    whole = sum(part.file_size for part in parts)
    if whole > size or any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        raise CheckpointError(
            f"{label} is a zip file of {size / MIB:,.1f} MiB that would become {whole / MIB:,.1f} MiB; PyTorch "
            "does not compress, so it did not save this (if it is an archive with a checkpoint inside, unpack it)"
        )
    largest = max((part.file_size for part in parts if part.filename.endswith(".pkl")), default=0)
    if largest > _LARGEST_LISTING:
        raise CheckpointError(
            f"{label} holds {largest / MIB:,.0f} MiB of pickled values beside its tensors; 64 are the most"
        )


def _directory_bytes(path: Path) -> int:
    """What a zip file says of the size of its directory, before any of that is read; 0 where it says nothing."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        file.seek(max(0, size - 65_557))  # the last record, and the longest comment after it
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        return 0
    claimed = struct.unpack_from("<L", tail, at + 12)[0]
    if claimed != 0xFFFFFFFF:
        return claimed
    large = tail.rfind(b"PK\x06\x06", 0, at)
    return struct.unpack_from("<Q", tail, large + 40)[0] if large >= 0 and len(tail) - large >= 48 else claimed


def unwrapped(values: Mapping[Any, Any]) -> dict[Any, Any]:
    """The same values, the tensors among them by their names without a wrapper's prefix."""
    import torch

    tensors = [name for name, value in values.items() if isinstance(name, str) and isinstance(value, torch.Tensor)]
    theirs = {old: new for new, old in unwrapped_names(tensors).items()}
    return {theirs.get(name, name): value for name, value in values.items()}


def unwrapped_names(names: Iterable[str]) -> dict[str, str]:
    """Names without what a wrapper put before all of them -> the names as they are.

    `_orig_mod.` goes wherever it stands; `module.` and `model.` where every name begins so. Nothing changes where two
    names would become one.
    """
    names = list(names)
    plain = [name.replace(_COMPILED, "") for name in names]
    while prefix := next((word for word in _WRAPPERS if plain and all(n.startswith(word) for n in plain)), None):
        if prefix == "model." and any(name.startswith(_OWN_ROOTS) for name in plain):
            break
        plain = [name.removeprefix(prefix) for name in plain]
    return dict(zip(plain if len(set(plain)) == len(names) else names, names, strict=True))


def check_tensors(values: Mapping[str, Any], label: str) -> dict[str, Tensor]:
    """The same values, all of them tensors by name; CheckpointError if one is something else."""
    import torch

    others = sorted(str(name) for name, value in values.items() if not isinstance(value, torch.Tensor))
    if others:
        raise CheckpointError(f"{label} should hold tensors only, but {listed(others)} is something else")
    return dict(values)


def check_names(found: Iterable[str], wanted: Iterable[str], label: str, others: Iterable[str] = ()) -> None:
    """Raise CheckpointError, naming the first few that differ, unless there is all of `wanted` and some of `others`."""
    found, wanted = set(found), set(wanted)
    missing, extra = sorted(wanted - found), sorted(found - wanted - set(others))
    if missing or extra:
        named = (("lacks", missing), ("has", extra))
        differences = " and ".join(f"{word} {listed(names)}" for word, names in named if names)
        raise CheckpointError(f"{label}: it {differences}")


def listed(names: Iterable[str]) -> str:
    """The first few of many names, and how many more there are."""
    names = list(names)
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
