"""A page as a part of a notebook."""

import html
import re

import pytest

from lucid_rl.errors import BundleError
from lucid_rl.interface.embedding import EmbeddedPage
from tests.conftest import PATIENCE
from tests.interface.page_fixture import make_bundle, write_synthetic_page


def test_only_a_page_of_a_single_file_can_be_embedded(tmp_path):
    with pytest.raises(BundleError, match="cannot read the page"):
        EmbeddedPage(tmp_path / "none.html")._repr_html_()
    page = tmp_path / "index.html"
    page.write_text("<html><head></head></html>")
    with pytest.raises(BundleError, match="no page of a single file"):
        EmbeddedPage(page)._repr_html_()


def test_the_frame_holds_the_page_and_nothing_else_changes(tmp_path):
    page = tmp_path / "index.html"
    text = '<head></head><p title="a&amp;b"><script data-part="manifest">"x"</script>'
    page.write_text(text)
    frame = EmbeddedPage(page, height=123)._repr_html_()
    (content,) = re.findall(r'srcdoc="([^"]*)"', frame)
    base = '<base href="about:srcdoc">'
    assert html.unescape(content) == text.replace("<head>", f"<head>{base}")
    assert 'height="123"' in frame


@pytest.mark.browser
def test_an_embedded_page_works_within_another(chromium, tmp_path):
    page = write_synthetic_page(make_bundle(), tmp_path / "page", single_file=True)
    notebook = tmp_path / "notebook.html"
    notebook.write_text(f"<p>before</p>{EmbeddedPage(page)._repr_html_()}", "utf-8")
    problems = []
    drawn = "() => window.lucidRL?.inspect?.()?.drawn.every((row) => row)"
    context = chromium.new_context()
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.goto(notebook.as_uri())
    frame = opened.wait_for_selector("iframe").content_frame()
    frame.wait_for_function(drawn)
    bookmarks = frame.get_by_test_id("bookmarks-advantage_low")
    bookmarks.get_by_role("button").first.click()
    # It notes what it shows in its own address, a moment later.
    frame.wait_for_function(
        "() => location.hash.split('&rows')[0] === lucidRL.inspect().address"
        ".split('&rows')[0] && lucidRL.inspect().frame > 0"
    )
    context.close()
    assert not problems
