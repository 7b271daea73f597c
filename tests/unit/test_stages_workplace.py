"""What an attempt leaves in its work directory when it ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures_flows import make_attempt

from darkstream.errors import StorageFull, VerificationFailed
from darkstream.media.encode import mark_verified
from darkstream.model.base import ContentId, Fingerprint
from darkstream.model.encoded import Encoded
from darkstream.model.job import ContentKey
from darkstream.stages.workplace import workplace

KEY = ContentKey(content=ContentId("c" * 64), fingerprint=Fingerprint("f" * 64))


def _encode(directory: bytes, *, verified: bool) -> Path:
    files = Path(directory.decode()) / "output"
    files.mkdir()
    (files / "a.mp4").write_bytes(b"film")
    encoded = Encoded(
        directory=bytes(files),
        main=b"a.mp4",
        frames=(1,),
        source=(),
        decode_errors=0,
        findings=(),
        command="",
        log="",
        wall_s=1.0,
        cpu_s=1.0,
    )
    if verified:
        mark_verified(encoded, directory)
    return files / "a.mp4"


@pytest.mark.parametrize(
    ("verified", "error", "stays"),
    [
        (True, StorageFull("no space left on /out: free 3 GiB"), True),
        (False, StorageFull("no space left in the work directory"), False),
        (True, VerificationFailed("the output does not decode"), False),
    ],
)
def test_verified_work_outlasts_a_destination_that_is_full(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    verified: bool,
    error: Exception,
    stays: bool,
) -> None:
    monkeypatch.setenv("DARKSTREAM_HOME", str(tmp_path))
    attempt = make_attempt()
    with pytest.raises(type(error)), workplace(attempt, KEY) as directory:
        output = _encode(directory, verified=verified)
        raise error
    assert output.exists() == stays
    with workplace(attempt, KEY):
        pass
    assert not output.exists()
