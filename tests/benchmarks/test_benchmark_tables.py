"""Tables of the benchmark pages: CSV files, directives, pages that keep their text."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.lib.tables import MARKER, csv_link, csv_table, list_table, slug, write_below

DOC = Path(__file__).resolve().parents[2] / "doc"
TABLE = pd.DataFrame({"decoder": ["probe, tiny", 'the "best"'], "score": ["0.50", "+0.1"]})


def test_csv_survives_commas_and_quotes(tmp_path):
    text = csv_table(TABLE, "Scores", tmp_path / "page.rst", "all")
    file = re.search(r":file: (\S+)", text)[1]
    assert file == "tables/page_all.csv"
    assert pd.read_csv(tmp_path / file, dtype=str).equals(TABLE)
    assert csv_table(TABLE, "Scores", tmp_path / "page.rst").count("tables/page.csv") == 1


def test_links(tmp_path):
    line = csv_link(TABLE, "Scores", tmp_path / "page.rst", "all")
    assert line == "* :download:`Scores <tables/page_all.csv>`\n"
    assert pd.read_csv(tmp_path / "tables" / "page_all.csv", dtype=str).equals(TABLE)


def test_list_table():
    lines = list_table(TABLE, "Scores").splitlines()
    assert lines[:3] == [".. list-table:: Scores", "   :header-rows: 1", ""]
    assert lines[3:5] == ["   * - decoder", "     - score"] and len(lines) == 9


def test_text_above_the_marker_is_kept(tmp_path):
    page, marker = tmp_path / "page.rst", MARKER.format("script.py")
    page.write_text(f"Title\n=====\n\n{marker}\n\nold\n")
    write_below(page, "script.py", ["new\n"])
    assert page.read_text() == f"Title\n=====\n\n{marker}\n\nnew\n"
    write_below(page, "script.py", ["newer\n"], tmp_path / "other.rst")
    assert page.read_text().endswith("new\n")
    assert (tmp_path / "other.rst").read_text() == f"Title\n=====\n\n{marker}\n\nnewer\n"
    write_below(page, "script.py", ["a\n", "* b\n", "* c\n"])  # one list
    assert page.read_text().endswith("\n\na\n\n* b\n* c\n")
    with pytest.raises(ValueError, match=r"other\.py"):
        write_below(page, "other.py", [])
    assert slug("Length of EEG (s)") == "length-of-eeg-s"


def test_every_table_has_a_page_and_every_page_its_tables():
    named = set()
    for page in DOC.glob("*.rst"):
        named.update(
            re.findall(r"(?:^   :file: |<)(tables/\S+\.csv)", page.read_text("utf-8"), re.M)
        )
    there = {str(path.relative_to(DOC)) for path in (DOC / "tables").glob("*.csv")}
    assert len(there) > 40 and named == there
    for name in sorted(there):
        assert len(pd.read_csv(DOC / name, dtype=str)) > 0, name
