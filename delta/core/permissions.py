"""Give new files and folders the permissions of the folder that they lie in.

safetensors makes files for their owner alone, and a user's umask would close a shared folder.
"""

import contextlib
import os
import stat
from pathlib import Path

READ_AND_WRITE = 0o666


def inherit(path: Path) -> None:
    """Give a new file or folder the permissions of its parent folder.

    Leaves it alone on a file system without permissions, and where it is somebody else's.
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

    Missing folders above it follow the user's umask. Raises FileExistsError where it, or one above
    it, is a file.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        inherit(folder)
