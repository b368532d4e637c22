"""What scripts begin with: this checkout is `clavilux` without being installed, and what is drawn has no mark.

Import it before `clavilux`: the folders beside engine/ become its subpackages, as pyproject.toml maps them, for a
machine that has torch and little else. Marks are not what a script measures or times unless it asks for them; commands
that it starts inherit that.
"""

import importlib.util
import os
import sys
from pathlib import Path

os.environ["CLAVILUX_MARK"] = "0"
ROOT = Path(__file__).resolve().parents[1]


def importable() -> None:
    """Let `import clavilux` find this checkout, also where another one is installed."""
    if "clavilux" in sys.modules:
        return
    places = [str(ROOT / "engine"), str(ROOT)]  # clavilux.kernels is not in engine/, so it is looked for in the root
    spec = importlib.util.spec_from_file_location(
        "clavilux", ROOT / "engine" / "__init__.py", submodule_search_locations=places
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["clavilux"] = module
    spec.loader.exec_module(module)


importable()
