"""Give new files and folders the permissions of their parent folder.

safetensors makes files that only their owner may read, and a user's umask would close a shared
folder to others.
"""

import contextlib
import os
import stat
from pathlib import Path

READ_AND_WRITE = 0o666


def inherit(path: Path) -> None:
    """Give a new file or folder the permissions of its parent folder.

    Does nothing on a file system without permissions, or where `path` is another user's.
    """
    mode = stat.S_IMODE(path.parent.stat().st_mode)
    with contextlib.suppress(PermissionError, NotImplementedError):
        path.chmod(mode if path.is_dir() else mode & READ_AND_WRITE)


def inherit_below(folder: Path) -> None:
    """Call `inherit` for everything below `folder`."""
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            inherit(Path(parent, name))


def make_folder(folder: Path) -> None:
    """Make `folder` with its parent's permissions, unless it exists.

    Missing parents follow the user's umask. Raises FileExistsError where it or a parent is a file.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        inherit(folder)
