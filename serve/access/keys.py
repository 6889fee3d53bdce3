"""API keys: who may ask, and how often. What is kept of them is hashes.

A key is 256 random bits, so one plain sha256 is enough: slow and salted hashes protect words that people choose.

Example: python -m serve.access.keys new alice --rate 20 >> keys.txt     (the key itself is shown once, on the terminal)
"""

import argparse
import hashlib
import hmac
import logging
import re
import secrets
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from sigflow.errors import UserError

ENVIRONMENT = "SIGFLOW_API_KEYS"
_PREFIX = "sf_"  # by which people and secret scanners know one
_MOST = 1000
_LOOK_S = 1.0
_LINE = re.compile(r"([A-Za-z0-9][\w.@-]{0,63})\s+sha256:([0-9a-f]{64})(?:\s+(\d+(?:\.\d+)?)(?:\s+(\d+))?)?", re.ASCII)
_FORM = "expected 'NAME sha256:HASH [REQUESTS_PER_S [BURST]]', as `python -m serve.access.keys new NAME` prints it"
_log = logging.getLogger(__name__)


class Key(NamedTuple):
    """One who may ask. `rate`: requests/s, and `burst`: so many at once; None: what the settings say."""

    name: str
    digest: str  # sha256, hex
    rate: float | None = None
    burst: int | None = None


def parse_keys(text: str, source: str) -> tuple[Key, ...]:
    """Keys of lines (or parts between `;`), `#` begins a comment.

    Raises:
        UserError: a line that is none, a name twice, too many. What stands there is not repeated: it may be a secret.
    """
    keys: dict[str, Key] = {}
    for number, line in enumerate(re.split(r"[\n;]", text), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        found = _LINE.fullmatch(line)
        if found is None or (found[3] is not None and float(found[3]) <= 0) or found[4] == "0":
            raise UserError(f"{source}, line {number}: {_FORM}")
        key = Key(found[1], found[2], float(found[3]) if found[3] else None, int(found[4]) if found[4] else None)
        if keys.setdefault(key.name, key) != key:
            raise UserError(f"{source}, line {number}: the name '{key.name}' is there twice; give each key its own")
    if len(keys) > _MOST:
        raise UserError(f"{source}: {len(keys)} keys, over {_MOST}")
    return tuple(keys.values())


def find_key(keys: Iterable[Key], presented: str) -> Key | None:
    """Whose key it is, compared with all of them, so that the time taken tells nothing."""
    digest = hashlib.sha256(presented.encode("utf-8", "replace")).hexdigest()
    found = None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            found = key
    return found


class Keyring:
    """The keys as they are now: the file is read again when it changes. A bad change is logged, and not taken.

    Args:
        file: of keys, on every node that has a replica; None: none.
        lines: more keys.

    Raises:
        UserError: bad lines, or a file that is not there, holds none, or that others may write.
    """

    def __init__(self, file: str | None = None, lines: Sequence[str] = ()) -> None:
        self._file = Path(file) if file else None
        self._lines = "\n".join(lines)
        self._looked = time.monotonic()
        self._stamp = self._stamp_now()
        self._keys = self._read()

    @property
    def keys(self) -> tuple[Key, ...]:
        """All of them; none: everybody may ask."""
        now = time.monotonic()
        if self._file and now - self._looked > _LOOK_S:
            self._looked = now
            stamp = self._stamp_now()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._keys = self._read()
                except UserError as error:
                    _log.error("the keys stay as they were: %s", error)
        return self._keys

    def _stamp_now(self) -> tuple[int, ...]:
        try:
            stat = self._file.stat() if self._file else None
        except OSError:
            return ()
        return (stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_mode) if stat else ()

    def _read(self) -> tuple[Key, ...]:
        text = ""
        if self._file:
            try:
                text, mode = self._file.read_text(), self._file.stat().st_mode
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f"cannot read the keys in {self._file}: {error}") from error
            if mode & 0o022:
                raise UserError(f"others may write {self._file}, and so let themselves in; chmod 600 {self._file}")
            if mode & 0o004:
                _log.warning("everybody may read %s; it holds only hashes, but chmod 600 is better", self._file)
            if not parse_keys(text, str(self._file)):
                raise UserError(
                    f"{self._file} holds no keys; `python -m serve.access.keys new NAME >> {self._file}` adds one"
                )
        listed = parse_keys(self._lines, "settings and " + ENVIRONMENT)
        return parse_keys("\n".join((*text.splitlines(), *map(_line, listed))), f"{self._file or 'keys'}")


def new_key(name: str, rate: float | None = None, burst: int | None = None) -> tuple[str, str]:
    """A key, and the line of it that the server needs.

    Raises:
        UserError: a name with other characters than letters, digits and ._@-, or a rate or burst that is none.
    """
    secret = _PREFIX + secrets.token_urlsafe(32)
    line = _line(Key(name, hashlib.sha256(secret.encode()).hexdigest(), rate, burst))
    parse_keys(line, "the new key")
    return secret, line


def _line(key: Key) -> str:
    more = [f"{key.rate:g}"] if key.rate is not None else []
    more += [str(key.burst)] if key.rate is not None and key.burst is not None else []
    return " ".join([key.name, f"sha256:{key.digest}", *more])


def main(words: Sequence[str] | None = None) -> int:
    """`new NAME`: the key on stderr, and on stdout the line for the file."""
    parser = argparse.ArgumentParser(prog="python -m serve.access.keys", description=(__doc__ or "").partition("\n")[0])
    new = parser.add_subparsers(required=True, metavar="new").add_parser("new", help="make a key")
    new.add_argument("name", help="whose it is")
    new.add_argument("--rate", type=float, help="requests/s; default: what the settings say")
    new.add_argument("--burst", type=int, help="with --rate: so many at once")
    args = parser.parse_args(words)
    try:
        secret, line = new_key(args.name, args.rate, args.burst)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"the key of {args.name}, shown only now: {secret}", file=sys.stderr)
    print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
