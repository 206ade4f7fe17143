"""Files that are written: their permissions, and what is never replaced by one."""

import os
import stat
from pathlib import Path

import pytest

from l0_surgical.commands.main import main
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.files import atomic_write, file_to_write


def write(path: Path, content: bytes = b"new") -> None:
    with atomic_write(path) as file:
        file.write(content)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_file_has_the_permissions_of_any_new_file(tmp_path: Path, mask: int) -> None:
    former = os.umask(mask)
    try:
        write(tmp_path / "ours")
        (tmp_path / "any").write_bytes(b"new")
    finally:
        os.umask(former)
    ours, other = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "any"))
    assert ours == other == 0o666 & ~mask
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["any", "ours"]


def test_a_pipe_or_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(os.devnull)
    for path in (pipe, link):
        with pytest.raises(BadInputError, match=f"{path} is a device or a pipe; give the name of a file"):
            write(path)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert link.is_symlink()


def test_what_cannot_be_written_is_known_before(tmp_path: Path) -> None:
    assert file_to_write(tmp_path / "new" / "x") == tmp_path / "new" / "x"
    assert (tmp_path / "new").is_dir()
    with pytest.raises(BadInputError, match="is a folder; give the name of a file"):
        file_to_write(tmp_path / "new")
    with pytest.raises(BadInputError, match="cannot create the folder /proc/x"):
        file_to_write("/proc/x/y")


def test_compress_refuses_its_output_before_it_evaluates_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="compress is of the training side")
    assert main(["compress", "needle-reach-l0-compressed", "--rank", "3", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"l0-surgical: {tmp_path} is a folder; give --out the name of a file\n"
