"""`darkstream analyze`, without a server."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from fixtures_damage import damaged
from fixtures_planning import Clips

from darkstream.cli.main import main
from darkstream.library import walk
from darkstream.model.analysis import Analysis

Run = tuple[int, str, str]


class Shell:
    """Runs `darkstream analyze` as a shell would: exit code, stdout, stderr."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *args: str | os.PathLike[str] | bytes) -> Run:
        with pytest.raises(SystemExit) as ended:
            main(["analyze", *map(os.fsdecode, args)])
        said = self._capsys.readouterr()
        return int(str(ended.value.code)), said.out, said.err


@pytest.fixture
def analyze(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Shell:
    """The command, at a home without a server."""
    home = tmp_path_factory.getbasetemp() / "analyze-home"
    monkeypatch.setenv("DARKSTREAM_HOME", str(home))
    return Shell(capsys)


@pytest.fixture
def folder(clips: Clips, tmp_path: Path) -> Path:
    """A film with bars and two tracks, text with a film's name in a folder, a file of no kind."""
    film = clips.make(
        "film.mkv",
        *(
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=320x136:r=25:d=3,scroll=v=0.03,pad=320:240:0:52,setsar=4/3",
        ),
        *("-f", "lavfi", "-i", "sine=440:r=48000:d=3", "-map", "0", "-map", "1"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"),
        *("-level", "4.1", "-crf", "16"),
        *("-c:a", "aac", "-metadata:s:a:0", "language=deu", "-metadata", "title=Ein Film"),
    )
    shutil.copy(film, tmp_path / "film.mkv")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "text.mp4").write_text("This is no film at all.\n")
    (tmp_path / "notes.txt").write_text("nothing")
    return tmp_path


def test_a_folder_is_a_table_of_its_films(analyze: Shell, folder: Path) -> None:
    code, out, err = analyze(folder)
    assert (code, err) == (0, "")
    header, _, *rows = out.splitlines()
    assert header.split()[0] == "file"
    words = " ".join(" ".join(rows).split())
    assert "film.mkv 0:03.0" in words
    assert "H.264" in words
    assert "crop 320x136+0+52" in words
    assert "deu AAC mono" in words
    assert "below/text.mp4" in words
    assert "it is text, not a video" in words
    assert "notes.txt" not in out


def test_json_is_an_analysis_a_line(analyze: Shell, folder: Path) -> None:
    code, out, _ = analyze("--json", "--loudness", folder)
    assert code == 0
    film, text = (Analysis.model_validate_json(line) for line in out.splitlines())
    assert film.source == str(folder / "film.mkv")
    assert film.media is not None
    assert film.picture is not None
    assert film.picture.crop is not None
    assert film.picture.crop.height == 136
    assert film.loudness[0].integrated is not None
    assert film.bit_rate
    assert (text.status, text.reason) == ("rejected", "it is text, not a video")
    assert "source_b64" not in json.loads(out.splitlines()[0])


def test_plain_says_everything_a_line_each(analyze: Shell, folder: Path) -> None:
    code, out, _ = analyze("--plain", folder / "film.mkv")
    said = dict(line.split(":", 1) for line in out.splitlines())
    values = {name: value.strip() for name, value in said.items()}
    assert code == 0
    assert values["status"] == "done"
    assert values["title"] == "Ein Film"
    assert values["video"].endswith("@4.1")
    assert values["coded"] == "320x240, pixels 4:3"
    assert values["shown"] == "427x240"
    assert values["rate"] == "25 fps"
    assert values["fields"] == "declared progressive"
    assert values["crop"] == "320x136+0+52"
    assert values["scan"].startswith("measured progressive (")


def test_headers_alone_need_no_ffmpeg(
    analyze: Shell, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKSTREAM_MEDIA__FFMPEG", "/nowhere")
    code, out, _ = analyze("--headers", "--json", folder / "film.mkv")
    assert code == 0
    assert Analysis.model_validate_json(out).picture is None
    code, _, err = analyze(folder / "film.mkv")
    assert (code, err.startswith("Error: DARKSTREAM_MEDIA__FFMPEG names /nowhere")) == (1, True)


def test_a_name_that_is_no_text_is_told_exactly(analyze: Shell, folder: Path) -> None:
    path = os.path.join(os.fsencode(folder), b"\xff\x1b.mp4")
    shutil.copy(folder / "film.mkv", path)
    code, out, _ = analyze("--json", "--headers", path)
    found = Analysis.model_validate_json(out)
    assert code == 0
    assert found.source.endswith("\\xff\\x1b.mp4")
    assert found.source_b64 is not None


def test_what_cannot_be_read_ends_with_3_and_what_is_not_there_with_2(
    analyze: Shell, folder: Path
) -> None:
    os.symlink("nowhere", folder / "lost.mkv")
    code, out, _ = analyze("--json", folder / "lost.mkv")
    assert (code, json.loads(out)["status"]) == (3, "failed")
    code, _, err = analyze(folder / "absent.mkv")
    assert code == 2
    assert err == f"Error: {folder}/absent.mkv is not there\n"


def test_a_folder_that_cannot_be_read_keeps_no_other_from_being_analysed(
    analyze: Shell, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = walk.open_directory

    def refuse(top: int, path: bytes) -> int:
        if path == b"below":
            raise PermissionError(13, "Permission denied")
        return real(top, path)

    monkeypatch.setattr(walk, "open_directory", refuse)
    code, out, _ = analyze("--json", "--headers", folder)
    film, shut = (Analysis.model_validate_json(line) for line in out.splitlines())
    assert code == 3
    assert (shut.source, shut.status) == (str(folder / "below"), "failed")
    assert (film.source, film.status) == (str(folder / "film.mkv"), "done")


def test_a_level_looks_for_damage(analyze: Shell, clips: Clips) -> None:
    wrong = damaged(clips, "wrong duration", "mkv")
    assert wrong is not None
    code, out, _ = analyze("--json", wrong)
    assert (code, Analysis.model_validate_json(out).findings) == (0, ())
    code, out, _ = analyze("--json", "--level", "quick", wrong)
    found = Analysis.model_validate_json(out)
    assert (code, found.status, found.level) == (0, "done", "quick")
    assert [finding.code for finding in found.findings] == ["duration-wrong"]
    assert (found.rate, found.variable_rate) == (25, False)
    code, out, _ = analyze("--level", "full", damaged(clips, "truncated", "mkv") or "")
    assert code == 0
    assert "errors while it was decoded" in " ".join(out.split())


def test_contradicting_options_are_refused(analyze: Shell, folder: Path) -> None:
    assert analyze("--headers", "--loudness", folder)[0] == 2
    assert analyze("--headers", "--level", "quick", folder)[0] == 2
    assert analyze("--json", "--plain", folder)[0] == 2
