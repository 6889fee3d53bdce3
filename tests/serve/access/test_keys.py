"""If these fail, strangers get in, friends are kept out, or a secret is kept or shown where it should not be."""

import hashlib
import logging
import os
import stat
from pathlib import Path

import pytest

from serve.access.keys import Key, Keyring, find_key, main, new_key, parse_keys
from sigflow.errors import UserError

HASH = hashlib.sha256(b"sf_secret").hexdigest()
LINE = f"alice sha256:{HASH}"


def write(file: Path, text: str, mode: int = 0o600) -> str:
    file.write_text(text)
    file.chmod(mode)
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1_000_000_000))  # clocks of file systems are coarse
    return str(file)


def test_a_new_key_is_let_in_by_its_line_and_no_other_key_is() -> None:
    (secret, line), (other, _) = new_key("alice"), new_key("alice")
    keys = parse_keys(line, "here")
    assert find_key(keys, secret) == keys[0]
    assert len(secret) >= 40
    assert secret.startswith("sf_")
    for wrong in (other, "", secret[:-1], secret + " ", keys[0].digest, "sf_\ud800"):
        assert find_key(keys, wrong) is None


def test_the_key_is_shown_on_the_terminal_and_only_its_hash_goes_into_the_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["new", "bob", "--rate", "2.5", "--burst", "7"]) == 0
    shown = capsys.readouterr()
    secret = shown.err.split()[-1]
    assert secret not in shown.out
    (key,) = parse_keys(shown.out, "here")
    assert key == Key("bob", hashlib.sha256(secret.encode()).hexdigest(), 2.5, 7)
    assert main(["new", "not a name"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_lines_may_have_rates_and_comments() -> None:
    text = f"# who asks\n\n{LINE} 20 40  # the tablet\nbob-2 sha256:{HASH} 0.5;carol sha256:{HASH}"
    assert parse_keys(text, "here") == (
        Key("alice", HASH, 20.0, 40), Key("bob-2", HASH, 0.5, None), Key("carol", HASH)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alice sf_a_secret_by_mistake", "line 1: expected"),
        (f"{LINE}\nbob", "line 2: expected"),
        (f"{LINE} 0", "line 1: expected"),
        (f"{LINE} 5 0", "line 1: expected"),
        (f"{LINE} inf", "line 1: expected"),
        (f"{LINE}\n{LINE} 5", "'alice' is there twice"),
        ("\n".join(f"a{n} sha256:{HASH}" for n in range(1001)), "over 1000"),
    ],
)
def test_a_line_that_is_none_is_named_and_not_repeated(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as refused:
        parse_keys(text, "keys.txt")
    assert "secret" not in str(refused.value)


def test_a_file_that_is_missing_empty_or_writable_by_others_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        Keyring(str(tmp_path / "none"))
    with pytest.raises(UserError, match="holds no keys"):
        Keyring(write(tmp_path / "empty", "# nobody yet\n"))
    with pytest.raises(UserError, match="chmod 600"):
        Keyring(write(tmp_path / "shared", LINE, 0o620))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="cannot read"):
        Keyring(str(tmp_path / "binary"))


def test_a_file_that_everybody_may_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Keyring(write(tmp_path / "keys", LINE, 0o644))
    assert "chmod 600" in caplog.text
    caplog.clear()
    Keyring(write(tmp_path / "own", LINE))
    assert not caplog.text


def test_keys_of_the_file_and_of_the_settings_count_together(tmp_path: Path) -> None:
    file = write(tmp_path / "keys", LINE)
    assert [key.name for key in Keyring(file, (f"bob sha256:{HASH}", "", LINE)).keys] == ["alice", "bob"]
    assert Keyring().keys == ()
    with pytest.raises(UserError, match="twice"):
        Keyring(file, (f"alice sha256:{'0' * 64}",))


def test_a_changed_file_counts_at_once_and_a_damaged_one_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("serve.access.keys._LOOK_S", -1.0)
    (first, line), (second, other) = new_key("alice"), new_key("bob")
    ring = Keyring(write(tmp_path / "keys", line))
    write(tmp_path / "keys", f"{line}\n{other}")
    assert find_key(ring.keys, second)
    write(tmp_path / "keys", other)
    assert find_key(ring.keys, first) is None, "a key that was taken out is still let in"
    with caplog.at_level(logging.ERROR):
        for damage in ("", "bob sf_nonsense"):
            write(tmp_path / "keys", damage)
            assert find_key(ring.keys, second)
        (tmp_path / "keys").unlink()
        assert find_key(ring.keys, second)
    assert caplog.text.count("the keys stay as they were") == 3
    assert "sf_" not in caplog.text
    write(tmp_path / "keys", line)
    assert find_key(ring.keys, first)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600
