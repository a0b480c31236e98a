"""Parquet files with a column of encoded images, as Hugging Face data sets are stored (needs pyarrow)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cardigan.data.decode import Unreadable, header, quiet_pillow
from cardigan.data.sources import LARGEST_FILE, Example, Source, Split, escapes, natural, printable
from cardigan.errors import DataError

IMAGE_COLUMNS = ("image", "images", "img", "jpg", "png", "picture", "bytes")
LABEL_COLUMNS = ("label", "labels", "class", "y", "fine_label")


def from_parquet(path: Path, split: Split | None = None) -> Source:
    """One parquet file. The image column is a struct of bytes and path, or bytes; a label column gives the classes.

    Raises:
        DataError: pyarrow is missing, the file is damaged, or has no column of images.
    """
    pyarrow = _pyarrow(path)
    damaged = (pyarrow.ArrowException, OSError, ValueError)
    with _whole(path, damaged):
        file = pyarrow.parquet.ParquetFile(path)
    name, schema = printable(path.name), file.schema_arrow
    image = _image_column(schema)
    if image is None:
        raise DataError(
            f"{path} has no column of images (struct of bytes and path, or bytes), only {', '.join(schema.names)}"
        )
    label = next((c for c in LABEL_COLUMNS if c in schema.names), None)
    names = _class_names(schema.metadata or {}, label)
    count = file.metadata.num_rows
    file.close()

    def rows() -> Iterator[tuple[Any, Any]]:
        with _whole(path, damaged), pyarrow.parquet.ParquetFile(path) as opened:
            for batch in opened.iter_batches(batch_size=32, columns=[image] + ([label] if label else [])):
                images = batch.column(image).to_pylist()
                yield from zip(images, batch.column(label).to_pylist() if label else [None] * len(images), strict=True)

    def name_of(value: Any) -> str | None:
        if value is None:
            return None
        return names[value] if isinstance(value, int) and 0 <= value < len(names) else str(value)

    def examples() -> Iterator[Example]:
        for i, (value, found) in enumerate(rows()):
            yield Example(f"{name}[{i}]", _loader(value, path.parent), split, name_of(found))

    with _whole(path, damaged):
        classes = names or _distinct(path, label, pyarrow, name_of) if label else ()
    return Source(name, "parquet", count, examples, tuple(classes))


def images_in(path: Path) -> int:
    """How many images a parquet file holds: its rows if the first is one, else 0.

    Raises:
        DataError: pyarrow is missing, or the file is damaged.
    """
    pyarrow = _pyarrow(path)
    with (
        _whole(path, (pyarrow.ArrowException, OSError, ValueError)),
        pyarrow.parquet.ParquetFile(path) as file,
    ):
        column = _image_column(file.schema_arrow)
        if column is None or not file.metadata.num_rows:
            return 0
        first = next(file.iter_batches(batch_size=1, columns=[column])).column(0)[0].as_py()
        count = file.metadata.num_rows
    try:
        with quiet_pillow():
            header(_loader(first, path.parent)())
    except Unreadable:
        return 0
    return count


def _pyarrow(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(f"{path} needs pyarrow: pip install 'cardigan[parquet]'") from error
    return pyarrow


@contextmanager
def _whole(path: Path, damaged: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn what pyarrow raises on damaged files into one line."""
    try:
        yield
    except damaged as error:
        raise DataError(f"{path} is a damaged parquet file: get it again") from error


def _image_column(schema: Any) -> str | None:
    def holds_images(kind: Any) -> bool:
        text = str(kind)
        return text in ("binary", "large_binary") or (text.startswith("struct<") and "bytes: " in text)

    candidates = [name for name in schema.names if holds_images(schema.field(name).type)]
    return next((name for name in (*IMAGE_COLUMNS, *candidates) if name in candidates), None)


def _class_names(metadata: dict[bytes, bytes], label: str | None) -> tuple[str, ...]:
    """The names of a ClassLabel column, which Hugging Face keeps in the schema's metadata."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features[label]["names"])
    except (KeyError, TypeError, ValueError):
        return ()


def _distinct(path: Path, label: str, pyarrow: Any, name_of: Callable[[Any], str | None]) -> tuple[str, ...]:
    values = pyarrow.parquet.read_table(path, columns=[label]).column(label).unique().to_pylist()
    if any(value is None or isinstance(value, float | list | dict) for value in values):
        return ()
    return tuple(sorted((str(name_of(v)) for v in values), key=natural))


def _loader(value: Any, folder: Path) -> Callable[[], bytes]:
    data, beside = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)

    def load() -> bytes:
        if data is not None:
            return data
        if not beside:
            raise Unreadable("neither bytes nor a path")
        if escapes(beside):
            raise Unreadable("its path leads out of the folder")
        try:
            file = folder / beside
            if file.stat().st_size > LARGEST_FILE:
                raise Unreadable("larger than 1 GiB")
            return file.read_bytes()
        except OSError as error:
            raise Unreadable(f"{beside}: {error.strerror}") from error

    return load
