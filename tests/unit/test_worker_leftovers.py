"""What a killed worker leaves behind, and what a living one does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from darkstream.worker.runs import abandoned_runs, run_directory


def test_a_run_that_is_worked_on_is_not_abandoned(tmp_path: Path) -> None:
    with run_directory(tmp_path, "one") as directory:
        assert os.path.isdir(directory)
        with abandoned_runs(tmp_path) as found:
            assert found == []
        assert os.path.isdir(directory)
    assert os.listdir(tmp_path) == []


def test_what_a_killed_worker_left_is_found_by_one_and_forgotten(tmp_path: Path) -> None:
    (tmp_path / "lost").mkdir()
    with abandoned_runs(tmp_path) as found:
        assert found == ["lost"]
        with abandoned_runs(tmp_path) as by_another:
            assert by_another == []
    assert os.listdir(tmp_path) == []


def test_a_loss_that_could_not_be_told_is_found_again(tmp_path: Path) -> None:
    (tmp_path / "lost").mkdir()
    with pytest.raises(ConnectionError), abandoned_runs(tmp_path):
        raise ConnectionError
    with abandoned_runs(tmp_path) as found:
        assert found == ["lost"]


def test_nothing_is_abandoned_where_nothing_ever_ran(tmp_path: Path) -> None:
    with abandoned_runs(tmp_path / "missing") as found:
        assert found == []
