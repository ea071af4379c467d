"""What one test has compiled or trained, for others: in this process and beside it."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# Processes that run tests beside each other inherit it from the first.
_NAME = "TRANSFORMER_JAX_TESTS_SHARED"
if _NAME not in os.environ:
    os.environ[_NAME] = tempfile.mkdtemp(prefix="tests_shared_")
    atexit.register(shutil.rmtree, os.environ[_NAME], ignore_errors=True)
SHARED = Path(os.environ[_NAME])
