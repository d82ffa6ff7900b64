"""Recognise pickles without running them: they may hold code, so no checkpoint has one."""

from __future__ import annotations

import io
import pickletools
import zipfile
from pathlib import Path, PurePosixPath

from fx_assets.storage.errors import CorruptArtifact

SUFFIXES = frozenset({".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib"})
_PROTO = b"\x80"
_OPCODES_TO_TRY = 4


def refuse_pickle(name: str, data: bytes, path: Path) -> None:
    """Raise CorruptArtifact, naming `path`, when the file's name or its bytes are those of a pickle."""
    if SUFFIXES & {suffix.lower() for suffix in PurePosixPath(name).suffixes}:
        raise CorruptArtifact(f"{path}: files of this kind may run code when read; save safetensors, ONNX or JSON")
    if looks_pickled(data):
        raise CorruptArtifact(f"{path} is a pickle, whatever its name: save safetensors, ONNX or JSON")


def looks_pickled(data: bytes) -> bool:
    """Whether the bytes open like a pickle of protocol 2 or later, or are a zip with one inside (torch)."""
    if data[:4] == b"PK\x03\x04":
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                return any(PurePosixPath(member).suffix in SUFFIXES for member in archive.namelist())
        except zipfile.BadZipFile:
            return False
    if data[:1] != _PROTO:
        return False
    # A safetensors file opens with a length, which may well be 0x0280: the opcodes after it must parse too.
    opcodes = pickletools.genops(data)
    try:
        for _ in range(_OPCODES_TO_TRY):
            if next(opcodes)[0].name == "STOP":
                break
    except (ValueError, StopIteration):
        return False
    return True
