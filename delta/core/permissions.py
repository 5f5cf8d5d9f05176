"""Who may read and write new files: those who may read and write the folder that they lie in.

safetensors writes files for their owner alone, and a user's umask would close a shared folder.
"""

import contextlib
import os
import stat
from pathlib import Path

READ_AND_WRITE = 0o666


def inherit(path: Path) -> None:
    """Give a new file or folder the permissions of its parent folder.

    A file system that has none, or a file of somebody else, is left as it is.
    """
    mode = stat.S_IMODE(path.parent.stat().st_mode)
    with contextlib.suppress(PermissionError, NotImplementedError):
        path.chmod(mode if path.is_dir() else mode & READ_AND_WRITE)


def inherit_below(folder: Path) -> None:
    """Do so for all that lies below `folder`."""
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            inherit(Path(parent, name))


def make_folder(folder: Path) -> None:
    """Make `folder` with its parent's permissions; one that is there stays as it is.

    Folders above it that are missing are made as the user's umask says. FileExistsError where it,
    or one above it, is a file.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        inherit(folder)
