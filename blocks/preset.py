"""The block `Preset`: what files should become."""

from __future__ import annotations

from prefect.blocks.core import Block
from pydantic import Field

from blocks.appearance import DOCUMENTATION, LOGO
from blocks.naming import name_of
from darkstream.model import preset as model
from darkstream.model.preset import (
    AudioRule,
    Container,
    Guards,
    PackageRule,
    SubtitleRule,
    VideoRule,
)


class Preset(Block):
    """What files should become: container, codecs, limits, packaging.

    Example:
        Convert a file by the preset of a block:
        ```python
        from blocks.preset import Preset

        preset = Preset.load("BLOCK_NAME").to_model()
        ```
    """

    _block_type_name = "DarkStream Preset"
    _block_type_slug = "darkstream-preset"
    _logo_url = LOGO
    _documentation_url = DOCUMENTATION

    summary: str = Field("", description="One line for people.")
    container: Container = Field("mp4", description="Container of the output file.")
    video: VideoRule | None = Field(VideoRule(), description="Video; none: it is dropped.")
    audio: AudioRule = Field(AudioRule(), description="Audio.")
    subtitles: SubtitleRule = Field(SubtitleRule(), description="Subtitles.")
    package: PackageRule = Field(PackageRule(), description="One file, or adaptive streaming.")
    guards: Guards = Field(Guards(), description="When a source is left as it is.")
    audio_only_container: Container = Field(
        "m4a", description="Container for sources that have no video."
    )
    output: str = Field(
        "{dir}/{stem}.{ext}",
        description="Name of the output: {dir} {stem} {ext} {preset} {job}.",
    )

    def to_model(self, name: str | None = None) -> model.Preset:
        """The preset; its name is that of the block unless given."""
        return model.Preset(
            name=name_of(self, name),
            description=self.summary,
            container=self.container,
            video=self.video,
            audio=self.audio,
            subtitles=self.subtitles,
            package=self.package,
            guards=self.guards,
            audio_only_container=self.audio_only_container,
            output=self.output,
        )
