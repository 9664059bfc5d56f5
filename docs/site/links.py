"""Checks every link of the documentation: files exist, and so do the headings that links name.

    links.py           the pages as they are in Git
    links.py FOLDER    the site that was built
    links.py --files   checks nothing, and lists the files that pages link to
    links.py --rest    checks nothing, and prints the summary's lines for pages that it has no line for

Addresses outside are not asked: a check must not fail because a foreign server is away.
"""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
SUMMARY = ROOT / "docs/site/SUMMARY.md"
# Written by `build`, because a page needs a name that ends in .md.
MADE = {"LICENSE.md"}
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")


def pages() -> list[Path]:
    """The pages in Git, and those that will be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    return [ROOT / name for name in sorted(set(filter(None, listed.split("\0")))) if (ROOT / name).exists()]


def anchors(text: str) -> set[str]:
    """The names by which headings are reached, as Git hosts and mdBook make them."""
    seen: dict[str, int] = {}
    found = set()
    for heading in re.findall(r"^#{1,6} +(.+?)\s*$", FENCE.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number = seen.get(name, 0)
        seen[name] = number + 1
        found.add(f"{name}-{number}" if number else name)
    return found


def links(texts: dict[Path, str]):
    """Each link to something of this project: its page, as it is written, the file, and the name of a heading."""
    for page, text in texts.items():
        for target in LINK.findall(re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))):
            link = urlsplit(target)
            # The summary's links are from the root of the site.
            base = ROOT if page == SUMMARY else page.parent
            if not link.scheme and not (page == SUMMARY and link.path in MADE):
                yield page, target, (base / unquote(link.path)).resolve() if link.path else page, link.fragment


def linked_files() -> set[str]:
    """The files beside the pages that the site needs."""
    found = {file for _, _, file, _ in links({page: page.read_text() for page in pages()})}
    return {str(file.relative_to(ROOT)) for file in found if file.suffix != ".md" and file.is_file()}


def check_pages() -> list[str]:
    """What is wrong with the links between the pages in Git."""
    wrong = []
    texts = {page: page.read_text() for page in pages()}
    for page, target, file, fragment in links(texts):
        where = f"{page.relative_to(ROOT)}: {target}"
        if not file.exists():
            wrong.append(f"{where}: no such file")
        elif fragment and file.suffix == ".md" and fragment not in anchors(texts[file]):
            wrong.append(f"{where}: no such heading")
    return wrong


def rest() -> str:
    """The lines of a last part of the summary, so that a new page is on the site at once."""
    listed = set(LINK.findall(SUMMARY.read_text()))
    left = [page for page in pages() if page != SUMMARY and str(page.relative_to(ROOT)) not in listed]
    lines = [f"- [{page.read_text().splitlines()[0].lstrip('# ')}]({page.relative_to(ROOT)})" for page in left]
    return "\n".join(["", "# More", "", *lines, ""]) if left else ""


class Reader(HTMLParser):
    """The links and the names of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if value and key in ("id", "name"):
                self.names.add(value)
            elif value and key in ("href", "src"):
                self.links.append(value)


def check_site(folder: Path) -> list[str]:
    """What is wrong with the links of the site; nothing of it may come from elsewhere either."""
    read: dict[Path, Reader] = {}
    for page in sorted(folder.rglob("*.html")):
        read[page.resolve()] = reader = Reader()
        reader.feed(page.read_text())
    wrong = []
    for page, reader in read.items():
        if page.name in ("print.html", "toc.html", "404.html"):
            continue
        for target in reader.links:
            link = urlsplit(target)
            if link.scheme or link.netloc:
                continue
            file = (page.parent / unquote(link.path)).resolve() if link.path else page
            if file.is_dir():
                file /= "index.html"
            where = f"{page.relative_to(folder.resolve())}: {target}"
            if not file.exists():
                wrong.append(f"{where}: no such file")
            elif link.fragment and file in read and unquote(link.fragment) not in read[file].names:
                wrong.append(f"{where}: no such heading")
    return wrong if read else [f"{folder} has no page"]


def main() -> None:
    """Prints what is wrong."""
    if sys.argv[1:] == ["--files"]:
        print("\n".join(sorted(linked_files())))
        return
    if sys.argv[1:] == ["--rest"]:
        print(rest(), end="")
        return
    wrong = check_site(Path(sys.argv[1])) if len(sys.argv) > 1 else check_pages()
    if wrong:
        sys.exit("\n".join(wrong))


main()
