"""Hypothesis: new examples at every run by hand, the same ones at every run of CI. Ctrl-C reaches the processes of tests."""

import os
import signal

from hypothesis import settings

# no deadline: a busy machine is slow, not wrong
settings.register_profile("local", deadline=None)
settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# a shell ignores Ctrl-C for what it starts in the background, and every process that tests start would inherit that
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
