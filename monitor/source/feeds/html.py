"""HTML to text, on Lexbor (an HTML5 parser in C): what a browser would show, block by block."""

from __future__ import annotations

import re
from html import unescape

from selectolax.lexbor import LexborHTMLParser

_MOST = 300_000
"""Characters of HTML that are looked at."""
_MARKS = 10_000
"""More tags than this are cut out without being understood: nested, they would take minutes."""
_BREAK = "\ufdd0"  # a noncharacter, which `clean` takes out of texts
_UNSEEN = [
    *("script", "style", "noscript", "template", "iframe", "object", "embed", "svg", "math"),
    *("head", "title", "form", "button", "select", "textarea", "audio", "video", "canvas"),
]
_BLOCKS = (
    "address,article,aside,blockquote,br,center,dd,details,div,dl,dt,figcaption,figure,footer,h1,h2,"
    "h3,h4,h5,h6,header,hr,li,main,nav,ol,p,pre,section,summary,table,tr,ul"
)
_CELLS = "td,th"
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0\ufeff\u00ad\u200b]")
_TAG = re.compile(r"<[^<>]*>")
_RUN = re.compile(r"\s+")
_BREAKS = re.compile(rf"\s*{_BREAK}[\s{_BREAK}]*")


def html_to_text(html: str) -> str:
    """The visible text; a line for each block. Never raises for what is in the HTML."""
    html = clean(html[:_MOST])
    if html.count("<") > _MARKS:
        return plain_text(unescape(_TAG.sub(" ", html)))
    tree = LexborHTMLParser(html)
    tree.strip_tags(_UNSEEN)
    body = tree.body
    if body is None:
        return ""
    for node in body.css(_BLOCKS):
        node.insert_before(_BREAK)
        node.insert_after(_BREAK)
    for node in body.css(_CELLS):
        node.insert_after(" ")
    return _BREAKS.sub("\n", _RUN.sub(" ", body.text(deep=True, separator=""))).strip()


def plain_text(text: str) -> str:
    """A text that is no HTML: white space in one piece, lines kept."""
    return "\n".join(
        filter(None, (_RUN.sub(" ", line).strip() for line in clean(text).split("\n")))
    )


def clean(text: str) -> str:
    """Without what the message contract forbids, soft hyphens and zero-width spaces."""
    return _CONTROL.sub("", text)
