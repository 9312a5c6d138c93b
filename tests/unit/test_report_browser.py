"""The report in a headless Chromium: it draws, asks for nothing and complains of nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from flows.datasets.zones import load_zone_table
from flows.report.content import ReportContent
from flows.report.page import write_report
from scripts.chromium import Page, find_chromium, open_page
from tests.unit.builders import (
    CREATED,
    a_cluster_frame,
    a_comparison_record,
    a_suggestion,
    a_sweep_record,
    an_aggregate_record,
    an_experiment_record,
)

N_CHARTS = 9


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    binary = find_chromium()
    if binary is None:
        pytest.skip("no Chromium: install Debian's package `chromium`, or google-chrome")
    with open_page(binary, tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    history = [an_experiment_record(created=CREATED + timedelta(days=day), number=day) for day in range(9)]
    content = ReportContent(
        experiment=an_experiment_record(source="a <b>bold</b> month.parquet"),
        clusters=a_cluster_frame(60),
        zones=load_zone_table(shared_data / "zones"),
        sweep=a_sweep_record(suggestion=a_suggestion()),
        comparison=a_comparison_record(),
        aggregate=an_aggregate_record(),
        history=tuple(history),
    )
    write_report(path, content)
    return path


def hover_text(page: Page, selector: str) -> str:
    """What the chart says when the mouse is at the middle of an element."""
    place = page.evaluate(
        f"""(() => {{
            const element = document.querySelector({selector!r});
            element.scrollIntoView({{ block: "center", behavior: "instant" }});
            const box = element.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()"""
    )
    x, y = place
    page.move_mouse(x - 3, y)
    page.move_mouse(x, y)
    text: str = page.evaluate(
        """new Promise((resolve) => {
            const look = (left) => {
                const hover = document.querySelector(".hoverlayer .hovertext");
                if (hover !== null || left === 0) resolve(hover?.textContent ?? "");
                else requestAnimationFrame(() => look(left - 1));
            };
            look(120);
        })"""
    )
    return text


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1200, 900), (390, 844)], ids=["desk", "phone"])
def test_it_draws_everything_without_network_and_complaint(
    page: Page, report: Path, tmp_path: Path, width: int, height: int, dark: bool
) -> None:
    page.requests.clear()
    page.complaints.clear()
    page.open(report, width, height, dark)
    page.screenshot(tmp_path / "report.png")
    assert page.evaluate("document.querySelectorAll('.plot .svg-container').length") == N_CHARTS
    assert page.evaluate("document.querySelectorAll('#chart-map .scatterlayer .point').length") == 60
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith("data:")] == [report.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than the window"
    assert (tmp_path / "report.png").stat().st_size > 10_000


def test_hovering_over_a_bubble_names_the_cluster(page: Page, report: Path) -> None:
    page.open(report)
    text = hover_text(page, "#chart-map .scatterlayer .point")
    for expected in ("Cluster 0", "20,000 trips", "radius", " m", "Zone <0>"):
        assert expected in text


def test_hovering_over_a_failed_cell_tells_the_reason(page: Page, report: Path) -> None:
    page.open(report)
    selector = "#chart-heat-map-1 .scatterlayer .trace:nth-child(4) .point"
    assert "31.2 GiB" in hover_text(page, selector)


def test_charts_follow_the_readers_choice_of_light_and_dark(page: Page, report: Path) -> None:
    page.open(report)
    colour = "document.querySelector('#chart-k-distance').layout.font.color"
    light = page.evaluate(colour)
    page.evaluate(
        """globalThis.redrawn = new Promise((resolve) =>
            document.querySelector("#chart-history-runtime-seconds").once("plotly_afterplot", resolve))
            .then(() => true); 1"""
    )
    page.set_dark(True)
    assert page.evaluate("globalThis.redrawn")
    assert page.evaluate(colour) != light


def test_the_map_zooms_by_the_wheel_and_keeps_its_scale(page: Page, report: Path) -> None:
    page.open(report)
    span = "(([low, high]) => high - low)(document.querySelector('#chart-map').layout.xaxis.range)"
    before = page.evaluate(span)
    place = page.evaluate(
        """(() => {
            const map = document.querySelector("#chart-map");
            map.scrollIntoView({ block: "center", behavior: "instant" });
            globalThis.zoomed = new Promise((resolve) => map.once("plotly_relayout", resolve)).then(() => true);
            const box = map.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        })()"""
    )
    x, y = place
    page.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=-240)
    assert page.evaluate("globalThis.zoomed")
    assert page.evaluate(span) < before
    assert page.evaluate("document.querySelector('.scale span').textContent").endswith("m")


def test_a_table_is_sorted_by_its_heads(page: Page, report: Path) -> None:
    page.open(report)
    texts = "[...document.querySelectorAll('#map table tbody tr')].map((row) => row.cells[4].textContent)"
    click = "document.querySelectorAll('#map table th button')[4].click()"
    page.evaluate(click)
    found = [int(radius) for radius in page.evaluate(texts)]
    assert found == sorted(found, reverse=True)
    page.evaluate(click)
    assert [int(radius) for radius in page.evaluate(texts)] == sorted(found)
