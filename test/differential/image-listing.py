"""Lists every file of an image from its layer tars, as one JSON document.

An independent reader: it shares nothing with the code under test. Input on stdin: {"layers": [{"file", "diffId"}],
"cache": folder, "cached": [diff ids worth keeping]}. Output: {"files": {path: {...}}, "problems": [...]}.
"""

import hashlib
import json
import os
import sys
import tarfile

TYPES = {
    tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file", tarfile.CONTTYPE: "file", tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "hardlink", tarfile.CHRTYPE: "character-device",
    tarfile.BLKTYPE: "block-device", tarfile.FIFOTYPE: "fifo",
}
XATTR = "SCHILY.xattr."


def read_layer(path):
    """Entries in the order of the tar. Layers of one image never need another one's bytes."""
    entries = []
    with tarfile.open(path, "r:*", encoding="utf-8", errors="surrogateescape") as tar:
        for member in tar:
            kind = TYPES.get(member.type, "type " + repr(member.type))
            entry = {
                "path": os.path.normpath(member.name).lstrip("/"),
                "type": kind,
                "mode": member.mode & 0o7777,
                "uid": member.uid,
                "gid": member.gid,
                "mtime": int(member.mtime),
            }
            if kind in ("symlink", "hardlink"):
                entry["link"] = member.linkname if kind == "symlink" else os.path.normpath(member.linkname).lstrip("/")
            if kind.endswith("-device"):
                entry["device"] = f"{member.devmajor}:{member.devminor}"
            if kind == "file":
                digest = hashlib.sha256()
                body = tar.extractfile(member)
                while chunk := body.read(1 << 20):
                    digest.update(chunk)
                entry["size"] = member.size
                entry["sha256"] = digest.hexdigest()
            xattrs = {
                name[len(XATTR):]: value.encode("utf-8", "surrogateescape").hex()
                for name, value in member.pax_headers.items()
                if name.startswith(XATTR)
            }
            if xattrs:
                entry["xattrs"] = xattrs
            entries.append(entry)
    return entries


def layer_entries(layer, request):
    if layer["diffId"] not in request["cached"]:
        return read_layer(layer["file"])
    kept = os.path.join(request["cache"], layer["diffId"].replace(":", "-") + ".json")
    if os.path.exists(kept):
        with open(kept, encoding="utf-8", errors="surrogateescape") as file:
            return json.load(file)
    entries = read_layer(layer["file"])
    partial = f"{kept}.{os.getpid()}"
    with open(partial, "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump(entries, file)
    os.rename(partial, kept)
    return entries


class Image:
    """Folders as nested dicts; a file that has several names is one object under each of them."""

    def __init__(self):
        self.root = {"entry": {"type": "directory"}, "children": {}}
        self.problems = []

    def folder(self, path, number):
        node = self.root
        for name in [part for part in path.split("/") if part]:
            child = node["children"].get(name)
            if child is None or child["children"] is None:
                self.problems.append(f"layer {number}: /{path} has entries but no entry of its own")
                child = {"entry": {"type": "directory", "mode": 0o755, "uid": 0, "gid": 0, "mtime": 0}, "children": {}}
                node["children"][name] = child
            node = child
        return node

    def find(self, path):
        node = self.root
        for name in path.split("/"):
            node = (node["children"] or {}).get(name)
            if node is None:
                return None
        return node

    def apply(self, entries, number):
        seen = set()
        for entry in entries:
            parent, _, name = entry["path"].rpartition("/")
            if name == ".wh..wh..opq":
                folder = self.find(parent) if parent else self.root
                if folder is not None and folder["children"] is not None:
                    folder["children"].clear()
            elif name.startswith(".wh."):
                target = self.find(parent) if parent else self.root
                if target is None or (target["children"] or {}).pop(name[4:], None) is None:
                    self.problems.append(f"layer {number}: {entry['path']} deletes what is not there")
        for entry in entries:
            parent, _, name = entry["path"].rpartition("/")
            if name.startswith(".wh.") or name in ("", "."):
                continue
            if entry["path"] in seen:
                self.problems.append(f"layer {number}: two entries for {entry['path']}")
            seen.add(entry["path"])
            folder = self.folder(parent, number)
            if entry["type"] == "hardlink":
                target = self.find(entry["link"])
                if target is None:
                    self.problems.append(f"layer {number}: {entry['path']} links to {entry['link']}, which is not there")
                else:
                    folder["children"][name] = target
                continue
            standing = folder["children"].get(name)
            merges = entry["type"] == "directory" and standing is not None and standing["children"] is not None
            children = standing["children"] if merges else {} if entry["type"] == "directory" else None
            folder["children"][name] = {"entry": entry, "children": children}

    def listing(self):
        names, files = {}, {}

        def walk(node, prefix):
            for name, child in sorted(node["children"].items()):
                path = f"{prefix}/{name}"
                files[path] = {key: value for key, value in child["entry"].items() if key not in ("path",)}
                names.setdefault(id(child), []).append(path)
                if child["children"] is not None:
                    walk(child, path)

        walk(self.root, "")
        for group in names.values():
            if len(group) > 1:
                for path in group:
                    files[path]["names"] = group
        return files


def main():
    request = json.load(sys.stdin)
    image = Image()
    for number, layer in enumerate(request["layers"], 1):
        image.apply(layer_entries(layer, request), number)
    json.dump({"files": image.listing(), "problems": image.problems}, sys.stdout)


main()
