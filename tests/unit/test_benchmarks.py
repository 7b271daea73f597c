"""The benchmarks are run by hand; that they import, and what their table says, is held here."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
from pathlib import Path

import pytest

import benchmarks
from benchmarks.figures import Figure, describe, run, table


@pytest.mark.parametrize("name", [each.name for each in pkgutil.iter_modules(benchmarks.__path__)])
def test_every_benchmark_imports(name: str) -> None:
    assert importlib.import_module(f"benchmarks.{name}").__doc__


def test_a_ratio_is_ours_to_the_peers_and_held_against_what_is_wanted() -> None:
    figure = Figure("batch", 11.0, "s", "xargs", 10.0, at_most=1.1)

    assert figure.ratio == pytest.approx(1.1)
    assert figure.met
    assert Figure("batch", 11.2, "s", "xargs", 10.0, at_most=1.1).met is False
    assert Figure("scan", 40.0, "files/s", "ffprobe", 10.0, at_least=4).met


def test_a_limit_can_be_on_our_own_figure() -> None:
    figure = Figure("help", 0.3, "s", "python", 0.1, at_most=0.2, of="ours")

    assert figure.met is False
    assert "<= 0.2 s" in table([figure])


def test_a_missing_peer_is_said_and_nothing_is_met() -> None:
    figure = Figure("scan", 40.0, "files/s", "ffprobe", None, at_least=4, note="not installed")

    assert figure.met is None
    assert "missing" in table([figure])
    assert "not installed" in table([figure])


def test_json_holds_the_machine_and_each_ratio() -> None:
    found = describe([Figure("batch", 11.0, "s", "xargs", 10.0)], {"cores": 2})

    assert found["machine"] == {"cores": 2}
    assert found["figures"][0]["ratio"] == pytest.approx(1.1)


def test_the_command_line_prints_the_table_and_keeps_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "figures.json"
    monkeypatch.setattr("sys.argv", ["bench", "--quick", "--json", str(kept)])

    def measure(options: argparse.Namespace) -> list[Figure]:
        return [Figure("quick" if options.quick else "slow", 1.0, "s")]

    run("About.", measure)

    assert "quick" in capsys.readouterr().out
    assert json.loads(kept.read_text())["figures"][0]["what"] == "quick"
