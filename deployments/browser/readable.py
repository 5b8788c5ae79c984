"""HTML to Markdown: the main content by trafilatura, the whole page by markdownify.

They are libraries of long standing, kept well, and in Python: nothing of the page runs here.
"""

import re

import markdownify
import trafilatura

NOT_TEXT = ["script", "style", "noscript", "template", "head"]


def markdown(html: str, url: str | None, *, whole: bool = False, links: bool = True) -> str:
    """Return the page's main content, or its ``whole``, as Markdown.

    A page in which no main content is found is given whole: better too much than nothing.
    """
    if not whole:
        found = trafilatura.extract(
            html,
            url=url if url and url.startswith("http") else None,
            output_format="markdown",
            include_links=links,
            include_tables=True,
            favor_recall=True,
        )
        if found:
            return found.strip() + "\n"
    bare = re.sub(r"(?is)<(script|style|noscript|template|head)\b.*?</\1\s*>", "", html)
    strip = NOT_TEXT if links else [*NOT_TEXT, "a"]
    text = markdownify.markdownify(bare, strip=strip, heading_style="ATX", bullets="-")
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
