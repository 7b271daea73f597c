"""Settings from the environment, and what of them cannot be."""

from __future__ import annotations

import traceback

import pytest

from darkstream.cli.session import read_settings
from darkstream.errors import SettingsError


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("DARKSTREAM_SERVER__PORT", "none", "DARKSTREAM_SERVER__PORT cannot be used"),
        ("DARKSTREAM_SERVER__PROT", "1", "DARKSTREAM_SERVER__PROT cannot be used"),
        ("DARKSTREAM_LEASE__EXPIRY_S", "2", "at least twice heartbeat_s"),
        ("DARKSTREAM_KEYS__DIRECTORY", "keys", "KEYS__DIRECTORY cannot be .* from / on"),
        ("DARKSTREAM_KEYS__DIRECTORY", "", "from / on"),
    ],
)
def test_a_setting_that_cannot_be_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, text: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=text) as caught:
        read_settings()
    assert "\n" not in str(caught.value)


def test_addresses_follow_from_host_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKSTREAM_SERVER__HOST", "::1")
    monkeypatch.setenv("DARKSTREAM_SERVER__PORT", "5000")
    settings = read_settings()
    assert settings.server_url == "http://[::1]:5000"
    assert settings.prefect_api_url == "http://[::1]:5000/api"
    assert settings.prefect_ui_url == "http://[::1]:5000/prefect"
    monkeypatch.setenv("DARKSTREAM_SERVER__URL", "https://films.example/")
    monkeypatch.setenv("DARKSTREAM_PREFECT__API_URL", "https://prefect.example/api")
    settings = read_settings()
    assert settings.server_url == "https://films.example"
    assert settings.prefect_api_url == "https://prefect.example/api"
    assert settings.prefect_ui_url == "https://prefect.example"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("DARKSTREAM_LOGLEVEL", "did you mean DARKSTREAM_LOG_LEVEL?"),
        ("DARKSTREAM_PREFECT_API_URL", "did you mean DARKSTREAM_PREFECT__API_URL?"),
        ("DARKSTREAM_SERVR__PORT", "did you mean DARKSTREAM_SERVER__PORT?"),
        ("darkstream_presset", "did you mean DARKSTREAM_PRESETS?"),
        ("DARKSTREAM_NOTHING_LIKE_IT", "docs/settings.md lists them"),
    ],
)
def test_a_variable_that_is_no_setting_is_told_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, hint: str
) -> None:
    monkeypatch.setenv(name, "debug")
    assert read_settings().log_level == "info"
    assert capsys.readouterr().err == f"Warning: {name} is no setting and is ignored; {hint}\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DARKSTREAM_TEST_MEDIA", "/media"),
        ("DARKSTREAM_PRESETS", "/presets"),
        ("darkstream_log_level", "debug"),
        ("DARKSTREAM_SERVER", '{"port": 5000}'),
        ("DARKSTREAM_SERVER__PORT", "5000"),
        ("DARKSTREAMLINED", "1"),
    ],
)
def test_of_settings_and_of_others_variables_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    read_settings()
    assert capsys.readouterr().err == ""


def test_a_token_from_a_file_is_taken_without_the_newline_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DARKSTREAM_KEYS__SERVER_TOKEN", "hush-hush\n")
    token = read_settings().keys.server_token
    assert token is not None
    assert token.get_secret_value() == "hush-hush"


@pytest.mark.parametrize("token", ["hush\nhush", "hush-hüsh", "hush hush", "hush\x01", "  "])
def test_a_token_that_is_none_is_refused_and_not_told(
    monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("DARKSTREAM_KEYS__SERVER_TOKEN", token)
    with pytest.raises(SettingsError, match=r"KEYS__SERVER_TOKEN cannot be used.*ASCII") as raised:
        read_settings()
    assert "hush" not in "".join(traceback.format_exception(raised.value))


def test_when_a_worker_works_is_checked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKSTREAM_WORKER__WINDOWS", "22:00-06:00, sat-sun 00:00-24:00")
    monkeypatch.setenv("DARKSTREAM_WORKER__TIME_ZONE", "Europe/Berlin")
    assert read_settings().worker.time_zone == "Europe/Berlin"
    monkeypatch.setenv("DARKSTREAM_WORKER__WINDOWS", "at night")
    with pytest.raises(SettingsError, match="'at night' is no time window: write 22:00-06:00"):
        read_settings()
    monkeypatch.setenv("DARKSTREAM_WORKER__WINDOWS", "22:00-06:00")
    monkeypatch.setenv("DARKSTREAM_WORKER__TIME_ZONE", "Berlin")
    with pytest.raises(SettingsError, match="no time zone is called 'Berlin'"):
        read_settings()
