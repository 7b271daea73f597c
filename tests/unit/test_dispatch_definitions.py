"""prefect.yaml: what it says, and when it counts as changed."""

from __future__ import annotations

import pytest
import yaml
from pydantic import ValidationError

from darkstream.dispatch.definitions import parse_definitions, pools_of, read_text
from darkstream.dispatch.flow_reader import fingerprint
from darkstream.errors import ServiceError


def test_the_deployments_are_those_everybody_speaks_of() -> None:
    definitions = parse_definitions(read_text())
    assert [(each.full_name, each.work_pool.name) for each in definitions] == [
        ("convert/cpu", "cpu"),
        ("convert/gpu", "gpu"),
        ("encode-chunks/cpu", "cpu"),
        ("encode-chunks/gpu", "gpu"),
        ("scan-library/control", "control"),
        ("settle/control", "control"),
        ("analyze/control", "control"),
        ("maintain/control", "control"),
    ]
    assert pools_of(definitions) == ("cpu", "gpu", "control")


def test_the_scan_has_no_schedule_that_would_replace_those_of_the_libraries() -> None:
    document = yaml.safe_load(read_text())
    assert document["pull"] == [], "a pull step would look for a clone on the worker"
    by_flow = {entry["flow_name"]: entry for entry in document["deployments"]}
    assert "schedules" not in by_flow["scan-library"]
    assert [each["slug"] for each in by_flow["maintain"]["schedules"]] == ["hourly"]


def test_an_unknown_field_is_refused() -> None:
    text = read_text().replace("work_queue_name: bulk", "work_queue_name: bulk\n      hue: 3")
    with pytest.raises(ValidationError, match="hue"):
        parse_definitions(text)


def test_the_fingerprint_changes_with_the_text_and_the_packages_only() -> None:
    first = fingerprint("a", ["json", "csv"])
    assert fingerprint("a", ["csv", "json", "csv"]) == first
    assert fingerprint("b", ["json", "csv"]) != first
    assert fingerprint("a", ["json"]) != first


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(ServiceError, match="no_such_module"):
        fingerprint("a", ["no_such_module"])
