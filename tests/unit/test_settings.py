"""Settings from the environment, and what of them cannot be."""

from __future__ import annotations

import pytest

from darkstream.cli.session import read_settings
from darkstream.errors import SettingsError


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("DARKSTREAM_SERVER__PORT", "none", "DARKSTREAM_SERVER__PORT cannot be used"),
        ("DARKSTREAM_SERVER__PROT", "1", "DARKSTREAM_SERVER__PROT cannot be used"),
        ("DARKSTREAM_LEASE__EXPIRY_S", "2", "at least twice heartbeat_s"),
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
    monkeypatch.setenv("DARKSTREAM_SERVER__URL", "https://films.example/")
    monkeypatch.setenv("DARKSTREAM_PREFECT__API_URL", "https://prefect.example/api")
    settings = read_settings()
    assert settings.server_url == "https://films.example"
    assert settings.prefect_api_url == "https://prefect.example/api"
