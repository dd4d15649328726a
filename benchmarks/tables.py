"""Put the tables of `benchmarks/results` into the pages of `docs`, each between its marks.

    python benchmarks/tables.py

`<!-- table NAME -->` ... `<!-- end -->` holds what `benchmarks/results/NAME.md` holds, which
`benchmarks/compare.sh` writes for comparisons, and scripts of the same name for the others.
"""

import re
from pathlib import Path

RESULTS = Path(__file__).with_name("results")
PAGES = Path(__file__).parents[1] / "docs"
MARK = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Bring the pages up to date."""
    for page in sorted(PAGES.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        page.write_text(MARK.sub(filled, text), encoding="utf-8")


def filled(found: "re.Match[str]") -> str:
    """The marks with the newest table between them; what is there where none was measured."""
    begin, name, end = found.groups()
    path = RESULTS / f"{name}.md"
    if not path.exists():
        print(f"{name}: not measured, left as it is")
        return found.group()
    # Pages have a title of their own.
    table = re.sub(r"\A# .*\n+", "", path.read_text(encoding="utf-8"))
    return f"{begin}{table.strip()}\n{end}"


if __name__ == "__main__":
    main()
