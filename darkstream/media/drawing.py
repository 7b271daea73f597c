"""What an encode that draws into pictures reads: made ready in a directory of its own."""

from __future__ import annotations

import os
import shutil
import stat
from importlib.util import find_spec
from pathlib import Path
from xml.sax.saxutils import escape

from blake3 import blake3

from darkstream.errors import NoSuchPath, ToolMissing
from darkstream.media.command.drawing import FONTS, FONTS_CONFIG, TEXT_FILE, Drawing
from darkstream.media.command.sidecars import sidecar_command, track_name
from darkstream.media.decoding import Decoder
from darkstream.media.process import FfmpegProgress, run
from darkstream.media.texts import without_programs
from darkstream.model.plan import EncodePlan, Overlay, Sidecar

_STYLES = ("Regular", "Bold", "Italic", "BoldItalic")
_MOST_IMAGE = 16 << 20
_IMAGES = {b"\x89PNG\r\n": "png_pipe", b"\xff\xd8\xff": "jpeg_pipe", b"RIFF": "webp_pipe"}
_FONT_FILES = (".ttf", ".otf", ".ttc")


def prepare_drawing(
    plan: EncodePlan, source: bytes, directory: bytes, decoder: Decoder, fonts: Path | None
) -> Drawing | None:
    """Write fonts, text and the track to burn into a directory, made anew; None: nothing is drawn.

    `fonts`: further ones. Fonts of the source are never used: they are a stranger's programs.
    Raises ToolMissing, ProcessFailed, ProcessTimeout, and what the token was given.
    """
    if plan.burn is None and plan.overlay is None:
        return None
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(os.path.join(directory, FONTS.encode()))
    _gather_fonts(Path(os.fsdecode(directory)), fonts)
    if plan.overlay is not None and plan.overlay.text is not None:
        with open(os.path.join(directory, TEXT_FILE.encode()), "w", encoding="utf-8") as file:
            file.write(plan.overlay.text)
    if plan.burn is None or plan.burn.track is None:
        return Drawing(directory)
    track = plan.burn.track
    wish = Sidecar(suffix="", source_index=plan.burn.source_index, track=track, format=track)
    argv = sidecar_command(
        plan,
        [wish],
        source,
        directory,
        program=os.fsencode(decoder.capabilities.ffmpeg),
        max_pixels=decoder.max_pixels,
    )
    run(
        decoder.sandbox.wrap(argv, read=[source], write=[directory]),
        limits=decoder.limits,
        cancel=decoder.cancel,
        on_progress=_ignore,
    )
    name = track_name(0, wish).decode()
    if track == "ass":
        path = Path(os.fsdecode(directory)) / name
        path.write_text(without_programs(path.read_text("utf-8", "replace")), "utf-8")
    return Drawing(directory, name)


def note_content(overlay: Overlay) -> Overlay:
    """The same mark with the blake3 of its image. Raises NoSuchPath where it cannot be used."""
    if overlay.image is None:
        return overlay
    try:
        data = _read_image(overlay.image)
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise NoSuchPath(f"cannot read the mark of the preset, {overlay.image}: {said}") from error
    demuxer = next((name for magic, name in _IMAGES.items() if data.startswith(magic)), None)
    if demuxer is None or (demuxer == "webp_pipe" and data[8:12] != b"WEBP"):
        raise NoSuchPath(
            f"the mark of the preset, {overlay.image}, is no PNG, JPEG or WebP of at most "
            f"{_MOST_IMAGE >> 20} MiB"
        )
    return overlay.model_copy(update={"content": blake3(data).hexdigest(), "demuxer": demuxer})


def _read_image(path: str) -> bytes:
    """What is in a regular file that is not too large; nothing of any other."""
    # Not blocking: a FIFO without a writer would hold us here for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_IMAGE:
            return b""
        return file.read(_MOST_IMAGE)


def _gather_fonts(directory: Path, fonts: Path | None) -> None:
    inside = directory / FONTS
    further = [] if fonts is None else sorted(fonts.iterdir())
    found = [font for font in further if font.suffix.lower() in _FONT_FILES]
    for font in (*_bundled_fonts(), *found):
        shutil.copyfile(font, inside / font.name)
    text = f"<fontconfig><dir>{escape(str(inside))}</dir></fontconfig>"
    (directory / FONTS_CONFIG).write_text(text, "utf-8", "surrogateescape")


def _bundled_fonts() -> list[Path]:
    spec = find_spec("font_roboto")
    if spec is None or not spec.submodule_search_locations:
        raise ToolMissing("the Python package font-roboto is missing: install darkstream again")
    directory = Path(spec.submodule_search_locations[0]) / "files"
    return [directory / f"Roboto-{style}.ttf" for style in _STYLES]


def _ignore(_: FfmpegProgress) -> None:
    """Progress that nobody asked for is still read: it shows that ffmpeg is alive."""
