"""The state of the house, on small trees: which imports count, what is a circle, what points up, what stands twice."""

from pathlib import Path

import pytest
from benchmark_scripts import imported
from import_graph import circles, folder_graph, import_graph, layer_of, unplaced, upward
from repeated_code import code_lines, repeated

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"house": "ground", "house.attic": "top"}
BLOCK = [f"value_{n} = compute({n})" for n in range(7)]


@pytest.fixture(scope="module")
def script():
    return imported("house")


@pytest.fixture
def graph(tmp_path):
    """graph({file: text}) -> the import graph of a tree of these files, a mapped package in ground/ and in top/."""

    def make(files, **options):
        for name, text in ({"ground/__init__.py": "", "top/__init__.py": ""} | files).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return import_graph(tmp_path, FOLDERS, **options)

    return make


def test_imports_resolve_to_files_through_the_mapping(graph):
    found = graph({
        "ground/a.py": "from .b import x\nfrom house import b, name\nimport house.attic.c, torch\n",
        "ground/b.py": "from house.attic import c\nfrom house.attic.c import y\n",
        "top/c.py": "from . import d\nfrom .. import a\n",
        "top/d/__init__.py": "from .e import z\nfrom ..c import y\nfrom . import nothing\n",
        "top/d/e.py": "",
    })  # fmt: skip
    assert found["ground/a.py"] == {"ground/b.py", "ground/__init__.py", "top/c.py"}
    assert found["ground/b.py"] == {"top/c.py"}
    assert found["top/c.py"] == {"top/d/__init__.py", "ground/a.py"}
    assert found["top/d/__init__.py"] == {"top/d/e.py", "top/c.py"}


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("from .b import x", True),
        ("def f():\n    from .b import x", True),
        ("class A:\n    async def f(self):\n        with x:\n            import house.b", True),
        ("if TYPE_CHECKING:\n    from .b import x", False),
        ("import typing\nif typing.TYPE_CHECKING:\n    from .b import x", False),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    from .b import x", True),
        ("if not TYPE_CHECKING:\n    from .b import x", True),
        ("text = 'from .b import x'", False),
    ],
)  # fmt: skip
def test_a_circle_is_found_where_the_import_counts(graph, text, counts):
    found = graph({"ground/a.py": text, "ground/b.py": "import house.a\n"})
    assert circles(found) == ([["ground/a.py", "ground/b.py"]] if counts else [])


def test_strings_count_only_where_they_are_asked_for(graph):
    files = {"ground/a.py": "HOMES = {'b': 'house.b', 'c': 'house.nothing'}\n", "ground/b.py": "import house.a\n"}
    assert circles(graph(files)) == []
    assert circles(graph(files, strings=True)) == [["ground/a.py", "ground/b.py"]]


def test_circles_of_folders_go_round_where_files_do_not(graph):
    found = graph({
        "ground/a.py": "import house.low.b\n", "ground/low/__init__.py": "", "ground/low/b.py": "",
        "ground/low/c.py": "import house.a\n", "ground/low/deep/__init__.py": "", "ground/low/deep/d.py": "",
    })  # fmt: skip
    assert circles(found) == []
    assert circles(folder_graph(found)) == [["ground/a.py", "ground/low/"]]
    assert set(folder_graph(found)) == {"ground/__init__.py", "ground/a.py", "ground/low/", "top/__init__.py"}


def test_three_in_a_row_are_one_circle_and_two_circles_are_two():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert circles(graph) == [["a", "b", "c"], ["d", "e"]]


def test_upward_and_sideways_imports_are_named():
    layers = ({"low": ("x/low.py",)}, {"left": ("left/",), "right": ("right/",)}, {"high": ("x/",)})
    graph = {"x/low.py": {"left/a.py"}, "left/a.py": {"right/b.py", "left/c.py", "x/low.py"}, "left/c.py": set(),
             "right/b.py": set(), "x/y.py": {"x/low.py", "right/b.py"}, "z.py": {"x/y.py"}}  # fmt: skip
    assert layer_of("x/low.py", layers) == (0, "low") and layer_of("x/sub/y.py", layers) == (2, "high")
    assert upward(graph, layers) == [("left/a.py", "right/b.py"), ("x/low.py", "left/a.py")]
    assert unplaced(graph, layers) == ["z.py"]


def test_every_file_of_the_repository_has_a_layer():
    assert unplaced(import_graph(ROOT)) == []


def test_blocks_that_stand_twice_are_found_whatever_their_dress():
    dressed = ['"""Text."""', "import other", "def f():", '    """Text."""', "", "    # a remark"]
    dressed += [f"    {line}  # why" for line in BLOCK] + ["    return (", "        value_6", "    )"]
    found = repeated({"a.py": "\n".join(["first = 1", *BLOCK, "last = 2"]), "b.py": "\n".join(dressed)})
    assert [(block.lines, block.first, block.again) for block in found] == [(7, ("a.py", 2), ("b.py", 7))]
    assert str(found[0]) == "7 lines: a.py:2 = b.py:7"


def test_five_equal_lines_are_no_block_and_three_copies_are_two_repeats():
    assert repeated({"a.py": "\n".join([*BLOCK[:5], "a = 1"]), "b.py": "\n".join([*BLOCK[:5], "b = 1"])}) == []
    copies = "\n".join(["one = 1", *BLOCK[:6], "two = 2", *BLOCK[:6], "three = 3", *BLOCK[:6]])
    assert [(block.lines, block.again[1]) for block in repeated({"a.py": copies})] == [(6, 9), (6, 16)]
    steady = "\n".join(["f(1)"] * 17)  # a run of one line repeats itself without overlapping
    assert [block.lines for block in repeated({"a.py": steady})] == [6]


def test_only_code_counts_as_lines():
    text = 'import a\nfrom b import (\n    c,\n)\n"""Text\nover lines."""\nx = ["# no remark",  # one\n\n]\n'
    assert code_lines(text) == [(7, 'x = ["# no remark",')]


def test_functions_and_folders_are_counted(script, tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.setuptools.package-dir]\nhouse = 'ground'\n")
    (tmp_path / "ground" / "low").mkdir(parents=True)
    body = "\n".join(["def long():", *["    x = 1"] * 49, "    def inner():", "        return x", "", "y = 2"])
    (tmp_path / "ground" / "a.py").write_text(body)
    (tmp_path / "ground" / "low" / "b.py").write_text("def short():\n    pass\n" + "z = 1\n" * 400)
    assert script.folders(tmp_path) == {
        "ground/": {"files": 2, "lines": 456}, "ground/ (root)": {"files": 1, "lines": 54},
        "ground/low/": {"files": 1, "lines": 402},
    }  # fmt: skip
    found = script.shape(tmp_path, ["ground"])
    assert found["longest_functions"][0] == (52, "ground/a.py: long") and found["functions"] == 3
    assert found["functions_over_40_lines"] == 1 and found["modules_over_400_lines"] == {"ground/low/b.py": 402}


def test_a_missing_mypy_is_said(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "find_spec", lambda name: None)
    assert script.type_errors(tmp_path) == "mypy is not installed"


def test_type_errors_are_counted_by_folder_and_code(script):
    output = """clavilux/audio/io.py:3: error: Function is missing a type annotation  [no-untyped-def]
clavilux/audio/io.py:3: note: Use "-> None" if function does not return a value: [x]
clavilux/model.py:17: error: Incompatible types: "a: b"  [assignment]
clavilux/audio/codecs/dac.py:9: error: Argument 1 to "f" has incompatible type  [no-untyped-def]
"""
    found = script.count_errors(output, {"clavilux": "engine", "clavilux.audio": "audio"})
    assert found == {
        "errors": 3, "files": 3, "by_folder": {"audio": 2, "engine": 1},
        "by_code": {"no-untyped-def": 2, "assignment": 1},
    }  # fmt: skip
