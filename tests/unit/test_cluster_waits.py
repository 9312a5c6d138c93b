"""The tests of the cluster don't take nothing for found."""

from __future__ import annotations

import pytest

from tests.cluster.kube import wait_until


@pytest.mark.parametrize("nothing", [None, False, [], {}, "", 0.0])
def test_a_wait_goes_on_while_nothing_is_found(nothing: object) -> None:
    looks = iter([nothing, nothing, ["found"]])
    assert wait_until(lambda: next(looks), "it", 60, every_seconds=0) == ["found"]
    with pytest.raises(AssertionError, match="waited 0 s in vain for it"):
        wait_until(lambda: nothing, "it", 0, every_seconds=0)
