"""HTML that cannot be broken out of: whatever is not markup already is escaped."""

import html
from dataclasses import dataclass

# Control characters, which move cursors and colour terminals, and the marks that turn the direction of writing.
_CONTROLS = (*range(0x20), 0x7F, *range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_PICTURES = {code: chr(0x2400 + code) if code < 0x20 else "\N{REPLACEMENT CHARACTER}" for code in _CONTROLS}  # noqa: PLR2004

_VOID = {"meta", "input", "br"}


@dataclass(frozen=True, slots=True)
class Html:
    """A piece of markup."""

    text: str


Piece = Html | str


def visible(text: str) -> str:
    """Text in which control characters are seen instead of obeyed."""
    return text.translate(_PICTURES)


def escaped(text: str) -> str:
    """Text as it stands in markup, in an attribute too."""
    return html.escape(visible(text))


def element(tag: str, *children: Piece, **attributes: str | float | bool | None) -> Html:
    """An element; an attribute is spelled ``class_`` or ``data_name``, True is bare, None and False leave it out."""
    words = [
        tag,
        *(_attribute(name, value) for name, value in attributes.items() if not (value is None or value is False)),
    ]
    opening = f"<{' '.join(words)}>"
    return Html(opening if tag in _VOID else f"{opening}{joined(*children).text}</{tag}>")


def joined(*pieces: Piece) -> Html:
    """One after the other."""
    return Html("".join(piece.text if isinstance(piece, Html) else escaped(piece) for piece in pieces))


def _attribute(name: str, value: str | float | bool | None) -> str:  # noqa: FBT001 - True is a bare attribute
    spelled = name.rstrip("_").replace("_", "-")
    return spelled if value is True else f'{spelled}="{escaped(str(value))}"'
