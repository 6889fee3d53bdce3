"""If these fail, a damaged, half-copied or forged bundle is served as if it were whole."""

import hashlib
import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sigflow.bundle import FORMAT, GRAPH, MANIFEST, Manifest, read_bundle, write_bundle
from sigflow.errors import UserError
from sigflow.export import Exported
from sigflow.storage import Location, locate


@pytest.fixture
def copy(exported_bundle: Location, tmp_path: Path) -> Path:
    shutil.copytree(exported_bundle.uri, tmp_path / "bundle")
    return tmp_path / "bundle"


def edit(folder: Path, **values: Any) -> None:
    """Change the manifest as somebody would who also knows how to sign it."""
    manifest = json.loads((folder / MANIFEST).read_text()) | values
    with suppress(ValidationError):
        manifest["sha256"] = Manifest.model_validate(manifest).digest()
    (folder / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize("change", [{"version": "9"}, {"labels": ["a", "b", "c"]}, {"metrics": {"oof": 1.0}}])
def test_a_manifest_that_was_edited_by_hand_is_refused(copy: Path, change: dict[str, Any]) -> None:
    manifest = json.loads((copy / MANIFEST).read_text()) | change
    (copy / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="changed after export"):
        read_bundle(locate(copy))


def test_a_bundle_reads_back_as_it_was_written(exported_bundle: Location, exported_run: Exported) -> None:
    bundle = read_bundle(exported_bundle)
    assert bundle.graph == exported_run.graph
    assert bundle.manifest.format == FORMAT
    assert bundle.manifest.inputs == exported_run.inputs
    assert bundle.manifest.parity == exported_run.parity
    assert bundle.manifest.files.keys() == {GRAPH}


def test_a_bundle_of_before_there_were_streams_is_read_and_one_with_settings_is_signed(copy: Path) -> None:
    assert read_bundle(locate(copy)).manifest.stream
    edit(copy, stream=None)
    older = json.loads((copy / MANIFEST).read_text())
    del older["stream"]
    plain = Manifest.model_validate(older).model_dump_json(exclude={"sha256", "stream"})
    assert older["sha256"] == hashlib.sha256(plain.encode()).hexdigest()
    (copy / MANIFEST).write_text(json.dumps(older))
    assert read_bundle(locate(copy)).manifest.stream is None
    (copy / MANIFEST).write_text(json.dumps(older | {"stream": {"on": 0.1}}))
    with pytest.raises(UserError, match="changed after export"):
        read_bundle(locate(copy))


def test_a_bundle_may_carry_more_files_and_all_are_verified(copy: Path, exported_run: Exported) -> None:
    manifest = read_bundle(locate(copy)).manifest
    complete = write_bundle(locate(copy), manifest, {GRAPH: exported_run.graph, "card.md": b"hello"})
    assert read_bundle(locate(copy)).manifest == complete
    (copy / "card.md").write_bytes(b"hell0")
    with pytest.raises(UserError, match=r"card\.md was changed"):
        read_bundle(locate(copy))


@pytest.mark.parametrize("where", [0, 0.5, 1])
def test_one_changed_byte_of_the_graph_is_refused(copy: Path, where: float) -> None:
    data = bytearray((copy / GRAPH).read_bytes())
    data[int(where * (len(data) - 1))] ^= 1
    (copy / GRAPH).write_bytes(data)
    with pytest.raises(UserError, match=r"model\.fp32\.onnx was changed after export"):
        read_bundle(locate(copy))


def test_a_graph_that_was_copied_in_part_is_refused(copy: Path) -> None:
    (copy / GRAPH).write_bytes((copy / GRAPH).read_bytes()[:-1])
    with pytest.raises(UserError, match="was changed after export"):
        read_bundle(locate(copy))


@pytest.mark.parametrize(
    ("old", "new"), [(b"{", b"["), (b'"labels"', b'"lebels"'), (b'"parity"', b'"parity'), (b"\n", b"\xff")]
)
def test_a_damaged_manifest_is_refused(copy: Path, old: bytes, new: bytes) -> None:
    text = (copy / MANIFEST).read_bytes()
    (copy / MANIFEST).write_bytes(text.replace(old, new, 1))
    with pytest.raises(UserError, match=r"manifest\.json is damaged"):
        read_bundle(locate(copy))


def test_a_changed_hash_in_the_manifest_is_refused(copy: Path) -> None:
    files = read_bundle(locate(copy)).manifest.files
    edit(copy, files={GRAPH: files[GRAPH][::-1]})
    with pytest.raises(UserError, match="was changed after export"):
        read_bundle(locate(copy))


@pytest.mark.parametrize("text", ["", "null", "[]", "3", '"text"'])
def test_a_manifest_that_is_no_object_is_refused(copy: Path, text: str) -> None:
    (copy / MANIFEST).write_text(text)
    with pytest.raises(UserError, match="is damaged"):
        read_bundle(locate(copy))


def test_a_missing_file_is_refused(copy: Path) -> None:
    (copy / GRAPH).unlink()
    with pytest.raises(UserError, match=r"model\.fp32\.onnx is missing"):
        read_bundle(locate(copy))


def test_a_folder_without_a_manifest_is_no_bundle(copy: Path) -> None:
    (copy / MANIFEST).unlink()
    with pytest.raises(UserError, match="holds no bundle"):
        read_bundle(locate(copy))


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "sub/file", "..", ".hidden"])
def test_a_manifest_never_makes_anyone_read_outside_the_bundle(copy: Path, name: str) -> None:
    files = read_bundle(locate(copy)).manifest.files
    edit(copy, files=files | {name: "0" * 64})
    with pytest.raises(UserError, match="outside the bundle"):
        read_bundle(locate(copy))


def test_a_manifest_that_names_no_graph_is_refused(copy: Path) -> None:
    edit(copy, files={})
    with pytest.raises(UserError, match=r"names no model\.fp32\.onnx"):
        read_bundle(locate(copy))


@pytest.mark.parametrize("number", [0, 1, 3, "2", None])
def test_a_format_of_another_time_is_refused_with_what_to_do(copy: Path, number: object) -> None:
    edit(copy, format=number)
    with pytest.raises(UserError, match=rf"has bundle format {number}, this sigflow reads 2; export it again"):
        read_bundle(locate(copy))


def test_unknown_fields_are_refused(copy: Path) -> None:
    edit(copy, extra=1)
    with pytest.raises(UserError, match="is damaged"):
        read_bundle(locate(copy))


def test_the_hashes_of_the_manifest_are_those_of_the_files(tmp_path: Path) -> None:
    manifest = Manifest(
        name="n", version="v", created="c", labels=("a", "b"), parts=(), inputs=(), extractor="", recipes=(),
        members=(), metrics={}, parity={},
    )  # fmt: skip
    complete = write_bundle(locate(tmp_path), manifest, {GRAPH: b"graph"})
    assert complete.files == {GRAPH: hashlib.sha256(b"graph").hexdigest()}
    assert read_bundle(locate(tmp_path)).graph == b"graph"
    assert not manifest.files
