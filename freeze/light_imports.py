"""PyInstaller runtime hook: keep out of the programs what their libraries import and never use.

Every boot starts the resumer, most of them to find nothing. Of the 130 ms that its imports take,
crc32c's question for its own version costs 53 (importlib.metadata brings email and zipfile), and
construct.debug's import of pdb 13.
"""

import sys
from types import ModuleType

metadata = ModuleType("importlib.metadata")
metadata.version = lambda _package: ""  # type: ignore[attr-defined]
sys.modules["importlib.metadata"] = metadata
sys.modules["pdb"] = ModuleType("pdb")
