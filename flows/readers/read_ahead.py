"""Work on the next items of a stream while its consumer works on this one."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def read_ahead(items: Generator[T], depth: int = 2) -> Generator[T]:
    """Give the items of a generator, up to `depth` of them made ahead in one background thread.

    An error in the generator is raised where its item would have come. When the consumer stops early, the item under
    way is finished, the generator is closed and the thread ends.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as worker:
        pending = deque(worker.submit(next, items, None) for _ in range(depth))
        try:
            while (item := pending.popleft().result()) is not None:
                pending.append(worker.submit(next, items, None))
                yield item
        finally:
            for future in pending:
                future.cancel()
            worker.submit(items.close).result()
