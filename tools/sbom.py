"""Write a software bill of materials (CycloneDX 1.6, JSON) of the exact set in `constraints.txt`.

    python tools/sbom.py dist/sbom.json

Needs nothing but Python. The same constraints and the same installed packages give the same bytes.
Licences are those that the installed packages name, and are left out where a package is not
installed.
"""

import json
import re
import sys
import tomllib
import uuid
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;#]+)")


def pinned(text: str) -> list[tuple[str, str]]:
    """Name and version of each line of the constraints."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    matches = [PINNED.match(line) for line in lines]
    strange = [line for line, match in zip(lines, matches, strict=True) if match is None]
    if strange:
        raise SystemExit(f"constraints.txt: expected name==version, actual: {strange[0]!r}")
    return [(match["name"], match["version"]) for match in matches if match is not None]


def normalised(name: str) -> str:
    """The name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(name: str, version: str) -> str | None:
    """The SPDX expression that an installed package of this version gives."""
    try:
        fields = metadata(name)
    except PackageNotFoundError:
        return None
    return fields["License-Expression"] if fields["Version"] == version else None


def component(name: str, version: str) -> dict[str, Any]:
    """A package of the index as a component."""
    url = f"pkg:pypi/{normalised(name)}@{version.replace('+', '%2B')}"
    made: dict[str, Any] = {
        "type": "library",
        "bom-ref": url,
        "name": name,
        "version": version,
        "purl": url,
    }
    expression = licence(name, version)
    if expression:
        made["licenses"] = [{"expression": expression}]
    return made


def bill(root: Path) -> dict[str, Any]:
    """The bill of the project in a folder."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    components = [component(*pair) for pair in pinned((root / "constraints.txt").read_text())]
    known = {normalised(made["name"]): made["bom-ref"] for made in components}
    direct = {normalised(re.split(r"[\s\[<>=!~;]", text)[0]) for text in project["dependencies"]}
    own = f"pkg:pypi/{project['name']}@{project['version']}"
    content = {
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": project["name"],
                "version": project["version"],
                "purl": own,
                "licenses": [{"expression": project["license"]}],
            }
        },
        "components": components,
        "dependencies": [
            {"ref": own, "dependsOn": sorted(known[name] for name in direct if name in known)}
        ],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        **content,
    }


def main() -> None:
    """Write the bill to the path given."""
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    made = bill(ROOT)
    path.write_text(json.dumps(made, indent=2) + "\n")
    print(f"{path}: {len(made['components'])} components")


if __name__ == "__main__":
    main()
