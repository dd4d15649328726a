"""The bill of materials names every package of the constraints, and nothing by chance."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_bill_holds_every_pinned_package_and_is_the_same_each_time(tmp_path: Path) -> None:
    texts = []
    for name in ("a.json", "b.json"):
        command = [sys.executable, str(ROOT / "tools" / "sbom.py"), str(tmp_path / "dist" / name)]
        subprocess.run(command, check=True, capture_output=True)
        texts.append((tmp_path / "dist" / name).read_text())
    assert texts[0] == texts[1]
    bill = json.loads(texts[0])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line for line in lines if "==" in line and not line.startswith("#")}
    assert {f"{c['name']}=={c['version']}" for c in bill["components"]} == pinned
    references = [c["bom-ref"] for c in bill["components"]]
    assert len(set(references)) == len(references)
    (own,) = bill["dependencies"]
    assert set(own["dependsOn"]) <= set(references)
    assert any(re.match("pkg:pypi/prefect@", reference) for reference in own["dependsOn"])
