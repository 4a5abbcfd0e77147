"""The page's tables in a real browser: found, filtered, sorted, opened by key, and nothing from the data runs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dcpc.data.annotations import Annotations
from dcpc.inspection import inspect_annotations
from dcpc.inspection.page import inspection_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="no browser: install Chromium and chromedriver (Debian: chromium chromium-driver)",
)
webdriver = pytest.importorskip(
    "selenium.webdriver", reason="selenium is not installed: pip install selenium"
)

HOSTILE = (
    "</script><script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\"> $\\frac$ <!--"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("headless", "no-sandbox", "disable-gpu", "disable-background-networking", "no-first-run"):
        options.add_argument(f"--{flag}")
    options.add_argument("--disable-dev-shm-usage")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    yield driver
    driver.quit()


def hostile() -> Annotations:
    """Forty items by six annotators in two splits; labels, names and texts are written to break a page."""
    rng = np.random.default_rng(0)
    labels, rows = (f"yes {HOSTILE}", "no $5"), []
    for item in range(40):
        for person in range(6):
            turned = person >= 3 and item % 2 == 0
            code = (item % 3 == 0) ^ turned ^ (rng.random() < 0.05)
            split = "train" if item < 30 else "test"
            name, text = f"p{person} <b>", f"text {item} {HOSTILE}"
            rows.append((f"i{item}", text, name, labels[int(code)], split, "left" if person < 3 else "right"))
    columns = ["item_id", "text", "annotator_id", "label", "split", "wing"]
    return Annotations(pd.DataFrame(rows, columns=columns), labels, source="made up")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(inspection_page(inspect_annotations(hostile(), pairs=False)), encoding="utf-8")
    return path


@pytest.fixture
def page(browser: Any, report: Path) -> Any:
    browser.get(report.as_uri())
    return browser


def find(page: Any, css: str) -> list[Any]:
    return page.find_elements("css selector", css)


def control(page: Any, table: str, label: str) -> Any:
    return page.find_element(
        "xpath", f"//*[@id='{table}']//label[starts-with(., '{label}')]/*[self::input or self::select]"
    )


def expect(page: Any, table: str, words: str) -> None:
    """Wait for the line above a table to begin with these words: a filter waits for the end of typing."""
    deadline = time.monotonic() + 20
    while not (said := find(page, f"#{table} [role=status]")[0].text).startswith(words):
        assert time.monotonic() < deadline, said
        time.sleep(0.05)


def choose(page: Any, table: str, label: str, option: str) -> None:
    from selenium.webdriver.support.select import Select

    Select(control(page, table, label)).select_by_visible_text(option)


def test_text_from_the_data_is_shown_and_does_nothing(page: Any) -> None:
    assert page.title != "ran"
    assert HOSTILE in find(page, "#items td.text")[0].text
    assert find(page, "img") == []
    assert page.get_log("browser") == []  # nothing was blocked either: nothing tried to run or to load


def test_items_are_found_by_text_annotator_label_group_and_split(page: Any) -> None:
    expect(page, "items", "40 of 40 items")
    control(page, "items", "Search").send_keys("text 17 ")
    expect(page, "items", "1 of 40 items")
    find(page, "#items button[type=reset]")[0].click()
    choose(page, "items", "Split", "test")
    expect(page, "items", "10 of 40 items")
    data = hostile().table
    control(page, "items", "Annotator").send_keys("p3 <b>")
    choose(page, "items", "Label given", "no $5")
    chosen = data[(data["split"] == "test") & (data["annotator_id"] == "p3 <b>") & (data["label"] == "no $5")]
    expect(page, "items", f"{len(chosen)} of 40 items")
    find(page, "#items button[type=reset]")[0].click()
    choose(page, "items", "Group", "left")
    choose(page, "items", "Label given", "no $5")
    said = data[(data["wing"] == "left") & (data["label"] == "no $5")]["item_id"].nunique()
    expect(page, "items", f"{said} of 40 items")


def test_annotators_are_filtered_and_sorted(page: Any) -> None:
    choose(page, "annotators", "Group", "right")
    expect(page, "annotators", "3 of 6 annotators")
    name = find(page, "#annotators th button.sort")[0]
    name.click()
    names = [cell.text for cell in find(page, "#annotators tbody th")]
    assert names == ["p3 <b>", "p4 <b>", "p5 <b>"]
    assert find(page, "#annotators thead th")[0].get_attribute("aria-sort") == "ascending"
    find(page, "#annotators th button.sort")[0].click()
    assert [cell.text for cell in find(page, "#annotators tbody th")] == names[::-1]


def test_everything_is_reached_by_key_and_focus_comes_back(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    opener = find(page, "#items tbody th button")[0]
    item = opener.text
    page.execute_script("arguments[0].focus()", opener)
    page.switch_to.active_element.send_keys(Keys.ENTER)
    assert find(page, "dialog h2")[0].text == f"Item {item}"
    assert page.switch_to.active_element.text == f"Item {item}"
    rows = hostile().table.query("item_id == @item").groupby("label")["annotator_id"].apply(list)
    for row in find(page, "dialog tbody tr"):
        names = [button.text for button in row.find_elements("tag name", "button")]
        assert sorted(names) == sorted(rows[row.find_element("tag name", "th").text])
    find(page, "dialog tbody button")[0].send_keys(Keys.ENTER)
    assert find(page, "dialog h2")[0].text.startswith("Annotator p")
    back = next(button for button in find(page, "dialog button") if button.text == "Back")
    back.send_keys(Keys.ENTER)
    assert find(page, "dialog h2")[0].text == f"Item {item}"
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not find(page, "dialog[open]")
    assert page.switch_to.active_element.text == item


def test_an_annotator_is_shown_with_leaning_partners_and_telling_items(page: Any) -> None:
    button = next(b for b in find(page, "#annotators tbody th button") if b.text == "p4 <b>")
    page.execute_script("arguments[0].click()", button)
    captions = [caption.text for caption in find(page, "dialog caption")]
    assert captions[0] == "Labels on 40 shared items"
    assert captions[1].startswith("Agrees most with")
    assert captions[2] == "Agrees least with"
    assert captions[3].startswith("Most telling items")
    most, least = (find(page, "dialog table")[k].find_elements("css selector", "tbody th") for k in (1, 2))
    assert {cell.text for cell in most} == {"p3 <b>", "p5 <b>"}
    assert {cell.text for cell in least} <= {"p0 <b>", "p1 <b>", "p2 <b>"}


def test_every_control_has_a_name_and_a_phone_needs_no_sideways_scrolling(page: Any) -> None:
    for element in find(page, "input, select, button, [role=group], [role=img]"):
        assert element.accessible_name, element.get_attribute("outerHTML")
    size = {"width": 360, "height": 780, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wide = page.execute_script("return document.documentElement.scrollWidth")
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide <= 360


def test_it_prints(page: Any) -> None:
    import base64

    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert not find(page, "#items .filters")[0].is_displayed()
        assert find(page, "#items td.text")[0].is_displayed()
        page.execute_script("arguments[0].click()", find(page, "#items tbody th button")[0])
        assert not find(page, "main")[0].is_displayed()  # what is open is what is printed
        printed = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {})["data"])
        assert printed.startswith(b"%PDF")
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_fifty_thousand_items_do_not_stall(browser: Any, tmp_path: Path) -> None:
    from dcpc.inspection import agreement, annotators, explorer, groups, judgements

    rng = np.random.default_rng(0)
    items = np.repeat(np.arange(50_000), 3)
    table = pd.DataFrame({"item_id": items, "annotator_id": rng.integers(0, 2_000, len(items))}).astype("str")
    table.insert(1, "text", "an item of some length, number " + table["item_id"])
    labels = ("a", "b", "c")
    table["label"] = np.array(labels)[rng.integers(0, 3, len(items))]
    annotations = Annotations(table, labels)
    shared = judgements.shared_judgements(annotations)
    data = explorer.make_explorer(
        annotations,
        bias=annotators.measure_bias(shared, annotations.annotators, labels),
        groups=groups.Groups((), None, None, None, 0, 0),
        columns={},
        preferences=None,
        listed=np.empty(0, dtype=int),
        texts=True,
    )
    assert data.shown_items == 50_000
    small = inspect_annotations(annotations.where(np.arange(60)), pairs=False)
    from dataclasses import replace

    path = tmp_path / "report.html"
    path.write_text(inspection_page(replace(small, explorer=data)), encoding="utf-8")
    assert path.stat().st_size < 12_000_000
    assert agreement.measure_overlap(annotations).items == 50_000
    browser.get(path.as_uri())
    # Each of these holds up the page's one thread; all together a second or so on an idle machine.
    took = browser.execute_script(
        """
        const start = performance.now(), times = {};
        const buttons = () => document.querySelectorAll("#items th button.sort");
        for (const k of [0, 1, 2]) buttons()[k].click();
        document.querySelectorAll("#items .pager button")[1].click();
        return performance.now() - start;
        """
    )
    assert took < 10_000
    control(browser, "items", "Search").send_keys("number 4999")
    expect(browser, "items", "11 of 50,000 items")
    assert len(find(browser, "#items tbody")) == 11
