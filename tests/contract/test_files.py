from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from comfy_orchestrator_nodes.backend.results import RemoteFile
from comfy_orchestrator_nodes.errors import BackendFault, PayloadTooLarge
from tests.contract.conftest import Peer
from tests.contract.prompts import Prompt, new_id
from tests.fakes.node_classes import png


async def fetched(peer: Peer, file: RemoteFile) -> bytes:
    received = io.BytesIO()
    await peer.client.view(file, received.write)
    return received.getvalue()


async def test_an_upload_comes_back_as_it_was(peer: Peer) -> None:
    content = bytes(range(256)) * 13_001
    uploaded = await peer.client.upload(io.BytesIO(content), name=f"{new_id()}.bin", subfolder="orchestrator")

    assert uploaded.file.subfolder == "orchestrator"
    assert uploaded.file.type == "temp"
    assert uploaded.bytes_sent > len(content)
    assert await fetched(peer, uploaded.file) == content


async def test_a_path_is_uploaded(peer: Peer, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"on disk")
    uploaded = await peer.client.upload(path, name=f"{new_id()}.bin")

    assert await fetched(peer, uploaded.file) == b"on disk"


async def test_an_upload_starts_where_the_file_stands(peer: Peer) -> None:
    source = io.BytesIO(b"skip this|send this")
    source.seek(10)
    uploaded = await peer.client.upload(source, name=f"{new_id()}.bin")

    assert await fetched(peer, uploaded.file) == b"send this"


@pytest.mark.parametrize("content", [b"", b"x", b"\r\n--boundary--\r\n"], ids=["empty", "short", "like a form"])
async def test_any_content_survives(peer: Peer, content: bytes) -> None:
    uploaded = await peer.client.upload(io.BytesIO(content), name=f"{new_id()}.bin")

    assert await fetched(peer, uploaded.file) == content


async def test_the_same_content_under_the_same_name_is_used_again(peer: Peer) -> None:
    name = f"{new_id()}.bin"
    files = [(await peer.client.upload(io.BytesIO(b"same"), name=name)).file for _ in range(2)]

    assert [file.name for file in files] == [name, name]


async def test_other_content_under_the_same_name_gets_another_name(peer: Peer) -> None:
    name = f"{new_id()}.bin"
    first = await peer.client.upload(io.BytesIO(b"first"), name=name)
    second = await peer.client.upload(io.BytesIO(b"second"), name=name)

    assert second.file.name != name
    assert await fetched(peer, first.file) == b"first"
    assert await fetched(peer, second.file) == b"second"


async def test_overwriting_replaces_the_content(peer: Peer) -> None:
    name = f"{new_id()}.bin"
    await peer.client.upload(io.BytesIO(b"first"), name=name)
    second = await peer.client.upload(io.BytesIO(b"second"), name=name, overwrite=True)

    assert second.file.name == name
    assert await fetched(peer, second.file) == b"second"


@pytest.mark.parametrize("stem", ["mit Leer zeichen", "Größe ✓", 'quo"te', "per%20cent", "plus+and&"])
async def test_names_are_kept_to_the_letter(peer: Peer, stem: str) -> None:
    name = f"{new_id()} {stem}.bin"
    uploaded = await peer.client.upload(io.BytesIO(stem.encode()), name=name, subfolder="a b/ü")

    assert uploaded.file == RemoteFile(name, "a b/ü", "temp")
    assert await fetched(peer, uploaded.file) == stem.encode()


@pytest.mark.parametrize("place", ["temp", "input", "output"])
async def test_a_loader_finds_the_upload_by_its_annotated_name(peer: Peer, place: str) -> None:
    prompt_id = new_id()
    image = png(20, 10, int(new_id()[:6], 16))
    name = f"{hashlib.sha256(image).hexdigest()}.png"
    uploaded = await peer.client.upload(
        io.BytesIO(image), name=name, subfolder="orchestrator", place=place, media_type="image/png"
    )
    prompt: Prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": uploaded.file.annotated}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    async with peer.recorder() as recorder:
        await peer.client.submit(prompt, prompt_id=prompt_id)
        await recorder.wait_over(prompt_id)
        entry = await peer.client.history(prompt_id)

    assert entry is not None
    shown = await fetched(peer, entry.outputs["2"].files["images"][0])
    assert shown[16:24] == (20).to_bytes(4, "big") + (10).to_bytes(4, "big")


async def test_a_missing_file_is_a_404(peer: Peer) -> None:
    with pytest.raises(BackendFault, match="no file") as caught:
        await fetched(peer, RemoteFile(f"{new_id()}.png", "", "temp"))

    assert caught.value.status == 404


async def test_a_path_out_of_the_folder_is_refused(peer: Peer) -> None:
    with pytest.raises(BackendFault) as caught:
        await fetched(peer, RemoteFile("../secret.png", "", "temp"))

    assert caught.value.status == 400


async def test_a_file_over_the_published_limit_is_not_sent(peer: Peer, tmp_path: Path) -> None:
    features = await peer.client.features()
    assert features.max_upload_bytes is not None
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(features.max_upload_bytes + 1)

    with pytest.raises(PayloadTooLarge, match="max-upload-size") as caught:
        await peer.client.upload(path, name="large.bin")

    assert caught.value.details()["max_bytes"] == features.max_upload_bytes
