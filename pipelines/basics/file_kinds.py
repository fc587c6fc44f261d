"""Names the kind of a file by its first bytes, for errors about files of the wrong kind."""

from __future__ import annotations

__all__ = ["kind_of"]

# The first bytes of common files that are no PNG, JPEG, GIF, BMP or WebP.
_KINDS = {
    b"II*\0": "a TIFF file",
    b"MM\0*": "a TIFF file",
    b"%PDF": "a PDF file",
    b"PK": "a ZIP file, or a document",
    b"\0\0\1\0": "an icon",
    b"8BPS": "a Photoshop file",
    b"\xff\x0a": "a JPEG XL file",
    b"\0\0\0\x0cJXL ": "a JPEG XL file",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 file",
    b"<svg": "an SVG drawing",
}
# The brands of ISO base media files, at byte 8.
_BRANDS = {b"avif": "an AVIF file", b"heic": "a HEIC file", b"heix": "a HEIC file",
           b"mif1": "a HEIF file"}  # fmt: skip


def kind_of(content: bytes) -> str:
    """Return the kind of a file, with an article.

    Args:
        content: the file, or its first kilobyte.

    Example:
        >>> from pipelines.basics.file_kinds import kind_of
        >>> kind_of(b"%PDF-1.7"), kind_of(b"Dear Sir"), kind_of(b"")
        ('a PDF file', 'a text', 'an empty file')
    """
    if not content:
        return "an empty file"
    if content[4:8] == b"ftyp":
        return _BRANDS.get(content[8:12], "a video")
    for begin, kind in _KINDS.items():
        if content.startswith(begin):
            return kind
    start = content[:1000]
    return "a text" if not {*start} & {*range(9), *range(14, 32)} else "a file of another kind"
