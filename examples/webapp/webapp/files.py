"""Files on the server: kept from an upload, sent in ranges."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header

from resumable.files.durable import sync_folder
from webapp.access import problem

RANGE = re.compile(r"bytes=(\d*)-(\d*)")
PIECE = 1 << 18


def keep(file: TemporaryUploadedFile, path: Path) -> None:
    """Give the file, which is on disk already, its lasting name. Its first name goes with the request."""
    file.flush()
    os.fsync(file.fileno())
    os.link(file.temporary_file_path(), path)
    sync_folder(path.parent)


def ranged(request: HttpRequest, path: Path, name: str) -> HttpResponseBase:
    """The file, or the one range of it that is asked for. Several at once are answered with the whole, as one may."""
    size, tag = os.path.getsize(path), f'"{path.stem}"'  # an export's file never changes
    first, last, code = 0, size - 1, 200
    asked = RANGE.fullmatch(request.headers.get("Range", ""))
    if asked and any(asked.groups()) and request.headers.get("If-Range", tag) == tag:
        first, last = _bounds(asked[1], asked[2], size)
        code = 206
        if first > last:
            return problem(416, "The file ends before that.", **{"Content-Range": f"bytes */{size}"})
    response = StreamingHttpResponse(_pieces(path, first, last + 1 - first), status=code, content_type="text/csv")
    response["Content-Length"] = last + 1 - first
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name) or ""
    response["Accept-Ranges"], response["ETag"] = "bytes", tag
    if code == 206:
        response["Content-Range"] = f"bytes {first}-{last}/{size}"
    return response


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    """The first and the last byte; `-500` are the last 500."""
    if not first:
        return max(0, size - int(last)), size - 1
    end = int(last) if last else size - 1
    return int(first), min(end, size - 1)


def _pieces(path: Path, offset: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while length > 0 and (piece := file.read(min(PIECE, length))):
            length -= len(piece)
            yield piece
