"""The page of a report in a real browser, opened from disk and without a network."""

import pytest

from ard.product import Product
from ard.rows import Attempt
from ard.states import State
from tests.browser import BROWSERS, browsing, installed
from tests.factories import NOW, make_job, make_row
from tracker.report.write import write_report

JOB = "west-africa-with-a-rather-long-name-0123456789"
REGIONS = dict.fromkeys(Product, "eu-central-1")
STATES = [State.SUCCEEDED] * 6 + [State.FAILED, State.NO_DATA, State.RUNNING, State.SKIPPED]
MESSAGE = "<img src=x onerror='window.broken=1'><script>window.broken=1</script> https://a.test/" + "long" * 60
SIZES = [(1280, False), (768, False), (390, True), (320, True)]

# The contrast of every text with what it stands on, by the formula of WCAG 2.2; the worst of the page.
CONTRAST = """
(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const under = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const found = parts(getComputedStyle(one).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const worst = { ratio: 99 };
  for (const element of document.querySelectorAll("body *")) {
    const words = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!words || element.closest("script, svg, option") || !element.getClientRects().length) continue;
    const [a, b] = [light(parts(getComputedStyle(element).color)), light(under(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst.ratio) Object.assign(worst, { ratio, where: element.outerHTML.slice(0, 80) });
  }
  return worst;
})()
"""
FOCUSABLE = """
[...document.querySelectorAll("a, button, select, [tabindex]")].filter((one) => one.getClientRects().length &&
  !(one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.length)).length
"""


def rows(years=(2023,)):
    for number in range(120):
        for year in years:
            for product in Product:
                state = STATES[(number * 7 + list(Product).index(product)) % len(STATES)]
                ran = Attempt(worker="w", started=NOW + number, ended=NOW + number + 9, outcome="SUCCEEDED")
                yield make_row(
                    job_id=JOB, product=product, year=year, state=state, x_tile=number % 12, y_tile=number // 12,
                    lon=-54.5 + number % 12 / 18, lat=number // 12 / 18, attempts=(ran,), seconds=9.0, gb_seconds=36.0,
                    lease_until=NOW + 9000, cause="internal" if state is State.FAILED else None, message=MESSAGE,
                    flags=("few_dates",), digest={"a_rather_long_name_of_a_number": number / 7},
                )  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    program = installed()
    if program is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is on this machine")
    with browsing(program, tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports") / JOB
    job = make_job(job_id=JOB, totals=dict.fromkeys(Product, 240), max_cost_usd=2.0)
    write_report(
        job, rows((2023, 2024)), folder, now=NOW + 600, regions=REGIONS, memory_mb=dict.fromkeys(Product, 1024)
    )
    return (folder / "report.html").as_uri()


@pytest.fixture
def opened(page, address):
    def see(hash_="", *, width=1280, dark=False, phone=False):
        page.look(width=width, dark=dark, phone=phone)
        page.problems.clear()
        page.asked.clear()
        page.open("about:blank")
        page.open(address + hash_)
        return page

    return see


def counted(page):
    return page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('#legend li:not([hidden])')]"
        ".map((entry) => [entry.dataset.state, Number(entry.querySelector('b').textContent)]))"
    )


def test_the_page_opens_without_errors_and_asks_for_nothing(opened, address):
    page = opened()

    assert page.evaluate("document.querySelector('h1').textContent").startswith(JOB)
    assert page.problems == []
    assert set(page.asked) <= {address, "about:blank"}


def test_what_workers_say_does_not_run(opened):
    page = opened()

    assert page.evaluate("window.broken") is None
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    assert page.evaluate("document.querySelector('pre').textContent").startswith("<img src=x")


@pytest.mark.parametrize(("width", "phone"), SIZES)
def test_nothing_is_wider_than_the_screen(opened, width, phone):
    page = opened(width=width, phone=phone)

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelector('#tiles').getBoundingClientRect().width") > width * 0.4


def test_an_address_filters_the_map(opened):
    everything, page = counted(opened()), opened("#product=s2&year=2024&state=failed")

    assert page.evaluate("document.documentElement.dataset.filter") == "product=s2&year=2024&state=failed"
    shown = int(page.evaluate("document.querySelector('#tiles').dataset.shown"))
    assert shown == page.evaluate("document.querySelectorAll('#tiles rect.s0').length") == counted(page)["failed"] == 12
    assert everything["failed"] == 36
    assert page.evaluate("document.querySelectorAll('#tiles rect.dim').length") == 120 - 12


def test_a_choice_filters_the_map_and_stands_in_the_address(opened):
    page = opened()

    page.evaluate(
        "(() => { const select = document.querySelector('select[name=product]'); select.value = 'dem';"
        "select.dispatchEvent(new Event('change', { bubbles: true })); })()"
    )

    assert page.evaluate("location.hash") == "#product=dem"
    assert counted(page) == {"failed": 12, "running": 12, "no data": 12, "done": 72, "skipped": 12}
    assert page.problems == []


def test_an_address_that_means_nothing_shows_everything(opened):
    page = opened("#product=nothing&x=%00")

    assert page.evaluate("document.documentElement.dataset.filter") == ""
    assert sum(counted(page).values()) == 120
    assert page.problems == []


def test_a_command_is_there_to_be_copied(opened):
    page = opened()

    page.evaluate("document.querySelector('button[data-copy]').click()")

    assert page.evaluate("getSelection().toString()").startswith(f"tracker redrive --job {JOB}")
    assert page.problems == []


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_can_be_read(opened, dark):
    worst = opened(dark=dark).evaluate(CONTRAST)

    assert worst["ratio"] >= 4.5, worst


def test_whatever_takes_the_keyboard_has_a_name(opened):
    assert opened().evaluate(FOCUSABLE) == 0


def test_the_page_can_be_printed_and_seen(opened):
    page = opened(width=390, phone=True)

    assert page.call("Page.printToPDF")["data"].startswith("JVBERi")  # %PDF-
    assert len(page.picture(whole=True)) > 20_000
