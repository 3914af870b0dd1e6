# SPDX-License-Identifier: MIT
"""Makes matplotlib's SVG small: leaves out what cannot be seen, and says what is alike once."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

NAMESPACE = "http://www.w3.org/2000/svg"
SVG = f"{{{NAMESPACE}}}"
HREF = "{http://www.w3.org/1999/xlink}href"
FONT = "font-family:'DejaVu Sans',Verdana,sans-serif"
PLACES = ("d", "x", "y", "width", "height", "transform")
LOOKS = ("style", "clip-path")
UNUSED = "unused"

ElementTree.register_namespace("", NAMESPACE)


def short_places(places: str) -> str:
    """Coordinates to a tenth of a point, and no letter where a line goes on without it."""
    tenths = re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.1f}", places)
    tenths = re.sub(r"\.0\b", "", tenths)
    return re.sub(r"\s*\b([MCz])\b\s*", r"\1", re.sub(r"\s+L?\s*", " ", tenths)).strip()


def shorten_places(element: Element) -> None:
    for key in PLACES:
        if key in element.attrib:
            element.set(key, short_places(element.attrib[key]))
    if element.get("transform", "").startswith("rotate(-0"):
        del element.attrib["transform"]


def styles(element: Element) -> dict[str, str]:
    pairs = (i.split(":") for i in element.get("style", "").split(";") if i)
    return {key.strip(): value.strip() for key, value in pairs}


def inside(element: Element) -> Iterator[tuple[Element, list[Element]]]:
    """Each element, the innermost first, with what is in it."""
    for child in list(element):
        yield from inside(child)
    yield element, list(element)


def marks_in(root: Element) -> dict[str, Element]:
    return {f"#{i.attrib['id']}": i for i in root.iter(f"{SVG}path") if "id" in i.attrib}


def move_looks_to_marks(root: Element) -> None:
    """Each use of a mark says how the mark looks, and all say the same."""
    marks = marks_in(root)
    for use in root.iter(f"{SVG}use"):
        use.set("href", use.attrib.pop(HREF))
        marks[use.attrib["href"]].set("style", use.attrib.pop("style"))


def draw_discs_as_dots(root: Element) -> None:
    """Draws the marks "o" of a group as one path: lines of no length, with round ends."""
    marks = marks_in(root)
    for group in root.iter(f"{SVG}g"):
        uses = group.findall(f"{SVG}use")
        mark = marks[uses[0].attrib["href"]] if uses else Element(UNUSED, d="")
        disc = re.match(r"M 0 ([\d.]+)\s+C ", mark.attrib["d"])
        if disc:
            width = 2 * float(disc[1]) + 1  # with its edge
            places = (f"M {i.attrib['x']} {i.attrib['y']}h0 " for i in uses)
            end = f"stroke: {styles(mark)['fill']}; stroke-width: {width:g}; stroke-linecap: round"
            group[:] = [Element(f"{SVG}path", d="".join(places), style=end)]
            mark.tag = UNUSED


def shorten_names(root: Element) -> None:
    """Keeps only the names that are used."""
    used = re.findall(r"#([mp][0-9a-f]{10})", ElementTree.tostring(root, "unicode"))
    short = {name: f"{name[0]}{i}" for i, name in enumerate(dict.fromkeys(used))}
    for element in root.iter():
        name = short.get(element.attrib.pop("id", ""))
        if name:
            element.set("id", name)
        for key in ("href", "clip-path"):
            value = element.get(key)
            if value:
                element.set(key, re.sub(r"[mp][0-9a-f]{10}", lambda m: short[m[0]], value))


def drop_unused(root: Element) -> None:
    """The marks that were replaced, and definitions of nothing."""
    for element, children in inside(root):
        element[:] = [i for i in children if i.tag != UNUSED and (len(i) or i.tag != f"{SVG}defs")]


def unwrap_groups(root: Element) -> None:
    """Those that say nothing of what is in them."""
    for element, children in inside(root):
        bare = [i for i in children if i.tag == f"{SVG}g" and not i.attrib]
        element[:] = [j for i in children for j in (i if i in bare else [i])]


def join_paths(root: Element) -> None:
    """Those that follow each other and look alike."""
    for element, children in inside(root):
        before = Element(UNUSED)
        for child in children:
            alike = child.tag == before.tag == f"{SVG}path" and "id" not in child.attrib
            if alike and child.get("class") == before.get("class"):
                before.set("d", before.attrib["d"] + child.attrib["d"])
                element.remove(child)
            else:
                before = child


def looks(element: Element) -> list[str]:
    """As CSS: the style without the font, which all have alike, and what cuts the element off."""
    told = (f"{key}:{value}" for key, value in styles(element).items() if key != "font-family")
    return [";".join(told), f"clip-path:{element.get('clip-path', '')}"]


def name_looks(root: Element) -> None:
    """Says each look once, as a class."""
    names: dict[str, str] = {"": "", "clip-path:": ""}
    for element in root.iter():
        found = [names.setdefault(i, f"c{len(names)}") for i in looks(element)]
        if any(found):
            element.set("class", " ".join(found).strip())
        for key in LOOKS:
            element.attrib.pop(key, None)
    style = next(root.iter(f"{SVG}style"))
    rules = [f".{name}{{{look}}}" for look, name in names.items() if name]
    style.text = "\n".join([style.text or "", f"text{{{FONT}}}", *rules])


def smaller(svg: str) -> str:
    root = ElementTree.fromstring(svg)
    root[:] = [child for child in root if child.tag != f"{SVG}metadata"]
    move_looks_to_marks(root)
    draw_discs_as_dots(root)
    drop_unused(root)
    shorten_names(root)
    for element in root.iter():
        shorten_places(element)
        element.tail = "\n"
        if element.text and not element.text.strip():
            element.text = None
    name_looks(root)
    unwrap_groups(root)
    join_paths(root)
    return ElementTree.tostring(root, "unicode").replace(" />", "/>")
