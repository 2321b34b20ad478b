"""The page in a real browser: Debian's Chromium without a screen, moved by playwright; by pointer, keys and thumb."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect, sync_playwright

from services import Unavailable
from webservice import Site

expect.set_options(timeout=60_000)
DESK: ViewportSize = {"width": 1000, "height": 620}
PHONE: ViewportSize = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; closed with this module, since playwright keeps an event loop running."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("RESUMABLE_TEST_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise Unavailable("No browser (Debian: apt-get install chromium), and RESUMABLE_TEST_CHROMIUM names none.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """The page, signed in; whatever it complains of fails the test: errors, and what its policy forbids."""
    complaints: list[str] = []
    with browser.new_context(base_url=site.url, viewport=DESK) as context:
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.goto("/")
        page.get_by_label("Name").fill("demo")
        page.get_by_label("Password").fill(site.password)
        page.get_by_label("Password").press("Enter")
        expect(page.get_by_role("heading", name="Tasks")).to_be_visible()
        yield page
    assert [] == [text for text in complaints if "responded with a status of 4" not in text]


@pytest.fixture
def shot(tmp_path: Path) -> Callable[[Page, str], None]:
    """Keeps a picture of the page; RESUMABLE_PICTURES=docs renews those of docs/webapp.md."""
    folder = Path(os.environ.get("RESUMABLE_PICTURES", tmp_path))

    def shot(page: Page, name: str) -> None:
        page.wait_for_timeout(500)  # the bar glides
        page.screenshot(path=folder / f"webapp-{name}.png")

    return shot


tables = (f"orders_{n}" if n > 1 else "orders" for n in itertools.count(1))


def begin(page: Page, site: Site, file: Path) -> tuple[Locator, str]:
    """Choose a file on the page and upload it; met in the middle, with its worker frozen. The card and the table."""
    for _ in range(5):
        table, field = next(tables), page.get_by_role("textbox", name="Into table")
        page.locator("#upload input[type=file]").set_input_files(file)
        expect(field).to_have_value("orders")
        field.fill(table)
        page.get_by_role("button", name="Upload").click()
        card = page.get_by_role("listitem", name=f"orders.csv into table {table}", exact=True)
        expect(card).to_be_visible()
        task = next(t for t in site.demo.ask("GET", "/tasks/").json["tasks"] if t["table"] == table)
        site.begun(task["task_id"], past=0.3)
        site.freeze()
        told = site.demo.task(task["task_id"])
        if told["status"] == "running" and 0 < told["fraction"] < 1:
            return card, table
        site.wake()
    raise AssertionError("inconclusive: it was never met in the middle")


def done(card: Locator) -> float:
    """How far the card's bar is, 0 to 1."""
    return float(card.get_by_role("progressbar").evaluate("bar => bar.value"))


def state(card: Locator) -> Locator:
    """The word for its state."""
    return card.locator(".state")


def test_choose_watch_pause_resume_terminate(
    page: Page, site: Site, orders: Path, shot: Callable[[Page, str], None]
) -> None:
    """The bar moves by itself; each button does what it says; a terminated upload is undone after a question."""
    card, _ = begin(page, site, orders)
    expect(state(card)).to_have_text("running")
    expect(card.locator(".facts")).to_have_text(re.compile(r"[\d,]+\srows · \d+\s% · [\d,]+\srows/s · .*\sleft"))
    first = done(card)
    assert 0 < first < 1
    shot(page, "running")
    page.set_viewport_size(PHONE)
    card.scroll_into_view_if_needed()
    shot(page, "phone")
    page.set_viewport_size(DESK)
    card.get_by_role("button", name="Pause").click()
    expect(state(card)).to_have_text("pausing …")
    expect(card.get_by_role("button", name="Pause")).to_be_disabled()
    site.wake()
    expect(state(card)).to_have_text("paused")
    assert first <= done(card) < 1
    shot(page, "paused")
    card.get_by_role("button", name="Resume").click()
    expect(state(card)).to_have_text("completed")
    expect(card.locator(".facts")).to_contain_text("300,000 rows")
    assert 1 == done(card)
    shot(page, "completed")
    expect(card.get_by_role("button")).to_have_count(0)

    card, table = begin(page, site, orders)
    card.get_by_role("button", name="Terminate").click()
    expect(page.get_by_role("dialog")).to_contain_text(f"Table {table} will be as it was before")
    shot(page, "sure")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(state(card)).to_have_text("running")
    card.get_by_role("button", name="Terminate").click()
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click()
    expect(state(card)).to_have_text("terminating …")
    site.wake()
    expect(state(card)).to_have_text("terminated")
    expect(card.get_by_role("button")).to_have_count(0)
    shot(page, "terminated")


def test_an_export_is_downloaded_on_a_phone(page: Page, site: Site, tmp_path: Path) -> None:
    """All on a narrow screen, where nothing has to be scrolled sideways and buttons are as large as a thumb."""
    small, table = tmp_path / "small.csv", f"t_{uuid.uuid4().hex[:8]}"
    small.write_text("id,name\n1,one\n")
    site.until(site.demo.upload(small, table=table, key="id").json["task_id"], "completed")
    page.set_viewport_size(PHONE)
    page.get_by_role("combobox", name="Table", exact=True).fill(table)
    page.get_by_role("button", name="Export").click()
    card = page.get_by_role("listitem", name=f"table {table} into {table}.csv")
    expect(state(card)).to_have_text("completed")
    with page.expect_download() as download:
        card.get_by_role("link", name="Download").click()
    assert small.read_bytes() == Path(download.value.path()).read_bytes()
    assert f"{table}.csv" == download.value.suggested_filename
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for control in page.locator(
        "button:visible, .button:visible, .drop, input:visible:not([type=file]), select:visible"
    ).all():
        box = control.bounding_box()
        assert box is not None
        assert box["height"] >= 44, control


WHERE = """() => {
    const at = document.activeElement, shown = at.closest(".drop") ?? at;
    return [at === document.body ? "page" : at.name || at.innerText, getComputedStyle(shown).outlineStyle];
}"""
"""Where the focus is, and the outline that shows it: the file's is on what is seen of it."""


def test_everything_can_be_done_by_keyboard(page: Page, site: Site, orders: Path) -> None:
    """Tab reaches each control, and shows where one is; whoever presses Pause stands on Resume afterwards."""
    card, _ = begin(page, site, orders)
    page.evaluate("document.activeElement.blur()")
    reached, unseen = set(), set()
    for _ in range(200):  # past the tasks of other tests
        page.keyboard.press("Tab")
        name, outline = page.evaluate(WHERE)
        reached.add(name)
        unseen |= {name} if outline == "none" else set()
    assert {
        "Sign out",
        "file",
        "table",
        "if_exists",
        "Upload",
        "key",
        "format",
        "Export",
        "Pause",
        "Terminate",
    } <= reached
    assert unseen <= {"page"}
    card.get_by_role("button", name="Pause").focus()
    page.keyboard.press("Enter")
    site.wake()
    expect(card.get_by_role("button", name="Resume")).to_be_enabled()
    focus = page.evaluate("document.activeElement.className")
    assert focus in ("turn", "task"), focus


def test_what_is_refused_is_said_where_it_was_done(page: Page, site: Site, tmp_path: Path) -> None:
    """A reason beside the form, and names that are markup stay text."""
    small = tmp_path / "small.csv"
    small.write_text("id\n1\n")
    page.locator("#upload input[type=file]").set_input_files(small)
    page.get_by_role("textbox", name="Into table").fill("pg_class")
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#upload").get_by_role("alert")).to_contain_text("can't be a table's name")
    evil, table = "<img src=x onerror=alert(1)>.csv", f"t_{uuid.uuid4().hex[:8]}"
    site.demo.upload(small, name=evil, table=table)
    expect(page.get_by_text(evil)).to_be_visible()
    assert 0 == page.locator("#tasks img").count()


def test_a_page_that_was_left_finds_its_tasks_again(page: Page, site: Site, tmp_path: Path) -> None:
    """Loaded anew it shows what is there; signed out it leads to the form to sign in."""
    small, table = tmp_path / "small.csv", f"t_{uuid.uuid4().hex[:8]}"
    small.write_text("id\n1\n")
    site.demo.upload(small, table=table)
    page.reload()
    expect(state(page.get_by_role("listitem", name=f"small.csv into table {table}"))).to_have_text("completed")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
