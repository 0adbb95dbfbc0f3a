"""Seals on cached code: what was changed since this user's process wrote it is not executed, but made anew.

The cache holds machine code and pickles, and unpickling can run anything. Its folder is the user's own and closed to others; on
top of that every file carries an HMAC-SHA256 of its name and content under a secret that lies apart (`seal.key` beside the
versions' folders, mode 0600). That keeps out files from elsewhere: a folder restored or shared without its key, a disk error, a
program that writes where it should not. It does not keep out somebody who can read the user's own files.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import pickle
import secrets
import stat
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache, IndexDataCacheFile

_SIZE = 32
_NAME = "seal.key"


def read_key(root: Path) -> bytes:
    """The secret of a cache, made on first use.

    Raises
    ------
    OSError
        It cannot be read or written, or others could have.
    """
    path = root / _NAME
    if not os.path.lexists(path):
        # whole or not at all, and whichever process is first
        own = root / f".{_NAME}-{os.getpid()}-{secrets.token_hex(4)}"
        with os.fdopen(os.open(own, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_SIZE))
        try:
            os.link(own, path)
        except FileExistsError:
            pass
        except OSError:  # no hard links here
            if not os.path.lexists(path):
                os.replace(own, path)
        own.unlink(missing_ok=True)
    info = os.lstat(path)
    if not stat.S_ISREG(info.st_mode):
        raise PermissionError(f"{path} is no ordinary file")
    if hasattr(os, "getuid"):
        if info.st_uid != os.getuid():
            raise PermissionError(f"{path} is owned by user {info.st_uid}, not by you")
        if info.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise PermissionError(f"{path} is open to others; delete it")
    key = path.read_bytes()
    if len(key) != _SIZE:
        raise PermissionError(f"{path} holds no key; delete it")
    return key


def seal(key: bytes, name: str, content: bytes) -> bytes:
    """The seal of a file: 32 bytes."""
    return hmac.new(key, name.encode() + b"\0" + content, hashlib.sha256).digest()


def close(key: bytes, name: str, content: bytes) -> bytes:
    """What is written: the seal, then the content."""
    return seal(key, name, content) + content


def open_sealed(key: bytes, name: str, data: bytes) -> bytes | None:
    """The content; None where the seal does not fit."""
    content = data[_SIZE:]
    return content if hmac.compare_digest(seal(key, name, content), data[:_SIZE]) else None


class SealedFile(IndexDataCacheFile):  # type: ignore[misc]
    """Numba's index and data files of one function, sealed. A broken seal reads as a file that is not there."""

    key = b""

    def _load_index(self) -> dict[Any, str]:
        content = self._read(self._index_path)
        if content is None:
            return {}
        version, stamp, overloads = pickle.loads(content)
        return dict(overloads) if (version, stamp) == (self._version, self._source_stamp) else {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        self._save(self._index_path, self._dump((self._version, self._source_stamp, overloads)))

    def _load_data(self, name: str) -> Any:
        content = self._read(self._data_path(name))
        if content is None:
            raise FileNotFoundError(name)
        return pickle.loads(content)

    def _save_data(self, name: str, data: Any) -> None:
        self._save(self._data_path(name), self._dump(data))

    def _read(self, path: str) -> bytes | None:
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return None
        return open_sealed(self.key, os.path.basename(path), data)

    def _save(self, path: str, content: bytes) -> None:
        with self._open_for_write(path) as file:
            file.write(close(self.key, os.path.basename(path), content))


class SealedCache(FunctionCache):  # type: ignore[misc]
    """Numba's cache of one function, over `SealedFile`."""

    def __init__(self, py_func: Any, key: bytes) -> None:
        super().__init__(py_func)
        plain = self._cache_file
        self._cache_file = SealedFile(plain._cache_path, self._impl.filename_base, plain._source_stamp)
        self._cache_file.key = key
