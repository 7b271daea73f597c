"""The walk of one file through planning and media, as the worker's stages do it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from darkstream.errors import SourceError
from darkstream.media.chunks import Joint, encode_chunk, join_chunks
from darkstream.media.command.soundtrack import soundtrack_name
from darkstream.media.decoding import Decoder
from darkstream.media.encode import encode, encode_rest
from darkstream.media.package import package
from darkstream.media.probe import Prober
from darkstream.media.process import Limits
from darkstream.media.quality import search
from darkstream.media.sandbox import Sandbox
from darkstream.media.soundtrack import encode_soundtrack
from darkstream.media.verify import inspect, verify
from darkstream.model.capabilities import Capabilities, Encoder
from darkstream.model.encoded import (
    Assembled,
    Encoded,
    Presentation,
    Soundtrack,
    Verification,
)
from darkstream.model.key import SecretKey
from darkstream.model.media import AudioStream, Finding, MediaInfo, VideoStream
from darkstream.model.plan import EncodePlan, Skip, VideoCopy, VideoEncode
from darkstream.model.preset import Preset
from darkstream.planning import damage_note, make_plan, merge_findings, validate
from darkstream.planning.chunks import cut, wants_chunks, whole_because
from darkstream.planning.hardware import family_of
from darkstream.planning.presets import load_preset
from darkstream.planning.quality import is_open
from darkstream.settings import MediaSettings

LIMITS = Limits(no_progress_s=60, wall_s=240)
# Not H.264's fastest, which has no pictures that are decoded before their time.
_SPEEDS = {"h264": "superfast", "hevc": "ultrafast", "av1": "12", "vp9": "8", "vvc": "faster"}


@dataclass
class Walked:
    """How one file ended."""

    decision: str
    status: str
    reason: str
    findings: tuple[Finding, ...] = ()
    media: MediaInfo | None = None
    plan: EncodePlan | None = None
    encoded: Encoded | None = None
    verification: Verification | None = None
    presentation: Presentation | None = None
    replanned: int = field(default=0)


@dataclass
class Walker:
    """Takes files through probe, validate, plan, encode, verify and package."""

    capabilities: Capabilities
    prober: Prober
    sandbox: Sandbox

    def walk(
        self,
        source: Path | bytes,
        preset: Preset | str,
        work: Path,
        *,
        key: SecretKey | None = None,
        speed: str | None = None,
    ) -> Walked:
        """One file from source to presentation, at the encoders' fastest or at `speed`."""
        path = source if isinstance(source, bytes) else os.fsencode(source)
        wish = fast(load_preset(preset) if isinstance(preset, str) else preset, speed)
        work.mkdir(parents=True, exist_ok=True)
        media: MediaInfo | None = None
        try:
            media = self.prober.probe(path)
            return self._plan(path, media, wish, work, (), key)
        except SourceError as error:
            return Walked("reject", "rejected", str(error), media=media)

    def _plan(
        self,
        path: bytes,
        media: MediaInfo,
        preset: Preset,
        work: Path,
        seen: tuple[Finding, ...],
        key: SecretKey | None = None,
    ) -> Walked:
        media = media.model_copy(update={"findings": media.findings + seen})
        report = validate(media)
        decision = make_plan(media, preset, self.capabilities, report)
        if isinstance(decision, EncodePlan):
            return self._encode(path, media, preset, decision, work, key)
        if isinstance(decision, Skip) and not seen:
            found = inspect(
                media, path, capabilities=self.capabilities, sandbox=self.sandbox, limits=LIMITS
            )
            if found:
                return self._plan(path, media, preset, work, found)
        status = "skipped" if isinstance(decision, Skip) else "rejected"
        return Walked(decision.decision, status, decision.reason, decision.findings, media)

    def _encode(
        self,
        path: bytes,
        media: MediaInfo,
        preset: Preset,
        plan: EncodePlan,
        work: Path,
        key: SecretKey | None,
    ) -> Walked:
        if is_open(plan):
            decoder = Decoder(self.capabilities, self.sandbox, LIMITS)
            plan = search(plan, path, os.fsencode(work), decoder)
        plan, video = self._in_chunks(path, media, preset, plan, work)
        if video is None:
            encoded = encode(
                plan,
                path,
                os.fsencode(work),
                capabilities=self.capabilities,
                sandbox=self.sandbox,
                limits=LIMITS,
                prober=self.prober,
            )
        else:
            encoded = encode_rest(
                plan,
                video,
                path,
                os.fsencode(work),
                capabilities=self.capabilities,
                sandbox=self.sandbox,
                limits=LIMITS,
            )
        if encoded.outgrown:
            return Walked(plan.decision, "skipped", "not smaller", plan.findings, media, plan)
        verification = verify(
            plan,
            encoded,
            capabilities=self.capabilities,
            sandbox=self.sandbox,
            prober=self.prober,
            limits=LIMITS,
        )
        if verification.damaged_source:
            walked = self._plan(path, media, preset, work / "again", verification.findings)
            walked.replanned += 1
            return walked
        findings = merge_findings(plan.findings, encoded.findings, verification.findings)
        reason = "; ".join(filter(None, (plan.reason, damage_note(findings))))
        return Walked(
            plan.decision,
            "done",
            reason,
            findings,
            media,
            plan,
            encoded,
            verification,
            package(plan, encoded, key),
        )

    def _in_chunks(
        self, path: bytes, media: MediaInfo, preset: Preset, plan: EncodePlan, work: Path
    ) -> tuple[EncodePlan, Assembled | None]:
        """The plan with the chunks of its film, and these encoded and joined, where it has some."""
        if not wants_chunks(plan, media, preset) or whole_because(plan, media) is not None:
            return plan, None
        index = plan.renditions[0].source_index
        plan = cut(plan, media, preset, self.prober.list_times(path, index))
        if plan.chunking is None:
            return plan, None
        decoder = Decoder(self.capabilities, self.sandbox, LIMITS)
        joints = []
        for chunk in plan.chunking.chunks:
            directory = os.fsencode(work / f"chunk-{chunk.index}")
            made = encode_chunk(plan, chunk, path, directory, decoder, lambda _: None)
            files = tuple(os.path.join(directory, file.name.encode()) for file in made.files)
            joints.append(Joint(made, files))
        joined = os.fsencode(work / "joined")
        video = join_chunks(plan, joints, joined, decoder, encoded=len(joints))
        return plan, video.model_copy(update={"soundtrack": self._sound(path, plan, work)})

    def _sound(self, path: bytes, plan: EncodePlan, work: Path) -> Soundtrack | None:
        """The encoded sound of a plan, where it can be encoded alone."""
        if soundtrack_name(plan) is None:
            return None
        directory = os.fsencode(work / "sound")
        decoder = Decoder(self.capabilities, self.sandbox, LIMITS)
        made = encode_soundtrack(plan, path, directory, decoder)
        if made is None:
            return None
        return Soundtrack(made=made, path=os.path.join(directory, made.files[0].name.encode()))


def fast(preset: Preset, speed: str | None = None) -> Preset:
    """The same wish at the encoders' fastest, or at that speed."""
    if preset.video is None:
        return preset
    chosen = speed or _SPEEDS.get(preset.video.codec)
    video = preset.video.model_copy(update={"speed": chosen})
    return preset.model_copy(update={"video": video})


def encode_of(plan: EncodePlan | None, index: int = 0) -> VideoEncode:
    """The rendition of a plan, which must be an encode."""
    assert plan is not None
    rendition = plan.renditions[index]
    assert isinstance(rendition, VideoEncode)
    return rendition


def copy_of(plan: EncodePlan | None, index: int = 0) -> VideoCopy:
    """The rendition of a plan, which must be a copy."""
    assert plan is not None
    rendition = plan.renditions[index]
    assert isinstance(rendition, VideoCopy)
    return rendition


@pytest.fixture(scope="session")
def walker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walker]:
    """A walker with this machine's ffmpeg."""
    from darkstream.media.capabilities import detect_capabilities

    settings = MediaSettings()
    found = detect_capabilities(settings, tmp_path_factory.mktemp("capabilities"))
    with Prober(settings) as prober:
        yield Walker(found, prober, Sandbox.detect("auto"))


_DEVICES = {"qsv": "/dev/dri/renderD128", "vaapi": "/dev/dri/renderD128", "vulkan": "0"}


def proved(*names: str, filters: tuple[str, ...] | None = None) -> Capabilities:
    """Capabilities of a made-up node: the usual software encoders and those named."""
    codecs = {
        "libx264": "h264",
        "libx265": "hevc",
        "libsvtav1": "av1",
        "libvpx-vp9": "vp9",
        "libvvenc": "vvc",
        "prores_ks": "prores",
        "ffv1": "ffv1",
        "aac": "aac",
        "libopus": "opus",
        "ac3": "ac3",
        "eac3": "eac3",
        "flac": "flac",
        "libmp3lame": "mp3",
    }
    dolby = ("dolby_vision",)
    able = {"libx265": (*dolby, "hdr10plus"), "libsvtav1": dolby}
    usual = [
        Encoder(name=name, codec=codec, dynamic_hdr=able.get(name, ()))
        for name, codec in codecs.items()
    ]
    more = [
        Encoder(
            name=name,
            codec=name.partition("_")[0],
            hardware=True,
            family=family_of(name),
            device=_DEVICES.get(family_of(name)),
            bits=(8, 10),
            rungs=True,
            hdr10=True,
        )
        for name in names
    ]
    return Capabilities(
        ffmpeg="/opt/ffmpeg",
        version="9.0",
        build="9.0-test",
        encoders=(*usual, *more),
        decoders=("libvpx", "libvpx-vp9"),
        filters=("bwdif", "premultiply", "tonemap", "zscale") if filters is None else filters,
        muxers=(),
        sandbox="rlimits",
    )


def video_stream(**changes: object) -> VideoStream:
    """An ordinary H.264 stream, but for what is given."""
    values: dict[str, object] = {
        "index": 0,
        "codec": "h264",
        "profile": "High",
        "width": 1280,
        "height": 720,
        "sar": 1,
        "pix_fmt": "yuv420p",
        "bit_depth": 8,
        "chroma": "420",
        "average_rate": "25",
        "time_base": "1/12800",
        "duration": "10",
        "frames": 250,
        "field_order": "progressive",
    }
    return VideoStream.model_validate(values | changes)


def audio_stream(**changes: object) -> AudioStream:
    """An ordinary stereo AAC track, but for what is given."""
    values: dict[str, object] = {"index": 1, "codec": "aac", "sample_rate": 48000, "channels": 2}
    return AudioStream.model_validate(values | changes)


def media_info(
    video: VideoStream | None = None, audio: AudioStream | None = None, **changes: object
) -> MediaInfo:
    """An MP4 of these streams, but for what is given."""
    values: dict[str, object] = {
        "formats": ("mov", "mp4"),
        "container": "mp4",
        "size_bytes": 1_000_000,
        "duration": "10",
        "faststart": True,
        "video": () if video is None else (video,),
        "audio": () if audio is None else (audio,),
        "prober": "test",
    }
    return MediaInfo.model_validate(values | changes)


@dataclass
class Clips:
    """Small clips made by this machine's ffmpeg, each once a session."""

    ffmpeg: str
    directory: Path
    made: dict[str, str] = field(default_factory=dict)

    def make(self, name: str, *options: str) -> Path:
        """A file of that name from ffmpeg's options; of each name there is one."""
        path = self.directory / name
        told = re.sub(r"/pytest-\d+/[^/]+/", "/", " ".join(options))
        assert self.made.setdefault(name, told) == told, f"two tests make a {name}"
        if not path.exists():
            argv = [self.ffmpeg, "-v", "error", "-nostdin", "-y", *options, f"file:{path}"]
            subprocess.run(argv, check=True, capture_output=True, timeout=120)
        return path

    def plain(self, name: str = "plain.mp4", *more: str, seconds: float = 1) -> Path:
        """Moving test bars and a tone, H.264 and AAC."""
        return self.make(
            name,
            *("-f", "lavfi", "-i", f"testsrc2=s=320x240:r=25:d={seconds}"),
            *("-f", "lavfi", "-i", f"sine=440:r=48000:d={seconds}"),
            *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "10"),
            *("-c:a", "aac", "-ac", "2", *more),
        )


@pytest.fixture(scope="session")
def clips(walker: Walker, tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """A maker of clips."""
    return Clips(walker.capabilities.ffmpeg, tmp_path_factory.mktemp("clips"))


def shared_media() -> Path:
    """The directory of real files; skips where it is not there."""
    default = Path(__file__).parents[2] / "shared" / "media"
    directory = Path(os.environ.get("DARKSTREAM_TEST_MEDIA", default))
    if not (directory / "MANIFEST.json").exists():
        pytest.skip(f"no test media in {directory}; name them in DARKSTREAM_TEST_MEDIA")
    return directory


def damage(source: Path, target: Path, *, share: float = 0.5, count: int = 400) -> Path:
    """A copy whose media data are overwritten in one place."""
    data = bytearray(source.read_bytes())
    begin = data.index(b"mdat") + int((len(data) - data.index(b"mdat")) * share)
    data[begin : begin + count] = bytes((7 * n) % 256 for n in range(count))
    target.write_bytes(data)
    return target
