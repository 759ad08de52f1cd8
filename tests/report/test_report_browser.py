"""The pages in a real browser: they open without an error, the filters and the sorting work, nothing hostile runs."""

import re
import shutil
import subprocess

import pytest

from r1lab.report.page import write_page
from r1lab.report.sweep import write_sweep

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on PATH")


@pytest.fixture
def opened(tmp_path):
    """A function giving a page's DOM as the browser has it in the end, and what the console said."""

    def open_page(page):
        command = [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-sync",
            "--disable-background-networking",
            "--disable-component-update",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--enable-logging=stderr",
            "--dump-dom",
            page.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout, re.findall(r"CONSOLE.*", done.stderr)

    return open_page


def test_a_page_full_of_hostile_text_opens_quietly_and_runs_nothing(fake_run, contents, opened):
    hostile = "</pre><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    line = contents["completion"](0, 0, right=True) | {"completion": hostile, "prompt": hostile}
    page = write_page(fake_run(train=[line], config=f'name: "{hostile.replace(chr(34), chr(39))}"', steps=20))
    dom, console = opened(page)
    assert console == []
    assert "<title>&lt;/pre&gt;&lt;script&gt;" in dom
    assert dom.count("<svg") == page.read_text().count("<svg") == 16


def test_a_click_on_a_heading_sorts_the_sweep(fake_run, contents, opened, tmp_path):
    for number, rate in enumerate((3e-4, 1e-5, 20.0, 1e-3)):
        summary = {"eval/accuracy": 0.5 + number / 10}
        fake_run(f"s/{number}", learning_rate=rate, steps=2, summary=summary)
    (tmp_path / "s/4").mkdir()
    page = write_sweep(tmp_path / "s")
    dom, console = opened(page)
    rows = r'<td data-sort="(\d)">\d</td>\s*<td data-sort="[a-z]+">'
    assert console == [] and re.findall(rows, dom) == ["3", "2", "1", "0", "4"]
    # A copy without the page's content policy, so that a script of the test can click.
    clicking = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text()).replace(
        "</body>", "<script>document.querySelectorAll('th button')[2].click()</script></body>"
    )
    copy = tmp_path / "s/clicked.html"
    copy.write_text(clicking)
    dom, console = opened(copy)
    assert console == [] and re.findall(rows, dom) == ["1", "0", "3", "2", "4"]


DRAG = """
const figure = document.querySelector("svg.parallel");
const drag = (axis, from, to) => {
  const matrix = figure.getScreenCTM();
  const hit = figure.querySelectorAll(".hit")[axis];
  const fire = (type, on, y) => {
    const point = new DOMPoint(hit.x.baseVal.value + 5, y).matrixTransform(matrix);
    on.dispatchEvent(new PointerEvent(type, {clientX: point.x, clientY: point.y, bubbles: true, cancelable: true}));
  };
  fire("pointerdown", hit, from); fire("pointermove", window, to); fire("pointerup", window, to);
};
const kept = () => [...figure.querySelectorAll("polyline:not(.off)")].map((line) => line.dataset.run).sort().join();
const seen = [kept()];
drag(0, 40, 180);                       // the upper half of the first axis
seen.push(kept(), document.querySelector("output").value);
drag(1, 250, 304);                      // and the lower end of the last one
seen.push(kept(), [...document.querySelectorAll("tr.off")].map((row) => row.dataset.run).sort().join());
drag(0, 100, 100);                      // a click lets the first one go
seen.push(kept());
document.title = seen.join(" | ");
"""


def test_a_drag_along_an_axis_keeps_the_runs_that_pass_there(fake_run, opened, tmp_path):
    for number, (rate, accuracy) in enumerate([(1e-6, 0.2), (1e-5, 0.9), (1e-4, 0.3), (1e-3, 0.6)]):
        summary = {"eval/accuracy": accuracy, "objective": "eval/accuracy"}
        fake_run(f"s/{number}", learning_rate=rate, steps=2, summary=summary)
    page = write_sweep(tmp_path / "s")
    dom, console = opened(page)
    assert console == [] and dom.count("<polyline") == 4
    dragging = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text()).replace(
        "</body>", f"<script>{DRAG}</script></body>"
    )
    copy = tmp_path / "s/dragged.html"
    copy.write_text(dragging)
    dom, console = opened(copy)
    assert console == []
    title = re.search(r"<title>([^<]*)</title>", dom)[1]
    assert title == "0,1,2,3 | 2,3 | 2 of 4 runs | 2 | 0,1,3 | 0,2"
