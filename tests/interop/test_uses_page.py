"""The page of libraries says what the tests try."""

from tests.interop import uses_page


def test_the_page_is_of_these_tests() -> None:
    assert uses_page.PAGE.read_text("utf-8") == uses_page.page(), "python -m tests.interop.uses_page"
