#!/usr/bin/env python3
"""What the hub is made of: a bill of materials (CycloneDX 1.5, JSON) and the notices of third parties.

    python3 contrib/notices.py FOLDER

writes FOLDER/genimage.cdx.json and FOLDER/THIRD-PARTY.txt, from `cargo metadata` and the packages' own files: every crate that
the binary is built of on this platform, its licence, and the text of it where the package carries one. The binary is the
one of the container image, which has every feature; others are built of less. Fails when a crate names no licence.
"""

import json
import pathlib
import re
import subprocess
import sys

TEXTS = re.compile(r"^(LICEN[CS]E|COPYING|NOTICE|UNLICENSE)", re.IGNORECASE)


def crates():
    """The crates that go into the binary, ours left out: a walk from it along normal and build dependencies."""
    host = re.search(r"host: (\S+)", subprocess.check_output(["rustc", "-vV"], text=True)).group(1)
    # The features that the Dockerfile builds with.
    features = ["--features", "genimage/otel"]
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", host, *features]
    meta = json.loads(subprocess.check_output(command))
    packages = {package["id"]: package for package in meta["packages"]}
    nodes = {node["id"]: node for node in meta["resolve"]["nodes"]}
    todo = [package["id"] for package in meta["packages"] if package["name"] == "genimage"]
    seen = set(todo)
    while todo:
        for dep in nodes[todo.pop()]["deps"]:
            if any(kind["kind"] in (None, "build") for kind in dep["dep_kinds"]) and dep["pkg"] not in seen:
                seen.add(dep["pkg"])
                todo.append(dep["pkg"])
    others = [packages[found] for found in seen if packages[found]["source"]]
    return sorted(others, key=lambda package: (package["name"], package["version"]))


def licence(package):
    # Older packages separate alternatives with a slash.
    return package["license"].replace("/", " OR ") if package["license"] else None


def texts(package):
    folder = pathlib.Path(package["manifest_path"]).parent
    for path in sorted(folder.iterdir()):
        if path.is_file() and TEXTS.match(path.name):
            yield path.name, path.read_text(errors="replace").strip()


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) == 2 else sys.exit(__doc__))
    found = crates()
    unlicensed = [package["name"] for package in found if not licence(package) and not package["license_file"]]
    if unlicensed:
        sys.exit(f"no licence is named by: {', '.join(unlicensed)}")
    folder.mkdir(parents=True, exist_ok=True)
    version = subprocess.check_output(["cargo", "pkgid", "-p", "genimage"], text=True).strip().rsplit("#", 1)[-1].rsplit("@", 1)[-1]
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "genimage", "version": version,
                                   "licenses": [{"license": {"id": "MIT"}}]}},
        "components": [
            {
                "type": "library",
                "bom-ref": f"pkg:cargo/{package['name']}@{package['version']}",
                "name": package["name"],
                "version": package["version"],
                "purl": f"pkg:cargo/{package['name']}@{package['version']}",
                **({"licenses": [{"expression": licence(package)}]} if licence(package) else {}),
            }
            for package in found
        ],
    }
    (folder / "genimage.cdx.json").write_text(json.dumps(bill, indent=1) + "\n")
    with (folder / "THIRD-PARTY.txt").open("w") as out:
        out.write("GenImage Hub is built of these packages of others:\n\n")
        for package in found:
            out.write(f"  {package['name']} {package['version']}: {licence(package) or package['license_file']}\n")
        # One text serves all packages that carry it.
        by_text = {}
        for package in found:
            for name, text in texts(package):
                by_text.setdefault(text, []).append(f"{package['name']} {package['version']} ({name})")
        for text, carriers in by_text.items():
            out.write(f"\n{'=' * 78}\n{', '.join(carriers)}\n{'-' * 78}\n{text}\n")
    print(f"{len(found)} packages: {folder}/genimage.cdx.json, {folder}/THIRD-PARTY.txt")


main()
