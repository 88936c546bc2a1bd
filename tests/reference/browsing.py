"""How tests open pages: in headless Chromium, from disk, at the sizes of a desk and of a phone."""

import shutil

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
DESKTOP = {"viewport": {"width": 1360, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}

# Elements whose text is cut off: they hide or scroll what does not fit. Charts and their menus are Plotly's.
CLIPPED = """[...document.querySelectorAll('main *, nav *')].filter(element =>
    element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflowX !== 'visible'
    && !element.closest('.plot, .hidden, thead, pre')).map(element => element.outerHTML.slice(0, 120))"""


def open_details(page) -> None:
    """Unfold everything that is folded."""
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
