"""Arrays as the bytes of an .npz file that says what it belongs to and that it is whole."""

import hashlib
import io
import zipfile
from collections.abc import Mapping

import numpy as np

IDENTITY, DIGEST = "__identity__", "__sha256__"
PLAIN = "biufcUS"  # kinds of numbers and texts that need no pickle


class DamagedFile(ValueError):
    """Bytes that are not, or no longer, what was packed; the message says what is wrong."""


def pack_arrays(arrays: Mapping[str, np.ndarray], identity: str) -> bytes:
    """The arrays as an .npz file, with `identity` and a SHA-256 of everything in it.

    **Errors:** `ValueError` for arrays of objects or of types that NumPy does not know by itself.
    """
    plain = {name: np.asarray(values) for name, values in arrays.items()}
    for name, values in plain.items():
        if values.dtype.kind not in PLAIN:
            raise ValueError(f"`arrays` has `{name}` of type {values.dtype}: give numbers or texts")
        if name in (IDENTITY, DIGEST):
            raise ValueError(f"`arrays` has `{name}`: choose another name")
    buffer = io.BytesIO()
    marks = {IDENTITY: np.array(identity), DIGEST: np.array(_digest(plain, identity))}
    # Zip members one by one, since `np.savez` cannot take a name such as "file".
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, values in (marks | plain).items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)
    return buffer.getvalue()


def unpack_arrays(content: bytes) -> tuple[dict[str, np.ndarray], str]:
    """What `pack_arrays` was given.

    **Errors:** `DamagedFile` if the file is no such file, or one bit of it has changed.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        identity, digest = str(arrays.pop(IDENTITY)), str(arrays.pop(DIGEST))
    except (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile) as error:
        # NumPy takes what it does not know for a pickle, and tells how to load that all the same.
        reason = (
            "it holds no plain arrays" if "allow_pickle" in str(error) else f"it cannot be read ({error})"
        )
        raise DamagedFile(reason) from error
    if _digest(arrays, identity) != digest:
        raise DamagedFile("it fails its checksum")
    return arrays, identity


def _digest(arrays: Mapping[str, np.ndarray], identity: str) -> str:
    digest = hashlib.sha256(identity.encode())
    for name, values in sorted(arrays.items()):
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
