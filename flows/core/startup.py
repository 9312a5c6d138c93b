"""What holds in every process that imports the project: its `flows` is the only one, and no proxy stands before
addresses of this machine. flows.core.errors, which all others import, sees to it that this comes first."""

from __future__ import annotations

from pathlib import Path

import flows
from flows.core.proxies import bypass_proxies

_OWN = Path(__file__).resolve().parents[1]


def refuse_other_package() -> None:
    """Refuse to go on where Python mixes this package with another folder of the same name.

    Raises:
        ImportError: with both folders.
    """
    if flows.__file__ is not None and Path(flows.__file__).resolve().parent == _OWN:
        return
    others = [folder for folder in map(str, flows.__path__) if Path(folder).resolve() != _OWN]
    raise ImportError(
        f"two packages are named `flows`: {', '.join(others)} stands before Taxi Flows at {_OWN}. Rename that folder, "
        "or start Python from a folder where it is not on sys.path.",
        name="flows",
        path=others[0] if others else None,
    )


refuse_other_package()
bypass_proxies()
