"""Objects of ComfyUI's own classes as values: files keep their bytes, and nothing else is ever made of a value."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from comfy_orchestrator_nodes.agent import objects, wire
from comfy_orchestrator_nodes.agent.container import write_header
from comfy_orchestrator_nodes.agent.errors import MalformedValue, UnsupportedValue


class VideoInput:
    """ComfyUI's base of all videos."""

    def get_stream_source(self) -> Any:
        raise NotImplementedError

    def save_to(self, path: str) -> None:
        Path(path).write_bytes(b"encoded")


class VideoFromFile(VideoInput):
    """A video that has a file."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def get_stream_source(self) -> Any:
        return self._source


class SVG:
    """Several drawings."""

    def __init__(self, data: list[io.BytesIO]) -> None:
        self.data = data


class File3D:
    """A model in a file."""

    def __init__(self, data: io.BytesIO, file_format: str) -> None:
        self.data, self.format = data, file_format


class MESH:
    """Corners and faces; a newer ComfyUI adds colours."""

    def __init__(self, vertices: Any, faces: Any) -> None:
        self.vertices, self.faces = vertices, faces
        self.colours: Any = None


@pytest.fixture
def comfyui(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ComfyUI's modules, as far as objects are made of them; nodes are loaded under the path of their file."""
    homes: dict[str, dict[str, Any]] = {
        "comfy_api": {},
        "comfy_api.latest": {},
        "comfy_api.input_impl": {"VideoFromFile": VideoFromFile},
        "comfy_api.latest._util": {},
        "comfy_api.latest._util.geometry_types": {"File3D": File3D, "MESH": MESH},
        "comfy_extras": {},
        "comfy_extras.nodes_images": {"SVG": SVG},
    }
    modules = {name: ModuleType(name) for name in homes}
    for name, members in homes.items():
        vars(modules[name]).update(members)
        monkeypatch.setitem(sys.modules, name, modules[name])
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, modules[name])
    for made in (VideoInput, File3D, MESH):
        monkeypatch.setattr(made, "__module__", "comfy_api.latest._somewhere")
    monkeypatch.setattr(SVG, "__module__", "C:\\ComfyUI\\comfy_extras\\nodes_images")


class Here:
    """Makes objects as where ComfyUI is, and arrays in the place of tensors."""

    tensor = staticmethod(wire.NUMPY.tensor)
    nested = staticmethod(wire.NUMPY.nested)
    object = staticmethod(objects.made_of)


def sent(value: Any, type_: str) -> bytes:
    return b"".join(wire.encode(value, type_).parts())


def came(value: Any, type_: str) -> Any:
    return wire.decode(io.BytesIO(sent(value, type_)), Here())


@pytest.mark.usefixtures("comfyui")
@pytest.mark.parametrize("size", [0, 7, (9 << 20) + 1])
def test_a_video_that_is_a_file_keeps_every_byte(tmp_path: Path, size: int) -> None:
    content = np.random.default_rng(1).bytes(size)
    (tmp_path / "a ../video.mp4").parent.mkdir()
    path = tmp_path / "a ../video.mp4"
    path.write_bytes(content)
    for source in (str(path), io.BytesIO(content)):
        video = came(VideoFromFile(source), "VIDEO")
        assert type(video) is VideoFromFile
        assert video.get_stream_source().getvalue() == content
    # Where a file lies is nobody's business elsewhere, so equal files are one value.
    assert sent(VideoFromFile(str(path)), "VIDEO") == sent(VideoFromFile(io.BytesIO(content)), "VIDEO")


@pytest.mark.usefixtures("comfyui")
def test_a_video_of_frames_is_encoded_and_says_so() -> None:
    assert not objects.is_exact(VideoInput())
    assert came(VideoInput(), "VIDEO").get_stream_source().getvalue() == b"encoded"
    assert objects.is_exact(VideoFromFile(io.BytesIO(b"file")))


@pytest.mark.usefixtures("comfyui")
def test_drawings_models_and_meshes_come_back_as_they_were() -> None:
    drawings = came(SVG([io.BytesIO(b"<svg/>"), io.BytesIO(b"")]), "SVG")
    assert [one.getvalue() for one in drawings.data] == [b"<svg/>", b""]
    model = came(File3D(io.BytesIO(b"glTF"), "glb"), "FILE_3D_GLB")
    assert (model.data.getvalue(), model.format) == (b"glTF", "glb")
    mesh = MESH(np.ones((1, 4, 3), np.float32), np.zeros((1, 2, 3), np.int64))
    plain = came([mesh], "MESH")[0]
    assert plain.colours is None
    np.testing.assert_array_equal(plain.vertices, mesh.vertices)
    mesh.colours = np.full((1, 4, 3), 0.5)
    np.testing.assert_array_equal(came(mesh, "MESH").colours, mesh.colours)


@pytest.mark.usefixtures("comfyui")
def test_what_this_comfyui_does_not_know_is_told() -> None:
    mesh = MESH(np.ones(3), np.ones(3))
    vars(mesh)["future"] = 1
    with pytest.raises(UnsupportedValue, match="'future', which is not known here"):
        came(mesh, "MESH")
    vars(sys.modules["comfy_api.latest._util.geometry_types"]).clear()
    with pytest.raises(UnsupportedValue, match="does not know"):
        came(File3D(io.BytesIO(b""), "glb"), "FILE_3D")


def test_where_comfyui_is_not_there_an_object_stays_its_parts() -> None:
    parts = wire.decode(io.BytesIO(sent(wire.Parts(wire.VIDEO, {"file": b"content"}), "VIDEO")))
    assert parts == wire.Parts(wire.VIDEO, {"file": b"content"})
    assert sent(parts, "VIDEO") == sent(wire.Parts(wire.VIDEO, {"file": b"content"}), "VIDEO")


def test_a_class_that_only_has_the_name_cannot_travel() -> None:
    with pytest.raises(UnsupportedValue, match="SVG, which cannot travel"):
        sent(SVG([]), "SVG")


@pytest.mark.usefixtures("comfyui")
def test_a_file_that_shrinks_while_it_is_sent_is_no_value(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"x" * 1000)
    encoded = wire.encode(VideoFromFile(str(path)), "VIDEO")
    path.write_bytes(b"x" * 10)
    with pytest.raises(UnsupportedValue, match="became shorter"):
        list(encoded.parts())
    path.unlink()
    with pytest.raises(UnsupportedValue, match="cannot be read"):
        list(encoded.parts())


FILE = {"$": "bytes", "t": 0}


@pytest.mark.usefixtures("comfyui")
@pytest.mark.parametrize(
    "form",
    [
        {"kind": "video", "of": {}},
        {"kind": "video", "of": {"file": "/etc/passwd"}},
        {"kind": "video", "of": {"file": FILE, "save_to": "x"}},
        {"kind": "video", "of": {"file": FILE, "format": "mp4"}},
        {"kind": "file_3d", "of": {"file": FILE, "format": "../../x"}},
        {"kind": "file_3d", "of": {"file": FILE, "format": "glb\n"}},
        {"kind": "file_3d", "of": {"file": FILE}},
        {"kind": "svg", "of": {"files": ["/etc/passwd", FILE]}},
        {"kind": "svg", "of": {"files": FILE}},
        {"kind": "mesh", "of": {"vertices": FILE}},
        {"kind": "os.system", "of": {"file": FILE}},
        {"kind": ["video"], "of": {"file": FILE}},
        {"kind": "video", "of": [["file", FILE]]},
        {"kind": "video"},
    ],
)
def test_a_made_up_object_is_refused(form: dict[str, Any]) -> None:
    metadata = {"format": wire.FORMAT, "version": str(wire.VERSION), "type": "VIDEO"}
    metadata["skeleton"] = json.dumps({"$": "object", **form})
    with pytest.raises(MalformedValue):
        wire.decode(io.BytesIO(write_header(metadata, [("0", "U8", (4,), 4)]) + b"abcd"), Here())
