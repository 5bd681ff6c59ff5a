#!/usr/bin/env python3
"""Install the tools of the open flow to XC7Z020 bitstreams into a directory of one's own.

    python scripts/install_open_flow.py [--directory DIR]

Fetches Debian's packages nextpnr-himbaechel-xilinx, prjxray and prjxray-database from Debian unstable, with what they
need (31 MB), and unpacks them (700 MB): no root, and nothing is installed into the system. The programs run with the C
library that comes with them. Needs apt-get and dpkg-deb: any Debian or Ubuntu on x86-64, of any age.

apt checks the archive's signature and every package's SHA-256, and continues where an earlier run was interrupted. How
old the index is is not checked, so that an archive of a fixed date can be the mirror. The archive's key comes from the
package debian-archive-keyring, or with --keyring. Run it again to update.

Standard library only: it may be run before anything else is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = ("nextpnr-himbaechel-xilinx", "prjxray", "prjxray-database")
PROGRAMS = ("nextpnr-himbaechel-xilinx", "xc7frames2bit", "bitread")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MIRROR = "http://deb.debian.org/debian"

# Finds its own place, so that the directory can be moved. PYTHONHOME: nextpnr has a Python inside.
WRAPPER = """#!/bin/sh
root=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")/root
export PYTHONHOME="$root/usr"
exec "$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu" "$root/usr/bin/{name}" "$@"
"""

APT_CONF = """Dir::State "{apt}/state";
Dir::State::status "{apt}/status";
Dir::Cache "{apt}/cache";
Dir::Etc::sourcelist "{apt}/sources.list";
Dir::Etc::sourceparts "{apt}/none";
Dir::Etc::preferences "{apt}/none";
Dir::Etc::preferencesparts "{apt}/none";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Sandbox::User "";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
"""


def default_directory() -> Path:
    """Return where `axft-hw build` looks: beside other data of the user's."""
    own = os.environ.get("AXFT_DATA")
    if own:
        return Path(own).expanduser() / "open-flow"
    base = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "share") / "axft-hw" / "open-flow"


def fail(message: str) -> None:
    """End with a message."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


def run(command: list[str], env: dict[str, str]) -> None:
    """Run a program; end with its error."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        fail(f"{command[0]} failed: {'; '.join(lines[-3:]) or f'exit code {done.returncode}'}")


def fetch(directory: Path, mirror: str, suite: str, keyring: str) -> list[Path]:
    """Fetch the packages, and what they depend on; return their files."""
    apt = directory / "apt"
    for part in ("state/lists/partial", "cache/archives/partial", "none"):
        (apt / part).mkdir(parents=True, exist_ok=True)
    (apt / "status").write_text("")
    (apt / "sources.list").write_text(f"deb [signed-by={keyring}] {mirror} {suite} main\n")
    conf = apt / "apt.conf"
    conf.write_text(APT_CONF.format(apt=apt))
    env = {**os.environ, "APT_CONFIG": str(conf), "LC_ALL": "C"}
    print(f"index of {mirror} {suite}", file=sys.stderr)
    run(["apt-get", "-q", "update", "-o", "APT::Update::Error-Mode=any"], env)
    print("packages", file=sys.stderr)
    # The empty status file makes apt fetch all that the programs need, the C library included.
    run(["apt-get", "-q", "-y", "--no-install-recommends", "--download-only", "install", *PACKAGES], env)
    listed = subprocess.run(
        ["apt-get", "-q", "-y", "--no-install-recommends", "--print-uris", "--no-download", "install", *PACKAGES],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    # Files of older runs may lie there as well; --print-uris names only what is still to be fetched, that is nothing.
    still = [line for line in listed.stdout.splitlines() if line.startswith("'")]
    if still:
        fail(f"{len(still)} packages could not be fetched; run this again to continue")
    return newest(env, apt / "cache" / "archives")


def newest(env: dict[str, str], archives: Path) -> list[Path]:
    """Return, of the files in the cache, those that the index names now."""
    simulated = subprocess.run(
        ["apt-get", "-q", "-y", "--no-install-recommends", "--simulate", "install", *PACKAGES],
        env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    files = []
    for line in simulated.stdout.splitlines():
        if not line.startswith("Inst "):
            continue
        _, name, rest = line.split(maxsplit=2)
        version = rest.lstrip("(").split()[0].replace(":", "%3a")
        files += [file for file in archives.glob(f"{name}_*.deb") if file.name.startswith(f"{name}_{version}_")]
    return files


def unpack(directory: Path, files: list[Path]) -> dict[str, str]:
    """Unpack packages in place of those of an earlier run; return their versions."""
    new = directory / "root.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    versions = {}
    for file in sorted(files):
        run(["dpkg-deb", "--extract", str(file), str(new)], dict(os.environ))
        name, version, _ = file.name.split("_")
        versions[name] = version.replace("%3a", ":")
    old = directory / "root.old"
    shutil.rmtree(old, ignore_errors=True)
    root = directory / "root"
    if root.exists():
        root.rename(old)
    new.rename(root)
    shutil.rmtree(old, ignore_errors=True)
    return versions


def main() -> None:
    """Read the arguments and install."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=default_directory(), help="default: %(default)s")
    parser.add_argument(
        "--mirror", default=MIRROR, help="Debian archive; one of snapshot.debian.org fixes the versions"
    )
    parser.add_argument("--suite", default="unstable", help="default: %(default)s")
    parser.add_argument(
        "--keyring", default=KEYRING, help="keys that may sign the archive's index; default: %(default)s"
    )
    args = parser.parse_args()
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            fail(f"{program} is needed: run this on Debian or Ubuntu, or in a container of one")
    if os.uname().machine != "x86_64":
        fail(f"Debian has these programs for x86_64, and this machine is {os.uname().machine}")
    if not Path(args.keyring).is_file():
        fail(f"keyring {args.keyring} is not there; install debian-archive-keyring, or name one with --keyring")
    directory = args.directory.expanduser().resolve()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        files = fetch(directory, args.mirror, args.suite, args.keyring)
        print(f"unpacking {len(files)} packages", file=sys.stderr)
        versions = unpack(directory, files)
        (directory / "bin").mkdir(exist_ok=True)
        for name in PROGRAMS:
            path = directory / "bin" / name
            path.write_text(WRAPPER.format(name=name))
            path.chmod(0o755)
        (directory / "versions.json").write_text(json.dumps(versions, indent=2, sort_keys=True) + "\n")
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; name another directory with --directory")
    done = subprocess.run(
        [str(directory / "bin" / PROGRAMS[0]), "--version"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        fail(f"{PROGRAMS[0]} does not run: {done.stderr.strip()}")
    for name in PACKAGES:
        print(f"{name} {versions[name]}")
    print(f"installed in {directory}")


if __name__ == "__main__":
    main()
