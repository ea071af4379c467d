"""The version of the package, which checkpoints and settings that it writes carry."""

import time

VERSION = "0.1.0"
STARTED = time.time()
"""When the package was imported: source that is newer is not that of this process."""
