"""If these fail, a recording is lost, overwritten, half-written, or lies where nobody should be able to put it."""

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serve.page.recordings import counts, find, folder_of, recorded, refuse_unwritable, store, told
from serve.problems import ProblemError
from sigflow.errors import UserError
from sigflow.landmarks.manifest import read_manifest
from sigflow.storage import locate

WEBM = b"\x1a\x45\xdf\xa3 and so on"


def test_clips_lie_as_extraction_reads_them(tmp_path: Path) -> None:
    clips = locate(tmp_path)
    for _ in range(2):
        store(clips, "Zoë B.", "good morning", WEBM)
    store(clips, "Zoë B.", "no", b"\0\0\0 ftypisom")
    manifest = read_manifest(clips)
    assert manifest["clip_id"].to_pylist() == [
        "Zoë B./good morning/1.webm", "Zoë B./good morning/2.webm", "Zoë B./no/1.mp4"
    ]  # fmt: skip
    assert set(manifest["subject"].to_pylist()) == {"Zoë B."}
    assert counts(clips) == {"Zoë B.": {"good morning": 2, "no": 1}}
    assert [clip.number for clip in recorded(clips, "Zoë B.", "good morning")] == [1, 2]
    (clip_id, *_) = manifest["clip_id"].to_pylist()
    assert find(clips, "Zoë B.", "good morning", 1).clip_id == clip_id
    assert (tmp_path / "Zoë B./good morning/1.webm").read_bytes() == WEBM


def test_the_next_number_is_free_whatever_was_discarded_or_put_there(tmp_path: Path) -> None:
    clips = locate(tmp_path)
    for _ in range(3):
        store(clips, "a", "b", WEBM)
    find(clips, "a", "b", 2).stored.location.delete()
    assert store(clips, "a", "b", WEBM).number == 4
    (tmp_path / "a/b/9.mp4").write_bytes(b"by hand")
    (tmp_path / "a/b/IMG_77.mp4").write_bytes(b"by hand, without a number")
    (tmp_path / "a/b/.claim-12-of-one-who-was-killed").touch()
    (tmp_path / "a/b/.partial-x-10.webm").touch()
    assert store(clips, "a", "b", WEBM).number == 13
    assert [clip.number for clip in recorded(clips, "a", "b")] == [1, 3, 4, 9, 13]
    assert counts(clips) == {"a": {"b": 6}}, "what extraction would read"


def test_many_who_record_at_once_get_a_number_each(tmp_path: Path) -> None:
    clips = locate(tmp_path)
    videos = [WEBM + bytes([number]) * 1000 for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda video: store(clips, "a", "b", video), videos))
    assert len({clip.number for clip in made}) == 24
    for clip, video in zip(made, videos, strict=True):
        assert clip.stored.location.read_bytes() == video
    assert len(list((tmp_path / "a/b").iterdir())) == 24, "no claim is left"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "give a"), (" \t", "give a"), ("..", "dot"), (".", "dot"), (".hidden", "dot"), ("a/b", "'/'"),
        ("../../etc", "'/'"), ("/etc", "'/'"), ("s3://bucket/x", "'/'"), ("a\0b", "shown"), ("a\nb", "shown"),
        ("a\x1b[2Jb", "shown"), ("\udcff", "shown"), ("ä" * 101, "200 bytes"),
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_or_that_no_file_can_have_is_refused_in_words(
    name: str, why: str, tmp_path: Path
) -> None:
    for subject, label in ((name, "label"), ("subject", name)):
        with pytest.raises(ProblemError, match=why) as refused:
            folder_of(locate(tmp_path), subject, label)
        assert refused.value.status == 422


@pytest.mark.parametrize(
    "name", ["..wave".lstrip("."), "a.b", "~", "C:\\x", "%2e%2e%2f", "$(id)", "日本", "👋🏽", "x" * 200]
)
def test_any_other_name_is_stored_as_it_was_given(name: str, tmp_path: Path) -> None:
    store(locate(tmp_path), name, name, WEBM)
    assert counts(locate(tmp_path)) == {name: {name: 1}}
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_storage_that_fails_is_told_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "clips").write_text("a file where a folder should be")
    with pytest.raises(ProblemError, match="does not answer") as refused:
        store(locate(tmp_path / "clips"), "a", "b", WEBM)
    assert refused.value.status == 503
    assert str(tmp_path) not in refused.value.detail
    for number, status in ((errno.ENOSPC, 507), (errno.EDQUOT, 507), (errno.ENAMETOOLONG, 422), (errno.EIO, 503)):
        with pytest.raises(ProblemError) as refused, told():
            raise OSError(number, "secret", "path")
        assert refused.value.status == status


def test_a_folder_that_cannot_be_written_into_ends_the_start(tmp_path: Path) -> None:
    refuse_unwritable(locate(tmp_path / "new"))
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="choose another --page DIR"):
        refuse_unwritable(locate(tmp_path / "file"))


def test_a_clip_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="no clip 3") as refused:
        find(locate(tmp_path), "a", "b", 3)
    assert refused.value.status == 404
