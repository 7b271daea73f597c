"""Encrypted packages through the flow: keys from the provider, and nothing clear is published."""

from __future__ import annotations

import base64
import logging
import os
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
from fixtures_flows import Field
from fixtures_planning import fast

from darkstream.media.binary import find_ffmpeg
from darkstream.media.tracks import read_tracks
from darkstream.media.validator import check_presentation
from darkstream.model.job import Job
from darkstream.model.preset import PackageRule, Preset, Rung
from darkstream.planning.presets import load_preset
from darkstream.settings import MediaSettings
from darkstream.stages import measure


def preset(**changes: object) -> Preset:
    values: dict[str, object] = {
        "kind": "abr",
        "ladder": (Rung(height=96, max_bit_rate=300_000),),
        "segment_seconds": Fraction(1),
        "encryption": "cenc",
        "key_uri": "https://keys.example/{key_id}.key",
        "license_uri": "https://keys.example/license",
    }
    rule = PackageRule.model_validate(values | changes)
    return fast(load_preset("abr").model_copy(update={"package": rule}))


def files_below(*directories: Path) -> list[Path]:
    return [path for one in directories for path in one.rglob("*") if path.is_file()]


def package_of(field: Field, job: Job) -> Path:
    assert job.status.value == "done", job.reason
    (path,) = {path.parent for path in field.destination.rglob("master.m3u8")}
    return path


def test_a_package_is_encrypted_with_the_providers_key_which_is_nowhere_else(
    field: Field,
    flow_clips: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "keys").mkdir()
    monkeypatch.setenv("DARKSTREAM_KEYS__DIRECTORY", str(tmp_path / "keys"))
    with caplog.at_level(logging.DEBUG):
        job = field.convert(field.add(flow_clips / "old.avi"), preset())
    directory = package_of(field, job)
    assert check_presentation(os.fsencode(directory), "master.m3u8", "manifest.mpd") == ()
    (kept,) = (tmp_path / "keys").iterdir()
    assert f"https://keys.example/{kept.name}" in (directory / "video-0.m3u8").read_text()
    secret = kept.read_bytes()
    whole = tmp_path / "whole.mp4"
    video = read_tracks(os.fsencode(directory))[0]
    names = [video.init, *(segment.name for segment in video.segments)]
    whole.write_bytes(b"".join((directory / str(name)).read_bytes() for name in names))
    ffmpeg = str(find_ffmpeg(MediaSettings()))
    argv = [ffmpeg, "-v", "error", "-decryption_key", secret.hex(), "-i", str(whole)]
    done = subprocess.run([*argv, "-f", "null", "-"], capture_output=True, timeout=60, check=True)
    assert done.stderr == b""
    forms = [secret, secret.hex().encode(), base64.b64encode(secret).rstrip(b"=")]
    places = files_below(field.home, field.destination, tmp_path / "results")
    assert len(places) > 10
    assert [path for path in places if any(form in path.read_bytes() for form in forms)] == []
    told = f"{caplog.text}{job.model_dump_json()}{field.client.job_log(job.id)}".encode()
    assert not [form for form in forms if form in told]


def test_the_same_content_again_is_published_under_the_same_key(
    field: Field, flow_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").mkdir()
    monkeypatch.setenv("DARKSTREAM_KEYS__DIRECTORY", str(tmp_path / "keys"))
    wish = preset(encryption="aes-128", dash=False, license_uri=None)
    first = field.convert(field.add(flow_clips / "old.avi"), wish)
    again = field.convert(field.add(flow_clips / "old.avi", "copy.avi"), wish)
    assert (first.status.value, again.status.value) == ("done", "done")
    assert again.reused == first.id
    assert len(list((tmp_path / "keys").iterdir())) == 1


def test_nothing_is_published_again_under_a_key_that_cannot_be_had(
    field: Field, flow_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    monkeypatch.setenv("DARKSTREAM_KEYS__DIRECTORY", str(keys))
    first = field.convert(field.add(flow_clips / "old.avi"), preset())
    package = package_of(field, first)
    (key,) = keys.iterdir()
    secret = key.read_bytes()
    key.unlink()
    lost = field.convert(field.add(flow_clips / "old.avi", "copy.avi"), preset())
    assert lost.status.value == "failed"
    assert f"the key {key.name}, under which this content was published, is gone" in lost.reason
    assert list(keys.iterdir()) == []
    assert package_of(field, first) == package
    monkeypatch.delenv("DARKSTREAM_KEYS__DIRECTORY")
    field.client.retry_job(lost.id)
    field.work_off()
    assert "set DARKSTREAM_KEYS__DIRECTORY" in field.client.job(lost.id).reason
    monkeypatch.setenv("DARKSTREAM_KEYS__DIRECTORY", str(keys))
    key.write_bytes(secret)
    key.chmod(0o600)
    field.client.retry_job(lost.id)
    field.work_off()
    found = field.client.job(lost.id)
    assert (found.status.value, found.reused) == ("done", first.id)
    for published in field.destination.iterdir():
        shutil.rmtree(published)
    key.unlink()
    anew = field.convert(field.add(flow_clips / "old.avi", "third.avi"), preset())
    assert (anew.status.value, anew.reused) == ("done", None)
    assert key.read_bytes() != secret


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "set DARKSTREAM_KEYS__DIRECTORY"),
        ({"SERVER": "http://127.0.0.1:1/"}, "DARKSTREAM_KEYS__SERVER cannot be reached"),
        ({"DIRECTORY": "converted/keys"}, "inside the destination"),
        ({"DIRECTORY": "unmounted/keys"}, "is not there: mount its disk"),
    ],
)
def test_without_a_key_nothing_is_encoded_or_published(
    field: Field,
    flow_clips: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    told: str,
) -> None:
    for name, value in settings.items():
        place = value if "://" in value else str(tmp_path / value)
        monkeypatch.setenv(f"DARKSTREAM_KEYS__{name}", place)
    job = field.convert(field.add(flow_clips / "old.avi"), preset())
    assert job.status.value == "failed"
    assert told in job.reason
    steps = [run.name.split()[0] for run in field.task_runs(job.flow_run or "")]
    assert steps[-1] == "encode", "and that before ffmpeg was started"
    assert field.published() == []
    assert field.leftovers() == []


def test_a_key_that_is_gone_when_it_is_needed_keeps_the_verified_work(
    field: Field, flow_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").mkdir()
    monkeypatch.setenv("DARKSTREAM_KEYS__DIRECTORY", str(tmp_path / "keys"))
    wish = preset()
    real = measure.verify

    def spoil(*given: object) -> object:
        done = real(*given)  # type: ignore[arg-type]
        next((tmp_path / "keys").iterdir()).write_bytes(b"")
        return done

    monkeypatch.setattr(measure, "verify", spoil)
    source = field.add(flow_clips / "old.avi")
    job = field.convert(source, wish)
    assert job.status.value == "failed"
    assert "less than 16 bytes" in job.reason
    assert field.published() == []
    assert [path.name for path in files_below(field.home / "work")].count("verified.json") == 1
    monkeypatch.setattr(measure, "verify", real)
    next((tmp_path / "keys").iterdir()).write_bytes(bytes(16))
    field.client.retry_job(job.id)
    field.work_off()
    package_of(field, field.client.job(job.id))
    assert field.leftovers() == []
