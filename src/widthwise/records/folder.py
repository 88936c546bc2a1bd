"""A folder of files, on a disk or at a URL; whatever is written there is seen whole or not at all."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from widthwise.atomic import PARTIAL, partial_path, replace_file
from widthwise.errors import InputError

# What becomes of a URL in a `Path`; a name that ends with a colon may still be that of a folder.
ONE_SLASH = re.compile(r"([a-zA-Z][a-zA-Z0-9+.:-]+:)/")


@dataclass(frozen=True)
class LocalFolder:
    """A folder on a disk of this machine, or on one that several machines share."""

    path: Path

    @property
    def name(self) -> str:
        """How the user knows it: a path or a URL."""
        return str(self.path)

    @property
    def local(self) -> Path | None:
        """Its path, if it is on a disk."""
        return self.path

    def beside(self, prefix: str, suffix: str) -> "LocalFolder":
        """The folder next to this one whose name is this one's with something before and after."""
        return LocalFolder(self.path.with_name(f"{prefix}{self.path.name}{suffix}"))

    def below(self, name: str) -> "LocalFolder":
        """A folder in this one."""
        return LocalFolder(self.path / name)

    def exists(self) -> bool:
        """Whether there is anything of this name, a file too."""
        return self.path.exists()

    def has(self, file: str) -> bool:
        """Whether there is such a file."""
        return (self.path / file).is_file()

    def read(self, file: str) -> bytes | None:
        """The content of a file, None if there is no such file."""
        try:
            return (self.path / file).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, file: str, content: bytes) -> None:
        """Write or replace a file, at once and whole."""
        (self.path / file).parent.mkdir(parents=True, exist_ok=True)
        replace_file(self.path / file, content)

    def remove(self, file: str) -> None:
        """Remove a file, if it is there."""
        (self.path / file).unlink(missing_ok=True)

    def remove_if_empty(self) -> None:
        """Remove the folder itself, if nothing is in it but what killed processes left half written."""
        for abandoned in self.path.glob(f".*{PARTIAL}"):
            abandoned.unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()

    def files(self) -> list[str]:
        """Names of the files directly in it, sorted, without what is being written."""
        if not self.path.is_dir():
            return []
        found = [entry.name for entry in self.path.iterdir() if not entry.name.endswith(PARTIAL)]
        return sorted(name for name in found if (self.path / name).is_file())

    @contextmanager
    def creation(self, last: str) -> Iterator[Path]:
        """A context with an empty folder on a disk, which is put here whole when it ends."""
        temporary = partial_path(self.path)
        try:
            yield temporary
            temporary.rename(self.path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def zarr(self, *, read_only: bool) -> Path:
        """What zarr opens it by."""
        return self.path

    def sweep(self) -> None:
        """Remove temporary files that killed processes left; only where nobody else writes."""
        for abandoned in self.path.parent.glob(f".{self.path.name}.*{PARTIAL}"):
            shutil.rmtree(abandoned, ignore_errors=True)
        for abandoned in self.path.rglob(f"*{PARTIAL}"):
            abandoned.unlink(missing_ok=True)


@dataclass(frozen=True)
class RemoteFolder:
    """A folder at a URL, where one file is written whole or not at all, and nothing can be locked."""

    url: str

    @property
    def name(self) -> str:
        """How the user knows it."""
        return self.url

    @property
    def local(self) -> None:
        """None: it is on no disk of this machine."""
        return None

    def beside(self, prefix: str, suffix: str) -> "RemoteFolder":
        """The folder next to this one whose name is this one's with something before and after."""
        above, slash, name = self.url.rpartition("/")
        return RemoteFolder(f"{above}{slash}{prefix}{name}{suffix}")

    def below(self, name: str) -> "RemoteFolder":
        """A folder in this one."""
        return RemoteFolder(f"{self.url}/{name}")

    def exists(self) -> bool:
        """A folder at a URL exists once it holds a zarr.json."""
        return self.has("zarr.json")

    def has(self, file: str) -> bool:
        """Whether there is such a file."""
        system, root = self._open()
        with self._reached():
            system.invalidate_cache()
            return bool(system.isfile(f"{root}/{file}"))

    def read(self, file: str) -> bytes | None:
        """The content of a file, None if there is no such file."""
        system, root = self._open()
        with self._reached(), suppress(FileNotFoundError):
            return system.cat_file(f"{root}/{file}")
        return None

    def write(self, file: str, content: bytes) -> None:
        """Write or replace a file, in one piece."""
        system, root = self._open()
        target = f"{root}/{file}"
        system.makedirs(target.rpartition("/")[0], exist_ok=True)
        system.pipe_file(target, content)

    def remove(self, file: str) -> None:
        """Remove a file, if it is there."""
        system, root = self._open()
        with suppress(FileNotFoundError):
            system.rm_file(f"{root}/{file}")

    def remove_if_empty(self) -> None:
        """Object stores have no empty folders; others may."""
        system, root = self._open()
        with suppress(OSError, NotImplementedError):
            system.rmdir(root)

    def files(self) -> list[str]:
        """Names of the files directly in it, sorted."""
        system, root = self._open()
        found = []
        with self._reached(), suppress(FileNotFoundError, NotADirectoryError):
            system.invalidate_cache()
            found = system.ls(root, detail=True)
        return sorted(entry["name"].rpartition("/")[2] for entry in found if entry["type"] == "file")

    @contextmanager
    def creation(self, last: str) -> Iterator[Path]:
        """A context with an empty folder on a disk, whose files are copied here when it ends, `last` last."""
        with tempfile.TemporaryDirectory() as temporary:
            made = Path(temporary) / "made"
            yield made
            names = [str(file.relative_to(made).as_posix()) for file in made.rglob("*") if file.is_file()]
            for name in sorted(names, key=lambda name: name == last):
                self.write(name, (made / name).read_bytes())

    def zarr(self, *, read_only: bool) -> Any:
        """What zarr opens it by: a store of its own."""
        from zarr.storage import FsspecStore

        self._open()  # which says what is missing
        return FsspecStore.from_url(self.url, read_only=read_only)

    def _open(self) -> tuple[Any, str]:
        """The file system and the folder's path in it."""
        try:
            from fsspec.core import url_to_fs

            with self._reached():
                system, root = url_to_fs(self.url)
        except InputError:
            raise
        except (ImportError, ValueError) as error:
            raise InputError(
                f"{self.url} cannot be used: {error}; give a path, or install what that kind of URL needs "
                "(`fsspec`, and for example `s3fs` for s3://)"
            ) from error
        return system, root.rstrip("/")

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """A place that does not answer, or to us, is the user's to mend."""
        try:
            yield
        except OSError as error:
            lines = str(error).splitlines() or [type(error).__name__]
            what = f"{self.url} cannot be reached: {lines[0]}"
            raise InputError(f"{what}; check the URL and your access") from error


Folder = LocalFolder | RemoteFolder


def open_folder(location: str | Path | LocalFolder | RemoteFolder) -> Folder:
    """The folder at a path, or at a URL that fsspec knows, such as s3://bucket/run; `file://` is a path.

    **Errors:** `InputError` for what looks like a URL with a slash too few, or is no path at all.

    >>> open_folder("runs/a.zarr").beside(".", ".lock").name
    'runs/.a.zarr.lock'
    """
    if isinstance(location, LocalFolder | RemoteFolder):
        return location
    if not isinstance(location, str | Path):
        raise InputError(f"{type(location).__name__} names no place: give a path or a URL, as text or Path")
    text = str(location)
    if "://" not in text:
        if (slip := ONE_SLASH.match(text)) and not Path(slip[1]).exists():
            raise InputError(f"{text}: a URL begins with {slip[1]}// and is given as text, not as a Path")
        return LocalFolder(Path(text))
    parts = urlsplit(text)
    if parts.scheme == "file":
        return LocalFolder(Path(unquote(parts.netloc + parts.path)))
    return RemoteFolder(text.rstrip("/"))
