"""A cached file that was changed since it was written is not executed: the kernel is made anew, and right."""

from __future__ import annotations

import os
import pickle
import stat
from pathlib import Path

import pytest
from test_cache import EXPECTED, result, start

from fastscale.kernels import sealing
from fastscale.kernels.compiling import sources_key


class Payload:
    """Unpickling it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    result(start(folder))
    return folder


def files(folder: Path, suffix: str) -> list[Path]:
    found = sorted((folder / sources_key()).glob(f"*{suffix}"))
    assert found
    return found


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("keep_seal", [False, True])
def test_a_pickle_put_in_place_is_not_unpickled(filled: Path, tmp_path: Path, suffix: str, keep_seal: bool) -> None:
    mark = tmp_path / "executed"
    for path in files(filled, suffix):
        path.write_bytes((path.read_bytes()[:32] if keep_seal else b"") + pickle.dumps(Payload(mark)) * 2)
    found = result(start(filled))
    assert not mark.exists()
    assert not found["warnings"]
    # and what was made anew is found by the next process
    again = result(start(filled))
    assert again["value"] == found["value"]


def test_a_files_content_under_another_name_is_not_taken(filled: Path) -> None:
    first, *others = files(filled, ".nbc")
    for path in others:
        path.write_bytes(first.read_bytes())
    assert result(start(filled))["value"] == pytest.approx(EXPECTED, rel=1e-13)
    assert all(path.read_bytes() != first.read_bytes() for path in others)  # made anew


def test_a_changed_module_is_generated_anew(filled: Path, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    for path in files(filled, ".py"):
        path.write_text(f"import os\nos.mkdir({str(mark)!r})\n" + path.read_text())
        cached = path.parent / "__pycache__"
        assert not cached.exists()  # no bytecode lies about that could be changed instead
    found = result(start(filled))
    assert not mark.exists()
    assert found["sympy"]  # generated
    assert "os.mkdir" not in files(filled, ".py")[0].read_text()
    assert not result(start(filled))["sympy"]


def test_single_bytes(filled: Path) -> None:
    for suffix in (".nbi", ".nbc", ".py"):
        for path in files(filled, suffix):
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(bytes(data))
    assert result(start(filled))["value"] == pytest.approx(EXPECTED, rel=1e-13)
    key = sealing.read_key(filled)
    for suffix in (".nbi", ".nbc"):
        assert all(sealing.open_sealed(key, path.name, path.read_bytes()) for path in files(filled, suffix))


def test_without_its_key_a_cache_is_worth_nothing(filled: Path) -> None:
    (filled / "seal.key").unlink()
    assert result(start(filled))["sympy"]
    assert not result(start(filled))["sympy"]


def test_folder_and_key_are_closed_to_others(filled: Path) -> None:
    assert stat.S_IMODE((filled / sources_key()).stat().st_mode) == 0o700
    assert stat.S_IMODE((filled / "seal.key").stat().st_mode) == 0o600


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    key = sealing.read_key(tmp_path)
    assert sealing.read_key(tmp_path) == key
    (tmp_path / "seal.key").chmod(0o644)
    with pytest.raises(PermissionError, match="open to others"):
        sealing.read_key(tmp_path)
    found = result(start(tmp_path))
    assert any("compiled anew in every process" in text for text in found["warnings"])
    (tmp_path / "seal.key").unlink()
    (tmp_path / "seal.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        sealing.read_key(tmp_path)


def test_seals_fit_one_name_one_content_one_key() -> None:
    data = sealing.close(b"k" * 32, "a.nbc", b"content")
    assert sealing.open_sealed(b"k" * 32, "a.nbc", data) == b"content"
    assert sealing.open_sealed(b"k" * 32, "b.nbc", data) is None
    assert sealing.open_sealed(b"j" * 32, "a.nbc", data) is None
    assert sealing.open_sealed(b"k" * 32, "a.nbc", data + b"x") is None
    assert sealing.open_sealed(b"k" * 32, "a.nbc", b"") is None
