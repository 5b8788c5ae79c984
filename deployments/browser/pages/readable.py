"""HTML to Markdown: the main content by trafilatura, the whole page by markdownify.

They are libraries of long standing, kept well, and in Python: nothing of the page runs here. A page
can be made that takes them minutes or a gigabyte all the same (50 KB of blanks is enough), and a
regular expression of theirs stops every thread of its process. So this runs in `reader`'s children.
"""

from typing import Any

import lxml.etree
import lxml.html
import markdownify
import trafilatura

NOT_TEXT = ["script", "style", "noscript", "template", "head"]


def markdown(html: str, url: str | None, *, whole: bool = False, links: bool = True) -> str:
    """Return the page's main content, or its ``whole``, as Markdown.

    A page in which no main content is found is given whole: better too much than nothing. One that
    is nested too deeply for either library is given as its bare text, to a depth of 2048.
    """
    try:
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
        return _whole(html, links)
    except RecursionError:
        return _tidy(" ".join(_bare(html).itertext()))


def _bare(html: str) -> Any:
    """The page without what nobody reads, as a tree."""
    try:
        tree: Any = lxml.html.document_fromstring(html, lxml.html.HTMLParser(huge_tree=True))
    except lxml.etree.ParserError:  # there is nothing in it
        return lxml.html.document_fromstring("<p>")
    for element in list(tree.iter(*NOT_TEXT)):
        element.drop_tree()
    return tree


def _whole(html: str, links: bool) -> str:
    bare: Any = lxml.html.tostring(_bare(html), encoding="unicode")
    strip = None if links else ["a"]
    return _tidy(markdownify.markdownify(bare, strip=strip, heading_style="ATX", bullets="-"))


def _tidy(text: str) -> str:
    """``text`` with at most one empty line in a row."""
    kept: list[str] = []
    for line in text.splitlines():
        if line.strip() or (kept and kept[-1]):
            kept.append(line if line.strip() else "")
    return "\n".join(kept).strip() + "\n"
