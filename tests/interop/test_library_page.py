"""The page of libraries says what the tests try."""

from tests.interop import library_page


def test_the_page_is_of_these_tests() -> None:
    assert library_page.PAGE.read_text("utf-8") == library_page.page(), "python -m tests.interop.library_page"
