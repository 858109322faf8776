"""Files of a working tree that look like secrets, which a job's package leaves behind."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

NAMES = (
    *(".env", ".env.*", "*.env", ".envrc", ".netrc", "_netrc", ".npmrc", ".pypirc", ".git-credentials", ".htpasswd"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.kdbx", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*"),
    *("credentials*", ".credentials*", "secrets*", ".secrets*", "kubeconfig*"),
    *(".aws", ".azure", ".ssh", ".gnupg", ".kube", ".docker"),
)
"""Names of files and folders, in small letters, that hold secrets by custom."""
SOURCE_SUFFIXES = (".py", ".pyi")
"""Suffixes of files that only their text makes a secret: a job could not import a credentials.py that stays behind."""
TEXT = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY"
    rb"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    rb"|\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{36})"
    rb"|\bglpat-[A-Za-z0-9_-]{20}"
    rb"|\bhf_[A-Za-z0-9]{34}\b"
    rb"|\bsk-[A-Za-z0-9_-]{32}"
    rb"|\bxox[abeoprs]-[A-Za-z0-9-]{20}"
)
"""Private keys, and tokens in the forms of AWS, GitHub, GitLab, Hugging Face, OpenAI and Slack."""
SEARCHED_BYTES = 2**16
"""Number of bytes at the beginning of a file that are searched for TEXT."""
MOST_NAMED = 20


def leave_secrets(archive: Path) -> tuple[str, ...]:
    """Rewrite an archive without the files that look like secrets; return their names."""
    with ZipFile(archive) as packed:
        secret = dict.fromkeys(_secret_names(packed))
        if not secret:
            return ()
        rewritten = archive.with_name(f"{archive.name}.rewritten")
        with ZipFile(rewritten, "w") as kept:
            for file in packed.infolist():
                if file.filename not in secret:
                    kept.writestr(file, packed.read(file))
    rewritten.replace(archive)
    return tuple(secret)


def about_left_behind(names: tuple[str, ...]) -> str:
    """Return the sentence about files that were left behind."""
    listed = ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
    return (
        f"these files look like secrets and stay here: {listed}; what a job needs of them goes into its environment on "
        "the cluster, and a file that is no secret needs another name or place"
    )


def _secret_names(packed: ZipFile) -> Iterator[str]:
    for file in packed.infolist():
        with packed.open(file) as opened:
            beginning = opened.read(SEARCHED_BYTES)
        if _is_secret_name(file.filename) or TEXT.search(beginning):
            yield file.filename


def _is_secret_name(name: str) -> bool:
    path = PurePosixPath(name.lower())
    is_source = path.suffix in SOURCE_SUFFIXES
    return not is_source and any(fnmatchcase(part, pattern) for part in path.parts for pattern in NAMES)
