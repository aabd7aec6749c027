"""XML of strangers as a small tree of elements: bounded in size, depth and number, and without entities of its own.

Text between elements is not kept; attributes are. Nothing outside the given text is ever read.
"""

from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

MOST_BYTES: Final = 2**24  # ten thousand recorded pulses take a good half of it
MOST_ELEMENTS: Final = 400_000
DEEPEST: Final = 32  # files of targets nest five deep


class XmlError(ValueError):
    """Text that is no XML, or XML that is refused; the message says which."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element, its attributes and the elements in it."""

    tag: str
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)

    def every(self, tag: str) -> list["Element"]:
        """The direct children of that tag, in order."""
        return [child for child in self.children if child.tag == tag]

    def only(self, tag: str) -> "Element | None":
        """The direct child of that tag where there is exactly one."""
        found = self.every(tag)
        return found[0] if len(found) == 1 else None


def parse_xml(text: str) -> Element:
    """The root element. Raises XmlError for what is not well-formed, too large, too deep, or declares entities or rules of its own."""
    content = text.encode("utf-8", "surrogatepass")
    if len(content) > MOST_BYTES:
        raise XmlError(f"it is longer than {MOST_BYTES >> 20} MB")
    tree = _Tree()
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.StartDoctypeDeclHandler = _plain_doctype
    parser.EntityDeclHandler = _no_entity
    parser.ExternalEntityRefHandler = _no_outside
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise XmlError(f"not well-formed: {error}") from error
    return tree.top.children[0]


class _Tree:
    """What is open while the parser goes through the text."""

    def __init__(self) -> None:
        self.top = Element("", {})
        self._open = [self.top]
        self._count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MOST_ELEMENTS:
            raise XmlError(f"it has more than {MOST_ELEMENTS} elements")
        if len(self._open) > DEEPEST:
            raise XmlError(f"its elements lie more than {DEEPEST} deep in each other")
        element = Element(tag, attributes)
        self._open[-1].children.append(element)
        self._open.append(element)

    def end(self, _tag: str) -> None:
        self._open.pop()


def _plain_doctype(_name: str, system_id: str | None, public_id: str | None, has_rules: bool) -> None:
    if system_id or public_id or has_rules:
        raise XmlError("its document type brings rules or entities of its own, or points outside the file")


def _no_entity(*_declared: object) -> None:
    raise XmlError("it declares entities")


def _no_outside(*_reference: object) -> int:
    raise XmlError("it points outside the file")
