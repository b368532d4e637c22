"""The walk through files, on small packages: entries, their order, imports that do not count, and the way to an op."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "walk.py"
FILES = {
    "engine/top.py": "from walk_low import add\n\n\ndef main():\n    import walk_late\n    for n in range(2):\n"
    "        add(n)\n    return own() + walk_late.value()\n\n\ndef own():\n    return 1\n",
    "audio/walk_low.py": "from walk_api import op\n\n\ndef add(n):\n    return again(n)\n\n\ndef again(n):\n"
    "    return op(n) + sum(pieces(n))\n\n\ndef pieces(n):\n    yield n\n    yield op(n)\n",
    "kernels/some_op/api.py": "def op(n):\n    return n\n",
    "engine/walk_late.py": "from walk_helper import at_import\n\n\nclass Late:\n    number = at_import()\n\n\n"
    "def value():\n    return Late.number\n",
    "engine/walk_helper.py": "def at_import():\n    return 3\n",
}


@pytest.fixture
def walk(tmp_path, monkeypatch):
    """(a walk that knows the files of a small tree, its top module)."""
    modules = {}

    def load(path, name):
        spec = importlib.util.spec_from_file_location(name, path)
        modules[name] = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, modules[name])
        spec.loader.exec_module(modules[name])
        return modules[name]

    script = load(SCRIPT, "benchmarks_walk")
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        monkeypatch.syspath_prepend(str(path.parent))
    monkeypatch.setattr(script, "ROOT", tmp_path)
    for name in ("walk_late", "walk_helper", "walk_low"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    load(tmp_path / "kernels/some_op/api.py", "walk_api")
    yield script.Walk(), load(tmp_path / "engine/top.py", "walk_top")
    for name in ("walk_late", "walk_helper", "walk_low"):
        sys.modules.pop(name, None)


def test_files_are_noted_in_order_with_their_entries(walk):
    noted, top = walk
    with noted.noted():
        assert top.main() == 4
    found = noted.report()
    # add twice; op twice a number, once of them out of a generator that is entered from its own file
    assert list(found["walked"].items()) == [
        ("engine/top.py", 1), ("audio/walk_low.py", 2), ("kernels/some_op/api.py", 4), ("engine/walk_late.py", 1),
    ]  # fmt: skip
    assert found["to_an_op"] == ["engine/top.py", "audio/walk_low.py", "kernels/some_op/api.py"]
    assert found["hops_to_an_op"] == 2 and found["files"] == 4 and found["entries"] == 8
    assert sys.getprofile() is None


def test_what_raises_leaves_no_entry_open(walk):
    noted, top = walk
    for _ in range(2):
        with noted.noted(), pytest.raises(TypeError):
            top.add()
    with noted.noted():
        top.own()
        top.own()
    assert noted.report()["walked"] == {"engine/top.py": 2}
