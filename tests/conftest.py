"""Hypothesis: new examples at every run by hand, the same ones at every run of CI."""

import os

from hypothesis import settings

# no deadline: a busy machine is slow, not wrong
settings.register_profile("local", deadline=None)
settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")
