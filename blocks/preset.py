"""The block `Preset`: what files should become."""

from __future__ import annotations

from typing import Self, cast

from prefect.blocks.core import Block
from pydantic import Field

from blocks.appearance import DOCUMENTATION, LOGO
from blocks.naming import name_of
from darkstream.errors import UsageError
from darkstream.model import preset as model
from darkstream.model.preset import (
    AudioRule,
    Container,
    Guards,
    OverlayRule,
    PackageRule,
    PictureRule,
    SubtitleRule,
    VideoRule,
)
from darkstream.model.survey import Level


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
    overlay: OverlayRule | None = Field(None, description="A mark on every picture.")
    pictures: PictureRule = Field(PictureRule(), description="Pictures beside the film.")
    package: PackageRule = Field(PackageRule(), description="One file, or adaptive streaming.")
    validation: Level | None = Field(
        None, description="How thoroughly sources are checked; none: as the worker's settings say."
    )
    guards: Guards = Field(Guards(), description="When a source is left as it is.")
    audio_only_container: Container | None = Field(
        None, description="Container for sources that have no video; none: as the codec asks."
    )
    output: str = Field(
        "{dir}/{stem}.{ext}",
        description="Name of the output: {dir} {stem} {ext} {preset} {job}.",
    )

    @classmethod
    def from_model(cls, preset: model.Preset) -> Self:
        """The form of a preset; its name is what the block is saved under."""
        fields = preset.model_dump(exclude={"name", "description"})
        return cls(summary=preset.description, **fields)

    def to_model(self, name: str | None = None) -> model.Preset:
        """The preset; its name is that of the block unless given."""
        return model.Preset(
            name=name_of(self, name),
            description=self.summary,
            container=self.container,
            video=self.video,
            audio=self.audio,
            subtitles=self.subtitles,
            overlay=self.overlay,
            pictures=self.pictures,
            package=self.package,
            validation=self.validation,
            guards=self.guards,
            audio_only_container=self.audio_only_container,
            output=self.output,
        )


def load_preset(name: str) -> model.Preset:
    """The preset in the block of that name; raises UsageError where there is none."""
    try:
        return cast(Preset, Preset.load(name)).to_model()
    except ValueError as error:
        raise UsageError(
            f"Prefect has no block {name!r} of the type 'DarkStream Preset': make one in its "
            "pages, under Blocks, or by 'darkstream preset export NAME --block BLOCK'"
        ) from error


def save_preset(preset: model.Preset, name: str) -> None:
    """Keep a preset in the block of that name, in place of what was there."""
    Preset.from_model(preset).save(name, overwrite=True)
