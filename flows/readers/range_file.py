"""A remote object as a file that can be read from anywhere."""

from __future__ import annotations

import io
import os

from flows.store.protocol import RemoteContent


class RangeFile(io.RawIOBase):
    """Reads ranges of a remote object; nothing is kept."""

    def __init__(self, content: RemoteContent) -> None:
        super().__init__()
        self._content, self._position = content, 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Choose where the next read begins."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._content.size_bytes}[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Read a range; all that follows for a negative size."""
        left = self._content.size_bytes - self._position
        length = left if size < 0 else min(size, left)
        if length <= 0:  # a corrupt footer points behind the end
            return b""
        found = self._content.read(self._position, length)
        self._position += len(found)
        return found
