"""The flow `analyze`: what is found in files and folders, and what cannot be."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from fixtures_flows import Field
from fixtures_prefect import free_port

from darkstream.errors import Cancelled, ProcessKilled, ToolMissing
from darkstream.model.analyses import AnalysisRun, AnalysisWorker, StartAnalysis
from darkstream.model.analysis import Analysis
from darkstream.model.base import AnalysisId, NodeName
from darkstream.observe.cancel import CancelToken
from darkstream.settings import Settings
from darkstream.stages import analyses as stage
from darkstream.stages.analyse import analyse as real
from darkstream.stages.toolbox import Toolbox
from flows import analyse as flow
from flows.analyse import analyse


def _ask(field: Field, *paths: Path | str, **more: Any) -> AnalysisId:
    request = StartAnalysis.model_validate({"paths": tuple(map(str, paths)), **more})
    return field.client.start_analysis(request).id


def _analyse(field: Field, *paths: Path | str, **more: Any) -> tuple[AnalysisRun, list[Analysis]]:
    number = _ask(field, *paths, **more)
    state = analyse(analysis=number, return_state=True)
    assert state.is_completed(), state.message
    return field.client.analysis(number), list(field.client.analysis_results(number))


def test_a_folder_is_analysed_as_deep_as_was_asked(field: Field, flow_clips: Path) -> None:
    field.add(flow_clips / "fits.mp4", "films/b.mp4")
    field.add(flow_clips / "noise.mp4", "films/a.mp4")
    (field.library / "films" / "notes.txt").write_text("no film")
    run, found = _analyse(field, field.library, loudness=True, level="quick")
    assert (run.status, run.files, run.analysed, run.failed) == ("done", 2, 2, 0)
    noise, film = found
    assert (os.path.basename(noise.source), noise.status) == ("a.mp4", "rejected")
    assert film.source == str(field.library / "films" / "b.mp4")
    assert film.media is not None
    assert [stream.codec for stream in film.media.video] == ["h264"]
    assert film.picture is not None
    assert film.loudness[0].integrated is not None
    assert (film.level, film.rate) == ("quick", 25)
    _, (headers,) = _analyse(field, film.source, pictures=False)
    assert (headers.picture, headers.loudness, headers.level) == (None, (), "headers")


def test_prefects_page_shows_a_row_of_each_file(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[dict[str, str]] = []
    monkeypatch.setattr(
        flow, "create_markdown_artifact", lambda text, **more: shown.append(more | {"text": text})
    )
    monkeypatch.setattr(stage, "MOST_SHOWN", 2)
    for name in ("a|b.mp4", "c.mp4", "d.mp4"):
        field.add(flow_clips / "fits.mp4", name)
    (field.library / "c.mp4").write_bytes(b"no film")
    _analyse(field, field.library)
    (artifact,) = shown
    assert artifact["key"] == "darkstream-analysis"
    assert artifact["description"] == "3 files, 0 of them could not be read"
    _, _, first, second, *more = artifact["text"].splitlines()
    assert "a&#124;b.mp4 | H.264 128x96 | AAC mono | - |" in first
    assert "c.mp4 | - | - | " in second
    assert more == ["", "and 1 more"]


def test_what_is_not_there_or_cannot_be_read_is_a_result(field: Field, flow_clips: Path) -> None:
    film = field.add(flow_clips / "fits.mp4")
    (field.library / "lost.mkv").symlink_to("nowhere")
    run, found = _analyse(
        field, "/no/such/film.mkv", field.library / "lost.mkv", film / "below.mkv", film
    )
    assert (run.status, run.reason, run.analysed, run.failed) == ("done", "", 4, 3)
    assert [one.status for one in found] == ["failed", "failed", "failed", "done"]
    assert found[0].reason == "/no/such/film.mkv is gone"


def test_a_folder_that_goes_away_is_a_result(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = field.add(flow_clips / "fits.mp4")
    folder = field.library / "gone"
    known = os.path.isdir
    monkeypatch.setattr(os.path, "isdir", lambda path: path == os.fsencode(folder) or known(path))
    run, found = _analyse(field, folder, film)
    assert (run.analysed, run.failed) == (2, 1)
    assert found[0].source == str(folder)
    assert "is no directory here" in (found[0].reason or "")


def test_a_file_whose_tool_was_killed_keeps_no_other_from_being_analysed(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (field.add(flow_clips / "fits.mp4", f"{name}.mp4") for name in "ab")
    from darkstream.stages import analyse as each

    def measure(media: Any, source: bytes, decoder: Any) -> Any:
        if source == os.fsencode(first):
            raise ProcessKilled("killed", argv=(b"ffmpeg",), code=-9, stderr="")
        return measured(media, source, decoder)

    measured = each.measure_picture
    monkeypatch.setattr(each, "measure_picture", measure)
    run, found = _analyse(field, first, second)
    assert (run.status, run.failed) == ("done", 1)
    assert [(one.status, one.reason) for one in found] == [("failed", "killed"), ("done", None)]


def test_where_no_tool_is_there_it_fails_with_the_reason(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    field.add(flow_clips / "fits.mp4", "a.mp4")
    film = field.add(flow_clips / "fits.mp4", "b.mp4")

    def miss(tools: Any, path: bytes, *more: Any) -> Analysis:
        if path == os.fsencode(film):
            raise ToolMissing("no ffmpeg is here")
        return real(tools, path, *more)

    monkeypatch.setattr(stage, "analyse", miss)
    number = _ask(field, field.library)
    state = analyse(analysis=number, return_state=True)
    assert state.is_failed()
    assert state.message == "no ffmpeg is here"
    run = field.client.analysis(number)
    assert (run.status, run.reason, run.analysed) == ("failed", "no ffmpeg is here", 1)
    state = analyse(analysis=number, return_state=True)
    assert "there is nothing to do" in (state.message or "")


def test_too_many_files_are_refused_before_the_first(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        field.add(flow_clips / "noise.mp4", f"{name}.mp4")
    monkeypatch.setattr(stage, "MOST_FILES", 2)
    number = _ask(field, field.library)
    assert analyse(analysis=number, return_state=True).is_failed()
    run = field.client.analysis(number)
    assert (run.status, run.analysed) == ("failed", 0)
    assert "more than 2 files" in run.reason


def test_a_result_that_is_endless_says_so(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "MOST_LINE", 1 << 8)
    _, (found,) = _analyse(field, field.add(flow_clips / "fits.mp4"))
    assert (found.status, found.media) == ("failed", None)
    assert "what there is to say of it takes more than" in (found.reason or "")


def test_one_that_is_forgotten_stops_in_the_middle_of_a_file(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = _ask(field, field.add(flow_clips / "fits.mp4"), level="full")
    monkeypatch.setenv("DARKSTREAM_LEASE__HEARTBEAT_S", "0.1")
    ended: list[bool] = []

    def dawdle(_tools: Any, _path: bytes, _depth: Any, cancel: CancelToken) -> Analysis:
        field.client.remove_analysis(number)
        ended.append(cancel.wait(30.0))
        cancel.check()
        raise AssertionError("it was not told")

    monkeypatch.setattr(stage, "analyse", dawdle)
    state = analyse(analysis=number, return_state=True)
    assert state.is_cancelled()
    assert ended == [True]
    assert "it was forgotten" in (state.message or "")
    assert field.client.analyses() == []


def test_one_that_is_over_between_two_files_stops(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        field.add(flow_clips / "noise.mp4", f"{name}.mp4")
    number = _ask(field, field.library)
    met: list[bytes] = []

    def forget(tools: Any, path: bytes, *more: Any) -> Analysis:
        met.append(path)
        if len(met) == 2:
            field.client.remove_analysis(number)
        return real(tools, path, *more)

    monkeypatch.setattr(stage, "analyse", forget)
    assert analyse(analysis=number, return_state=True).is_cancelled()
    assert len(met) == 2


def test_one_that_was_forgotten_before_it_began_is_no_failure(field: Field) -> None:
    number = _ask(field, field.library)
    field.client.remove_analysis(number)
    state = analyse(analysis=number, return_state=True)
    assert state.is_cancelled()
    assert state.message is not None
    assert state.message.startswith(f"nothing to do: there is no analysis {number}: they are kept")
    assert state.message.endswith("or until somebody has them forgotten")
    (run,) = field.task_runs(str(state.state_details.flow_run_id))
    assert run.state is not None
    assert run.state.is_cancelled()


@pytest.mark.parametrize("heard", [True, False])
def test_a_signal_ends_the_file_that_is_looked_at_and_gives_the_analysis_back(
    field: Field, monkeypatch: pytest.MonkeyPatch, heard: bool
) -> None:
    from flows import analyse as module

    class Interrupted:
        def result(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "submit", lambda *_: Interrupted())
    monkeypatch.setattr(stage, "_FAREWELL_S", 0.0)
    number = _ask(field, field.library)
    field.client.analysis_order(number, AnalysisWorker(node=NodeName("den"), flow_run="run"))
    away = Settings(server={"url": f"http://127.0.0.1:{free_port()}"})
    with Toolbox(Settings() if heard else away, flow_run="run") as tools:
        analysing = module.Analysing(tools, number)
        with pytest.raises(KeyboardInterrupt):
            module._do(analysing)
    with pytest.raises(Cancelled, match="the worker was stopped"):
        analysing.cancel.check()
    run = field.client.analysis(number)
    assert (run.attempts, run.releases) == (0, int(heard))
    assert (run.status == "running") is not heard
