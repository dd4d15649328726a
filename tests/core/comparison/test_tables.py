"""The table as Markdown, CSV and LaTeX."""

from io import StringIO

import pandas as pd

from rlhf_core.comparison import compare
from tests.core.comparison.frames import runs_of

CELLS = {"a_1": [100.0, 103, 98, 101, 99, 100], "b|2": [50.0, 49, 52, 48, 51, 50]}


def test_markdown_has_the_answer_and_one_line_a_cell() -> None:
    text = compare(runs_of(CELLS, labels=200), name="ways of asking").markdown()
    lines = text.splitlines()
    assert lines[0] == "# ways of asking"
    assert lines[2].startswith("`a_1` beats `b|2` by 50 (47 to 53)")
    assert lines[4].startswith("| cell | seeds | IQM (95 %) | failure rate |")
    assert lines[6].startswith("| `a_1` | 6 | 100 (98 to 102) | - | 50 (47 to 53) | 1.00 (")
    assert lines[6].endswith("| - | 200 |")
    assert lines[7].startswith("| `b\\|2` | 6 | 50 (48 to 52) |")
    assert len(lines) == 8


def test_csv_holds_every_column() -> None:
    comparison = compare(runs_of(CELLS, first_return=0.0))
    read = pd.read_csv(StringIO(comparison.csv()), keep_default_na=False)
    assert list(read.columns) == list(comparison.table.columns)
    assert read["iqm"].astype(float).tolist() == [100, 50]


def test_latex_is_a_tabular_with_escaped_names() -> None:
    text = compare(runs_of(CELLS)).latex()
    assert text.startswith("\\begin{tabular}{lrrrrrrrr}\n\\toprule\n")
    assert "a\\_1 & 6 & 100 (98 to 102) & - & 50 (47 to 53)" in text
    assert "95 \\%" in text
    assert text.count("\\\\\n") == 3
    assert text.endswith("\\bottomrule\n\\end{tabular}\n")


def test_the_heading_says_the_level() -> None:
    assert "IQM (90 %)" in compare(runs_of(CELLS), level=0.9).markdown()
