"""What the tracker knows, for people: what all its tables and lines share."""

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from ard.adapters.console import plain, put

PLAIN_WIDTH = 160  # where there is no terminal


def results_console() -> Console:
    """A console on what is stdout now; without a terminal it is wide, and nothing is coloured."""
    console = Console(highlight=False, markup=False, emoji=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, emoji=False, width=PLAIN_WIDTH)


def put_view(view: RenderableType) -> None:
    """A view, on stdout; without a terminal, no line ends in spaces."""
    console = results_console()
    if console.is_terminal:
        console.print(view)
        return
    with console.capture() as captured:
        console.print(view)
    put("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def grid(texts: Sequence[str], numbers: Sequence[str], more: Sequence[str] = ()) -> Table:
    """A table without lines: columns of words, then of numbers, then of words again."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in texts:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for name in more:
        table.add_column(name, overflow="fold")
    return table


def words(text: object, style: str = "") -> Text:
    """A text as data gave it, without anything that a terminal would obey."""
    return Text(plain(str(text)), style=style)
