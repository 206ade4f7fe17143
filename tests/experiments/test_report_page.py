"""The page in a real browser: all is there, sorting works, nothing is loaded, the console is silent, a phone
does not scroll sideways."""

import re
import shutil
import subprocess
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from test_report import FIGURES, TABLES

CHROMIUM = shutil.which("chromium")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed (apt install chromium)")

PROBE = """<script>addEventListener("load", () => {
  const page = document.documentElement;
  page.dataset.paper = getComputedStyle(document.body).backgroundColor;
  const frame = document.querySelector("iframe.probe");
  if (!frame) return;
  const inner = frame.contentDocument;
  page.dataset.width = frame.contentWindow.innerWidth;
  page.dataset.scroll = Math.max(inner.documentElement.scrollWidth, inner.body.scrollWidth);
});</script>"""


class Dom(HTMLParser):
    """What the tests ask of a rendered page: elements by id, tables cell by cell, attributes of the root."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root: dict[str, str] = {}
        self.ids: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.blocks: dict[str, list[list[str]]] = {}
        self._block = ""
        self._cell: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.elements.append((tag, values))
        self.ids += [values["id"]] if "id" in values else []
        if tag == "html":
            self.root = values
        elif tag == "div" and values.get("class") == "block":
            self._block = values["id"]
            self.blocks[self._block] = []
        elif tag == "tr":
            self.blocks[self._block].append([])
        elif tag in ("td", "th"):
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self.blocks[self._block][-1].append("".join(self._cell))
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)


def framed(page: Path, folder: Path, width: int) -> Path:
    """A page that shows `page` as wide as a phone does: the browser's own window is never narrower than
    500."""
    frame = folder / "framed.html"
    inside = escape(page.read_text(encoding="utf-8"))
    style = f"width: {width}px; height: 800px; border: 0"
    frame.write_text(
        f'<html lang="en"><body><iframe class="probe" style="{style}" srcdoc="{inside}"></iframe></body></html>'
    )
    return frame


def browse(page: Path, folder: Path, fragment: str = "", dark: bool = False) -> tuple[Dom, list[str]]:
    """The rendered page with the probe's numbers on its root, and what the browser's console said."""
    probed = folder / "probed.html"
    probed.write_text(
        page.read_text(encoding="utf-8").replace("</body>", f"{PROBE}</body>"), encoding="utf-8"
    )
    command = [
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder / 'profile'}",
    ]
    command += [
        "--window-size=1280,900",
        "--enable-logging=stderr",
        "--virtual-time-budget=3000",
        "--dump-dom",
    ]
    command += (
        ["--blink-settings=preferredColorScheme=0"] if dark else ["--blink-settings=preferredColorScheme=1"]
    )
    result = subprocess.run(
        [*command, f"{probed.as_uri()}{fragment}"], capture_output=True, text=True, check=True, timeout=180
    )
    return Dom(result.stdout), re.findall(r"CONSOLE.*", result.stderr)


@pytest.fixture(scope="module")
def wide(report: tuple[Path, dict], tmp_path_factory: pytest.TempPathFactory) -> tuple[Dom, list[str]]:
    return browse(report[0] / "index.html", tmp_path_factory.mktemp("wide"), "#sort=table-2:6:desc")


@needs_browser
def test_every_table_and_figure_is_on_the_page(wide: tuple[Dom, list[str]]):
    dom, console = wide
    assert console == []
    assert set(dom.blocks) >= TABLES
    assert set(dom.ids) >= FIGURES
    assert len(dom.ids) == len(set(dom.ids))
    for name in TABLES:
        assert len(dom.blocks[name]) > 1, name


@needs_browser
def test_the_page_is_accessible(wide: tuple[Dom, list[str]]):
    tags = [tag for tag, _ in wide[0].elements]
    pictures = [values for tag, values in wide[0].elements if tag == "svg"]
    assert len(pictures) == len(FIGURES)
    assert all(values["role"] == "img" and len(values["aria-label"]) > 20 for values in pictures)
    assert all(values.get("scope") in ("col", "row") for tag, values in wide[0].elements if tag == "th")
    assert tags.count("caption") == tags.count("table")
    assert tags.count("figcaption") == tags.count("figure")
    assert wide[0].root["lang"] == "en"


@needs_browser
def test_a_table_is_sorted_by_number_and_unknown_comes_last(wide: tuple[Dom, list[str]]):
    head, *rows = wide[0].blocks["table-2"]
    assert head[5] == "Sparsity %, here"
    shown = [row[5] for row in rows]
    numbers = [float(text.split()[0]) for text in shown if text != "–"]
    assert len(numbers) == 12
    assert numbers == sorted(numbers, reverse=True)
    assert shown[12:] == ["–"] * 6
    sorted_heads = [
        values["aria-sort"] for tag, values in wide[0].elements if tag == "th" and "aria-sort" in values
    ]
    assert sorted_heads == ["descending"]


@needs_browser
def test_sorting_moves_rows(report: tuple[Path, dict], tmp_path: Path, wide: tuple[Dom, list[str]]):
    dom, _ = browse(report[0] / "index.html", tmp_path, "#sort=coefficients:5:asc")
    before, after = wide[0].blocks["coefficients"], dom.blocks["coefficients"]
    assert before != after
    assert sorted(before) == sorted(after)
    # a number below ten thousand, with the typographic minus
    assert (values := [float(row[4].split()[0].replace("−", "-")) for row in after[1:]]) == sorted(values)


@needs_browser
@pytest.mark.parametrize("width", [390, 800])
def test_a_narrow_page_does_not_scroll_sideways(report: tuple[Path, dict], tmp_path: Path, width: int):
    dom, console = browse(framed(report[0] / "index.html", tmp_path, width), tmp_path)
    assert console == []
    assert int(dom.root["data-scroll"]) <= int(dom.root["data-width"]) == width


@needs_browser
def test_the_check_of_the_width_sees_a_wide_page(tmp_path: Path):
    (tmp_path / "bad.html").write_text("<html><body><div style='width: 700px'>wide</div></body></html>")
    dom, _ = browse(framed(tmp_path / "bad.html", tmp_path, 390), tmp_path)
    assert int(dom.root["data-scroll"]) >= 700


@needs_browser
def test_light_and_dark_by_preference_and_by_choice(report: tuple[Path, dict], tmp_path: Path):
    papers = [
        browse(report[0] / "index.html", tmp_path, fragment, dark=dark)[0].root["data-paper"]
        for fragment, dark in (("", False), ("", True), ("#theme=dark", False), ("#theme=light", True))
    ]
    assert papers == ["rgb(251, 251, 249)", "rgb(20, 25, 30)", "rgb(20, 25, 30)", "rgb(251, 251, 249)"]


@needs_browser
def test_the_check_of_the_console_sees_an_error(tmp_path: Path):
    (tmp_path / "bad.html").write_text("<html><body><script>undefinedFunction()</script></body></html>")
    assert "undefinedFunction" in browse(tmp_path / "bad.html", tmp_path)[1][0]


def test_nothing_is_loaded_from_anywhere(report: tuple[Path, dict]):
    text = (report[0] / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'(?:src|href)="(?!#|data:,)[^"]*"', text) == []
    assert re.findall(r"url\((?!#)|@import|fetch\(|XMLHttp", text) == []
    assert "default-src 'none'" in text
