"""Where the DDS tests meet: a domain and names of this test process, so that tests that run at the same time
do not hear each other."""

import os

DOMAIN = 100 + os.getpid() % 100
ARM = f"PSM{os.getpid()}"
ELSEWHERE = 100 + (DOMAIN + 50) % 100
"""Another domain."""
