"""No test reads or writes the developer's own platform: its home is an empty folder here.

Set when this module is imported, before any test's: some ask for the rooms while they are imported.
"""

import atexit
import os
import shutil
import tempfile

HOME = tempfile.mkdtemp(prefix="autobot-home-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ["AUTOBOT_HOME"] = HOME
