"""Every setting, read once in an entrance; environment variables `DARKSTREAM_<GROUP>__<NAME>`."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from darkstream.model.node import Zone, parse_windows

_PREFIX = "DARKSTREAM_"
_TOKEN = re.compile(r"[!-~]+")


def _state_directory() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(base) / "darkstream"


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ServerSettings(_Group):
    """Where the server listens, and where clients find it."""

    host: str = Field(
        "127.0.0.1", description="Address to listen on; only loopback without sign-in."
    )
    port: int = Field(4280, ge=1, le=65535, description="Port to listen on.")
    url: str | None = Field(
        None, description="Where clients find the server; default: host and port."
    )


class CatalogSettings(_Group):
    """The database of jobs."""

    url: str | None = Field(None, description="SQLAlchemy URL; default: SQLite in the home.")


class PrefectSettings(_Group):
    """Whose Prefect runs the work."""

    api_url: str | None = Field(
        None, description="A Prefect API of yours; default: the embedded one."
    )
    window: int = Field(
        64, ge=1, le=500, description="Most flow runs waiting in Prefect, per pool."
    )
    batch_seconds: float = Field(
        60.0, gt=0, description="About how much work a flow run is given at once, seconds."
    )


class WorkerSettings(_Group):
    """What one worker does at once."""

    name: str | None = Field(None, description="Name of this node; default: the host's name.")
    slots: int | None = Field(None, ge=1, description="Jobs at once; default: by the cores.")
    pools: Annotated[tuple[str, ...], NoDecode] = Field(
        ("cpu", "gpu", "control"), description="Pools served, with commas between."
    )
    windows: str | None = Field(
        None,
        description="When this node works: 22:00-06:00, or mon-fri 18:00-08:00, sat 00:00-24:00;"
        " default: always (docs/scheduling.md).",
    )
    time_zone: Zone | None = Field(
        None, description="Time zone of the windows, like Europe/Berlin; default: the machine's."
    )

    nice: int = Field(
        0,
        ge=0,
        le=19,
        description="Niceness of ffmpeg: at 19 it takes what others leave.",
    )
    ionice: Literal["lowest", "idle"] | None = Field(
        None, description="Turn of ffmpeg at the disk: after others, or only while it is idle."
    )
    threads: int | None = Field(
        None, ge=1, le=128, description="Threads of one encoder; default: as it likes."
    )
    cpus: float | None = Field(
        None,
        ge=0.1,
        le=1024,
        description="Cores that one ffmpeg may use in all: a control group of systemd's, which"
        " limits its memory too; default: none.",
    )

    @field_validator("windows")
    @classmethod
    def _is_a_time(cls, value: str | None) -> str | None:
        if value is not None:
            parse_windows(value)
        return value

    @field_validator("pools", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.startswith("["):  # as JSON, like every other list
            return json.loads(value)
        return tuple(part.strip() for part in value.split(","))


class LeaseSettings(_Group):
    """How soon a lost worker is noticed."""

    heartbeat_s: float = Field(1.5, gt=0, le=10, description="Seconds between two heartbeats.")
    expiry_s: float = Field(
        30.0, gt=0, le=300, description="A lease not renewed for this long ends."
    )
    max_attempts: int = Field(
        3, ge=1, description="Attempts of one job before it counts as failed."
    )

    @model_validator(mode="after")
    def _outlasts_a_lost_heartbeat(self) -> Self:
        if self.expiry_s < 2 * self.heartbeat_s:
            raise ValueError("expiry_s must be at least twice heartbeat_s")
        return self


class MediaSettings(_Group):
    """ffmpeg and its cage."""

    ffmpeg: Path | None = Field(
        None, description="ffmpeg to use; default: PATH, then PyPI's build."
    )
    sandbox: Literal["auto", "require"] = Field("auto", description="Refuse to work uncaged?")
    no_progress_s: float = Field(120.0, gt=0, description="An encode that stands still is ended.")
    probe_s: float = Field(20.0, gt=0, description="A probe that takes longer is ended.")
    validation: Literal["headers", "quick", "normal", "full"] = Field(
        "headers",
        description="How thoroughly a source is checked before it is planned, where its preset does"
        " not say (docs/validation.md).",
    )
    max_pixels: int = Field(8192 * 8192, gt=0, description="Larger pictures are refused.")
    fonts: Path | None = Field(
        None, description="Directory of fonts for text in pictures; default: Roboto alone."
    )
    gpu_sessions: int | None = Field(
        None,
        ge=1,
        description="Encodes at once on this machine's GPUs; default: 8 with a GeForce, whose"
        " driver allows no more, else as many as there are slots (docs/hardware.md).",
    )
    memory_bytes: int | None = Field(
        None, gt=0, description="Memory of one ffmpeg; default: half the machine's, at least 8 GiB."
    )

    @property
    def memory_limit(self) -> int:
        """Bytes one ffmpeg may use: large pictures need many, and more with every core.

        4K in ten bits fails at 8 GiB on 64 threads of x264.
        """
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return self.memory_bytes or max(8 << 30, machine // 2)


class LibrarySettings(_Group):
    """Scanning."""

    settle_s: float = Field(2.0, ge=0, description="A file unchanged for this long is complete.")


class KeySettings(_Group):
    """Where the keys of encrypted packages come from."""

    directory: Path | None = Field(
        None,
        description="Directory for the keys of encrypted packages, away from everything published;"
        " from / on.",
    )
    server: str | None = Field(
        None, description="Server that gives them instead: ClearKey licenses, https://…"
    )
    server_token: SecretStr | None = Field(None, description="Bearer token for that server.")
    timeout_s: float = Field(
        10.0, gt=0, le=300, description="A key server that takes longer has failed."
    )

    @field_validator("directory")
    @classmethod
    def _found_from_everywhere(cls, value: Path | None) -> Path | None:
        # Every flow run stands in a directory of its own, which is removed with all that is in it.
        if value is not None and not value.is_absolute():
            raise ValueError("the directory of the keys must be written from / on, like /srv/keys")
        return value

    @field_validator("server_token", mode="before")
    @classmethod
    def _sent_as_header(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        token = value.strip()  # files of secrets end with a newline
        if not _TOKEN.fullmatch(token):
            raise ValueError(
                "a bearer token has letters, digits and signs of ASCII alone, and no spaces in it"
            )
        return token


class NotifySettings(_Group):
    """Who is told."""

    webhook_url: str | None = Field(None, description="Told of every job's and scan's end.")
    webhook_secret: SecretStr | None = Field(
        None, description="Standard Webhooks secret (whsec_…)."
    )


class Settings(BaseSettings):
    """All settings; nested groups by room."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,  # it may be a secret
    )

    home: Path = Field(default_factory=_state_directory, description="Where state is kept.")
    presets: Path | None = Field(None, description="Directory of your own presets (*.yaml).")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Log level."
    )
    log_format: Literal["console", "json"] = Field("console", description="Log format.")
    server: ServerSettings = ServerSettings()
    catalog: CatalogSettings = CatalogSettings()
    prefect: PrefectSettings = PrefectSettings()
    worker: WorkerSettings = WorkerSettings()
    lease: LeaseSettings = LeaseSettings()
    media: MediaSettings = MediaSettings()
    library: LibrarySettings = LibrarySettings()
    keys: KeySettings = KeySettings()
    notify: NotifySettings = NotifySettings()

    @cached_property
    def server_url(self) -> str:
        """Where clients find the server, without a trailing slash."""
        if self.server.url:
            return self.server.url.rstrip("/")
        host = f"[{self.server.host}]" if ":" in self.server.host else self.server.host
        return f"http://{host}:{self.server.port}"

    @property
    def prefect_api_url(self) -> str:
        """The Prefect API that dispatch and workers speak to."""
        return self.prefect.api_url or f"{self.server_url}/api"

    @property
    def prefect_ui_url(self) -> str:
        """The pages of that Prefect: a server of its own has them beside its API."""
        if self.prefect.api_url:
            return self.prefect.api_url.rstrip("/").removesuffix("/api")
        return f"{self.server_url}/prefect"

    @property
    def catalog_url(self) -> str:
        """SQLAlchemy URL of the catalog."""
        return self.catalog.url or f"sqlite:///{self.home / 'catalog.db'}"

    @property
    def work_directory(self) -> Path:
        """Where encodes live until they are published; safe to delete when nothing runs."""
        return self.home / "work"


def find_unknown(variables: Iterable[str]) -> dict[str, str | None]:
    """Those of our prefix that are no setting, each with the nearest that is one.

    Within a group they are refused when the settings are read. `DARKSTREAM_TEST_…` is the tests'.
    """
    known = {_PREFIX + name for name in _names()}
    return {
        name: next(iter(difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.8)), None)
        for name in sorted(variables)
        if name.upper().startswith(_PREFIX)
        and not name.upper().startswith(f"{_PREFIX}TEST_")
        and name.upper() not in known
    }


def _names() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        yield name.upper()
        group = field.annotation
        if isinstance(group, type) and issubclass(group, _Group):
            yield from (f"{name}__{inner}".upper() for inner in group.model_fields)


def describe_settings() -> str:
    """All settings as a Markdown table, the content of docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Environment variables, read once at the start. Made by `python -m darkstream.settings`.",
        "",
        "| variable | default | what it does |",
        "| --- | --- | --- |",
    ]
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, _Group):
            for inner, one in group.model_fields.items():
                lines.append(_row(f"{name}__{inner}", one.default, one.description))
        else:
            default = "~/.local/state/darkstream" if name == "home" else field.default
            lines.append(_row(name, default, field.description))
    return "\n".join(lines) + "\n"


def _row(name: str, default: object, description: str | None) -> str:
    shown = ", ".join(default) if isinstance(default, tuple) else default
    text = "" if shown is None else f"`{shown}`"
    return f"| `{_PREFIX}{name.upper()}` | {text} | {description} |"


if __name__ == "__main__":
    import sys

    sys.stdout.write(describe_settings())
