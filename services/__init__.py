"""The processes: a server for each capability, and the worker."""

import os

# The threads of one inference wait for each other again and again. Where they share the cores with decoding
# or with other processes, waiting by spinning burns the time that the others need (`benchmarks.embedding`
# beside other busy processes shows it, with OMP_WAIT_POLICY=ACTIVE and without). The library reads this when
# it is loaded, so it is set before anything imports torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
