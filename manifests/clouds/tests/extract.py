#!/usr/bin/env python3
"""Writes which arguments the resources of the modules have, as the makers of the providers describe them.

    manifests/clouds/tests/extract.py FOLDER

FOLDER has the wheels of cdktn-provider-google and cdktn-provider-aws, which contain the types that are generated from the
schemas of the real providers: `pip download --no-deps --dest FOLDER cdktn-provider-google==21.1.0 cdktn-provider-aws==25.8.1`.
What is required is kept in schemas/, and what the modules mention. Run it again when a module uses another resource or argument.
"""

import io
import json
import re
import sys
import tarfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULES = HERE.parent
# Where a description names the argument: `…/docs/resources/KIND#ARGUMENT Class#ARGUMENT`.
LINK = re.compile(r"/providers/[^/]+/([^/]+)/([\d.]+)/docs(?:/(resources|data-sources)/([^#\s]+))?#(\w+) ")
# Of the provider's own arguments, which are hundreds.
PROVIDER = {"project", "region"}
USED = re.compile(r'^(resource|data) "((?:google|aws)_\w+)"', re.MULTILINE)


def assembly(wheel: Path) -> dict:
    """The types in a wheel."""
    with zipfile.ZipFile(wheel) as files:
        (package,) = [name for name in files.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(files.read(package))) as package:
            return json.load(package.extractfile("package/.jsii"))["types"]


def snake(name: str) -> str:
    """`privateIpAddress` -> `private_ip_address`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def link_of(entry: dict) -> re.Match | None:
    """Where the description of a property names the argument."""
    docs = entry.get("docs", {})
    return LINK.search(docs.get("remarks", "")) or LINK.search(docs.get("summary", ""))


class Extract:
    """Reads the types of one provider."""

    def __init__(self, types: dict, words: set[str]):
        self.types = types
        self.words = words

    def type_of(self, wanted: dict) -> list | str | None:
        """The type of a value as OpenTofu writes it in JSON; None for one that is not plain."""
        if "union" in wanted:
            wanted = next(other for other in wanted["union"]["types"] if other.get("fqn") != "cdktn.IResolvable")
        if "primitive" in wanted:
            return {"boolean": "bool", "any": "dynamic"}.get(wanted["primitive"], wanted["primitive"])
        if "collection" in wanted:
            element = self.type_of(wanted["collection"]["elementtype"])
            return element and [{"array": "list"}.get(wanted["collection"]["kind"], "map"), element]
        return None

    def struct(self, wanted: dict) -> tuple[dict, bool] | None:
        """The structure that a value is, or is a list of."""
        if "union" in wanted:
            wanted = next(other for other in wanted["union"]["types"] if other.get("fqn") != "cdktn.IResolvable")
        if "collection" in wanted:
            inner = self.struct(wanted["collection"]["elementtype"])
            return inner and (inner[0], True)
        found = self.types.get(wanted.get("fqn"))
        return (found, False) if found and found["kind"] == "interface" else None

    @staticmethod
    def argument(value: list | str, needed: bool) -> dict:
        """An argument of a resource, as the provider of the tests reads it."""
        return {"type": value, "required": True} if needed else {"type": value}

    def block(self, structure: dict) -> dict:
        """What a block may contain."""
        attributes, blocks = {}, {}
        for entry in structure.get("properties", []):
            link = link_of(entry)
            if not link:
                continue
            name, needed = link[5], not entry.get("optional", False)
            if name not in self.words and not needed:
                continue
            plain, nested = self.type_of(entry["type"]), self.struct(entry["type"])
            if plain:
                attributes[name] = self.argument(plain, needed)
            elif nested and entry["docs"].get("summary", "").endswith(" block."):
                blocks[name] = {"block": self.block(nested[0]), "many": nested[1], "required": needed}
            elif nested:
                inner = self.block(nested[0])["attributes"]
                value = ["object", {key: attribute["type"] for key, attribute in inner.items()}]
                attributes[name] = self.argument(["list", value] if nested[1] else value, needed)
        return {"attributes": attributes, "blocks": blocks}

    def result(self, wanted: dict) -> list | str | None:
        """The type of something that a resource tells; a list of structures has a class of its own."""
        plain = self.type_of(wanted)
        name = wanted.get("fqn", "")
        if plain or not name.endswith("List"):
            return plain
        inner = self.types.get(name.removesuffix("List") + "OutputReference", {})
        entries = ((snake(entry["name"]), self.result(entry["type"])) for entry in inner.get("properties", []))
        return ["list", ["object", {key: value for key, value in entries if value and key in self.words}]]

    def results(self, name: str, known: dict) -> None:
        """Adds what a resource tells once it exists."""
        for entry in self.types.get(name, {}).get("properties", []):
            attribute, value = snake(entry["name"]), self.result(entry["type"])
            if value and attribute in self.words and not entry.get("static") and attribute not in known["attributes"] | known["blocks"]:
                known["attributes"][attribute] = {"type": value, "computed": True}

    def all(self, used: set[tuple[str, str]]) -> dict:
        """The blocks of the resources and data sources that are used."""
        found = {"resource": {}, "data": {}}
        for name, structure in self.types.items():
            if not name.endswith("Config") or structure["kind"] != "interface":
                continue
            link = next(filter(None, map(link_of, structure.get("properties", []))), None)
            if not link or not link[3]:
                if link and name.endswith("ProviderConfig"):
                    known = self.block(structure)["attributes"]
                    found["provider"] = {"attributes": {key: known[key] for key in PROVIDER & known.keys()}, "blocks": {}}
                    found["version"] = link[2]
                continue
            kind = "resource" if link[3] == "resources" else "data"
            resource = f"{link[1]}_{link[4]}"
            # Other structures of a resource may end so, too: the shortest name is the resource's own.
            if (kind, resource) in used and (resource not in found[kind] or len(name) < len(found[kind][resource][0])):
                found[kind][resource] = (name, structure)
        for kind in ("resource", "data"):
            for resource, (name, structure) in sorted(found[kind].items()):
                found[kind][resource] = self.block(structure)
                self.results(name.removesuffix("Config"), found[kind][resource])
        return found


def lines(schema: dict) -> str:
    """JSON with a line for each resource."""
    parts = []
    for part, content in sorted(schema.items()):
        if part in ("resource", "data"):
            entries = (f"{json.dumps(name)}: {json.dumps(block, sort_keys=True)}" for name, block in sorted(content.items()))
            content = "{\n" + ",\n".join(entries) + "\n}"
        else:
            content = json.dumps(content, sort_keys=True)
        parts.append(f'"{part}": {content}')
    return "{\n" + ",\n".join(parts) + "\n}"


def main() -> None:
    """Writes one file for each provider."""
    texts = [module.read_text() for module in sorted(MODULES.glob("*/*/*.tf"))]
    used = {match for text in texts for match in USED.findall(text)}
    words = {word for text in texts for word in re.findall(r"\w+", text)}
    for provider in ("aws", "google"):
        (wheel,) = Path(sys.argv[1]).glob(f"cdktn_provider_{provider}-*.whl")
        schema = Extract(assembly(wheel), words).all({(kind, name) for kind, name in used if name.startswith(f"{provider}_")})
        missing = [name for kind, name in used if name.startswith(f"{provider}_") and name not in schema[kind]]
        if missing:
            sys.exit(f"the provider has no {', '.join(sorted(missing))}")
        (HERE / f"schemas/{provider}.json").write_text(lines(schema) + "\n")


if __name__ == "__main__":
    main()
