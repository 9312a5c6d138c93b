"""The folder of Prefect's embedded server: its database and settings."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from flows.core.errors import SettingsError

DATABASE = "prefect.db"
_NEEDED_BYTES = 8 << 20
"""A new database and its journal take 5 MB."""


def prefect_home() -> Path:
    """What PREFECT_HOME names, by default `~/.prefect`.

    Raises:
        SettingsError: nobody knows the home directory.
    """
    try:
        Path.home()  # importing Prefect asks for it, whatever PREFECT_HOME says
        return Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser().absolute()
    except RuntimeError as error:
        raise SettingsError(
            "HOME is not set, and this user has no home directory: Prefect needs one. Set HOME to a folder that may be "
            "written."
        ) from error


def check_prefect_home() -> Path:
    """Try what the embedded server does there: create the folder, write a few megabytes, change the database.

    Raises:
        SettingsError: it can't be used; the message names the path.
    """
    home = prefect_home()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as probe:
            probe.write(bytes(_NEEDED_BYTES))
            probe.flush()
        for file in home.glob(f"{DATABASE}*"):
            with file.open("r+b"):
                pass
    except OSError as error:
        named = "PREFECT_HOME is" if "PREFECT_HOME" in os.environ else "PREFECT_HOME is not set, which means"
        reason = "it is not a folder" if isinstance(error, FileExistsError) else error.strerror
        name = Path(str(error.filename)).name
        at = f" ({name})" if name.startswith(DATABASE) else ""
        raise SettingsError(
            f"{named} {str(home)!r}: Prefect's embedded server can't use it: {reason}{at}. Set PREFECT_HOME to "
            "a folder that may be written and has some room, or PREFECT_API_URL to a running server."
        ) from error
    return home
