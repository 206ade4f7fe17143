"""The number of the DDS domain, which separates groups of participants on one network."""

import os
import re

from l0_surgical.system.errors import BadInputError

HIGHEST_DOMAIN = 232  # above it the port numbers of DDSI would exceed 65535


def domain_id(domain: int | None = None) -> int:
    """`domain`, by default ROS_DOMAIN_ID, or 0 where that is not set.

    Raises:
        BadInputError: it is not a whole number from 0 to 232.
    """
    source = "the DDS domain"
    if domain is None:
        source, text = "ROS_DOMAIN_ID", os.environ.get("ROS_DOMAIN_ID", "").strip() or "0"
        if not re.fullmatch(r"-?\d+", text):
            raise BadInputError(f"{source} is {text!r}; it must be a whole number from 0 to {HIGHEST_DOMAIN}")
        domain = int(text)
    if not 0 <= domain <= HIGHEST_DOMAIN:
        raise BadInputError(f"{source} is {domain}; it must be from 0 to {HIGHEST_DOMAIN}")
    return domain
