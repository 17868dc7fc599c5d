from __future__ import annotations

import pytest

from comfy_orchestrator_nodes.backend.messages import FeatureFlags
from comfy_orchestrator_nodes.workflow.nodeinfo import parse_node_info
from tests.contract.conftest import Peer
from tests.fakes.node_classes import NODE_CLASSES


@pytest.mark.parametrize("class_type", sorted(NODE_CLASSES))
async def test_a_node_class_is_described(peer: Peer, class_type: str) -> None:
    info = await peer.client.object_info(class_type)
    known = parse_node_info(class_type, NODE_CLASSES[class_type].info)

    assert info is not None
    assert info.output_node == known.output_node
    assert info.output_types == known.output_types
    assert info.output_is_list == known.output_is_list
    assert [spec.name for spec in info.inputs if spec.required] == [spec.name for spec in known.inputs]
    for spec in known.inputs:
        described = info.input(spec.name)
        assert described is not None
        assert (described.type, described.minimum, described.maximum) == (spec.type, spec.minimum, spec.maximum)
        assert described.upload == spec.upload
        assert described.upload is not None or described.choices == spec.choices


async def test_an_unknown_class_is_none(peer: Peer) -> None:
    assert await peer.client.object_info("NoSuchNode") is None
    assert await peer.client.object_info("No such/node?#%") is None


async def test_one_class_and_all_classes_tell_the_same(peer: Peer) -> None:
    every = await peer.client.all_object_info()

    assert set(NODE_CLASSES) <= set(every)
    assert every["EmptyImage"] == await peer.client.object_info("EmptyImage")


async def test_a_version_and_devices_are_told(peer: Peer) -> None:
    stats = await peer.client.system_stats()

    assert stats.version is not None
    assert stats.version >= (0, 3, 60)
    assert stats.python_version.startswith("3.")
    assert stats.ram_total_bytes > stats.ram_free_bytes > 0
    assert [gpu.type for gpu in stats.gpus] == ["cpu"]


async def test_features_publish_the_upload_limit(peer: Peer) -> None:
    features = await peer.client.features()
    async with peer.recorder() as recorder:
        told = await recorder.wait_for(FeatureFlags)

    assert features.max_upload_bytes == 100 << 20
    assert told.flags == features.raw


async def test_models_are_listed_by_folder_and_code_is_not(peer: Peer) -> None:
    models = await peer.client.models()

    assert {"checkpoints", "loras"} <= set(models)
    assert "custom_nodes" not in models
    assert all(isinstance(files, frozenset) for files in models.values())


async def test_capabilities_hold_it_all(peer: Peer) -> None:
    capabilities = await peer.client.capabilities(now=12.5)

    assert capabilities.comfyui_version == (await peer.client.system_stats()).comfyui_version
    assert set(NODE_CLASSES) <= capabilities.node_classes
    assert "checkpoints" in capabilities.models
    assert capabilities.max_upload_bytes == 100 << 20
    assert capabilities.taken_at == 12.5


async def test_memory_can_be_freed(peer: Peer) -> None:
    await peer.client.free()

    assert await peer.client.ping() == 0


async def test_a_new_connection_has_a_new_client_id(peer: Peer) -> None:
    ids = []
    for _ in range(2):
        async with peer.recorder():
            ids.append(peer.client.client_id)
        assert peer.client.client_id is None

    assert None not in ids
    assert ids[0] != ids[1]
