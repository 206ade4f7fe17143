"""Policy files: read, written, found.

`load_policy` checks all that it reads and runs no code; `save_policy` never destroys the file that was there;
`find_policy` also knows the policies that come with the package. The records check themselves (`records`);
the bytes are described in `format`.
"""

import stat
from importlib import resources
from pathlib import Path

from l0_surgical.policy.format import decode, encode
from l0_surgical.policy.records import Policy, PolicyFileError
from l0_surgical.system.files import atomic_write

SUFFIX = ".safetensors"


def load_policy(path: str | Path) -> Policy:
    """Reads a policy file.

    Raises:
        PolicyFileError: it is missing, unreadable, damaged in any bit, from another program or version, or
        inconsistent.
    """
    path = Path(path)
    mode = _mode(path)
    if not stat.S_ISREG(mode):
        kind = "is a folder, not a policy file" if stat.S_ISDIR(mode) else "is no file"
        raise PolicyFileError(
            f"{path} {kind}; give the path of a {SUFFIX} policy or one of: "
            f"{', '.join(shipped_policies()) or 'none shipped'}"
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PolicyFileError(f"{path} cannot be read: {error.strerror}; check its permissions") from error
    try:
        return decode(data)
    except PolicyFileError as error:
        raise PolicyFileError(f"{path}: {error}") from error


def save_policy(policy: Policy, path: str | Path) -> None:
    """Writes a policy file; equal policies give equal bytes.

    Raises:
        PolicyFileError: provenance or evaluation cannot be written as JSON.
        BadInputError: the folder cannot be created or written.
        L0SurgicalError: the disk failed or is full; a former file of that name is intact.
    """
    data = encode(policy)
    with atomic_write(path) as file:
        file.write(data)


def policy_bytes(policy: Policy) -> bytes:
    """The content of the policy's file: to compare policies, to measure them, or to hand one to another
    process."""
    return encode(policy)


def policy_from_bytes(data: bytes) -> Policy:
    """The inverse of `policy_bytes`, with the checks of `load_policy`."""
    return decode(data)


def shipped_policies() -> list[str]:
    """The names of the policies that come with the package, sorted."""
    folder = resources.files("l0_surgical.policy") / "shipped"
    if not folder.is_dir():
        return []
    return sorted(
        entry.name.removesuffix(SUFFIX) for entry in folder.iterdir() if entry.name.endswith(SUFFIX)
    )


def find_policy(name_or_path: str | Path) -> Path:
    """The file of a shipped policy, or the path itself if there is such a file; an existing file wins over a
    shipped name.

    Raises:
        PolicyFileError: neither; the message lists the shipped names.
    """
    path = Path(name_or_path)
    mode = _mode(path)
    if stat.S_ISREG(mode):
        return path
    names = shipped_policies()
    if str(name_or_path) in names:
        return Path(str(resources.files("l0_surgical.policy") / "shipped" / f"{name_or_path}{SUFFIX}"))
    kind = "a folder" if stat.S_ISDIR(mode) else "neither a file nor a shipped policy"
    raise PolicyFileError(
        f"{name_or_path} is {kind}; give the path of a {SUFFIX} policy or one of: "
        f"{', '.join(names) or 'none shipped'}"
    )


def _mode(path: Path) -> int:
    """What kind of file it is, as `stat` says; 0 where there is none, also of a name that is too long or may
    not be looked up."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0
