#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# A reader of segments and snapshots that knows nothing but docs/format.md: even its offsets are
# those of the document's tables. Prints the totals as `name value` lines:
#   reader.py FILE [docs/format.md]
import os
import struct
import sys

BUCKETS = 65
EXACT_LINES = 256
WAITING = 16
WORD = 1 << 64
DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "format.md")


def tables_of(document):
    """The tables below each heading of the document, as lists of rows."""
    tables, heading, rows = {}, None, []
    for line in open(document, encoding="utf-8"):
        if line.startswith("#"):
            heading = line.lstrip("# ").strip()
        if not line.startswith("|"):
            rows = []
            continue
        if not rows:
            tables.setdefault(heading, []).append(rows)
        rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    return {head: [rows[2:] for rows in several] for head, several in tables.items()}


class Struct:
    """Numbers of one heading's table, read out of bytes by name."""

    def __init__(self, tables, heading):
        self.fields = {name: (int(at), int(size), meaning) for at, size, name, meaning in tables[heading][0]}

    def bytes(self, data, name, base=0):
        at, size, _ = self.fields[name]
        return data[base + at : base + at + size]

    def number(self, data, name, base=0):
        return int.from_bytes(self.bytes(data, name, base), "little", signed=self.fields[name][2].startswith("signed"))

    def numbers(self, data, base=0):
        return {name: self.number(data, name, base) for name in self.fields}


def signed(value):
    value %= WORD
    return value - WORD if value >= WORD // 2 else value


class Snapshot:
    def __init__(self, path, document=DOCUMENT):
        tables = tables_of(document)
        header, self.shard = Struct(tables, "Header"), Struct(tables, "Slots and shards")
        with open(path, "rb") as file:
            self.data = file.read(sum(header.fields["published"][:2]))
            if self.data[:8] != b"HEAPSTER" or header.number(self.data, "version") != 1:
                raise ValueError(f"{path}: not a heapster file of version 1")
            types = {int(row[0]): row[1] for row in tables["Section types"][0] + tables["Stack sections"][0]}
            self.sections = self.read_sections(header, Struct(tables, "Section"), types)
            self.data += file.read(max(s["offset"] + s["used"] * s["item_bytes"] for s in self.sections.values()))
        self.fields = self.read_schema(Struct(tables, "FieldInfo"))
        self.texts = self.read_texts({int(row[0]): row[1] for row in tables["Texts"][0]})
        for heading, name in (("Published", "published"), ("AtFork", "at_fork"), ("Identity", "identity")):
            setattr(self, name, Struct(tables, heading).numbers(self.data, header.fields[name][0]))
        self.tables_of_stacks = {name: Struct(tables, name) for name in ("Sampling", "Stack", "Sample", "Module")}
        names = {int(row[0]): row[1] for row in tables["Notes"][0]}
        counts = struct.unpack("<64I", header.bytes(self.data, "notes"))
        self.notes = {names.get(i, f"note_{i}"): count for i, count in enumerate(counts) if count}

    def read_sections(self, header, entry, types):
        first, found = header.fields["sections"][0], {}
        for i in range(header.number(self.data, "section_count")):
            section = entry.numbers(self.data, first + 32 * i)
            found[types.get(section["type"])] = section
        return found

    def read_schema(self, entry):
        section, fields = self.sections["schema"], []
        for i in range(section["used"]):
            base = section["offset"] + i * section["item_bytes"]
            field = {name: entry.number(self.data, name, base) for name in ("kind", "offset", "stride")}
            field["name"] = entry.bytes(self.data, "name", base).split(b"\0")[0].decode()
            fields.append(field)
        return fields

    def read_texts(self, keys):
        section, texts = self.sections["texts"], {}
        at, end = section["offset"], section["offset"] + section["used"]
        while at + 4 <= end:
            key, length = struct.unpack_from("<HH", self.data, at)
            texts.setdefault(keys.get(key), []).append(self.data[at + 4 : at + 4 + length])
            at += 4 + length
        return texts

    def cells(self, offset, stride):
        return [struct.unpack_from("<QQ", self.data, offset + b * stride) for b in range(BUCKETS)]

    def slots(self):
        section = self.sections["slots"]
        return [section["offset"] + i * section["item_bytes"] for i in range(section["used"])]

    def histogram(self, name):
        """Cells [count, bytes] of the whole process."""
        sums = [[0, 0] for _ in range(BUCKETS)]
        for field in (f for f in self.fields if f["name"] == name):
            for slot in self.slots():
                for bucket, count, size in self.told(field, slot + field["offset"]):
                    sums[bucket] = [(sums[bucket][0] + count) % WORD, (sums[bucket][1] + size) % WORD]
        return sums

    def told(self, field, offset):
        """(bucket, count, bytes) for what one field of a histogram tells."""
        if field["kind"] == 1:
            for bucket, cell in enumerate(self.cells(offset, field["stride"])):
                yield bucket, *cell
        if field["kind"] == 4:
            for line in range(1, EXACT_LINES):
                count, size = struct.unpack_from("<Q", self.data, offset + line * field["stride"])[0], 16 * line - 8
                yield size.bit_length(), count, count * size
        if field["kind"] == 5:
            size = struct.unpack_from("<Q", self.data, offset)[0]
            yield size.bit_length(), int(size != 0), size
        if field["kind"] == 6:
            for place in range(WAITING):
                size = struct.unpack_from("<Q", self.data, offset + place * field["stride"])[0] - 8
                if size > 0:
                    yield size.bit_length(), 1, size

    def live(self):
        """Live blocks by usable size."""
        used, freed, shift = (self.histogram(name) for name in ("usable", "dealloc", "live_shift"))
        fork = self.cells(self.sections["live_at_fork"]["offset"], 16)
        return [[signed(used[b][i] - freed[b][i] + shift[b][i] + fork[b][i]) for i in (0, 1)] for b in range(BUCKETS)]

    def totals(self):
        totals = {}
        for field in self.fields:
            if field["kind"] == 1:
                cells = self.histogram(field["name"])
                totals[field["name"] + "_count"] = signed(sum(cell[0] for cell in cells))
                totals[field["name"] + "_sum"] = signed(sum(cell[1] for cell in cells))
            if field["kind"] == 2:
                words = [struct.unpack_from("<Q", self.data, slot + field["offset"])[0] for slot in self.slots()]
                totals[field["name"]] = signed(sum(words))
        reallocs = totals["realloc_growth_count"] + totals["realloc_shrink_count"] + totals["realloc_same_count"]
        totals["realloc_count"] = reallocs
        totals["realloc_in_place_count"] = reallocs - totals["realloc_move_count"]
        for unit in ("count", "sum"):
            copied = totals[f"realloc_move_{unit}"] - totals.get(f"realloc_remap_{unit}", 0)
            totals[f"realloc_copy_{unit}"] = copied
        totals["slack"] = totals["usable_sum"] - totals["alloc_sum"]
        totals["live_count"] = sum(cell[0] for cell in self.live())
        totals.update(self.levels())
        return totals

    def items(self, section, heading):
        """The entries of a table of sampled stacks."""
        section = self.sections.get(section, {"used": 0})
        return [self.tables_of_stacks[heading].numbers(self.data, section["offset"] + i * section["item_bytes"])
                for i in range(section["used"])]

    def sampling(self):
        return self.items("sampling", "Sampling")[0]

    def stacks(self):
        """Those that are valid, each with its frames: (module's number or 0, address)."""
        stacks = [stack for stack in self.items("stacks", "Stack") if stack["depth"] != 0]
        for stack in stacks:
            first = self.sections["frames"]["offset"] + 8 * stack["first_frame"]
            words = struct.unpack_from(f"<{stack['depth']}Q", self.data, first)
            stack["frames"] = [(word >> 48, word & (1 << 48) - 1) for word in words]
        return stacks

    def samples(self):
        return [sample for sample in self.items("samples", "Sample") if sample["pointer"] != 0]

    def stack_totals(self):
        """Sums over all stacks; what is in 256ths of a block, as blocks."""
        stacks, totals = self.stacks(), {}
        for name, (_, _, meaning) in self.tables_of_stacks["Stack"].fields.items():
            if name in ("hash", "first_frame", "flags", "depth", "lifetimes", "scope", "writer", "reserved"):
                continue
            if name.endswith(("_variance", "_squares", "_error")):  # what errors are made of: no figure of its own
                continue
            total = sum(stack[name] for stack in stacks)
            totals[name] = (total + 128) // 256 if meaning.endswith("in 256ths") else total
        totals["live_bytes"] = totals["alloc_bytes"] - totals["freed_bytes"]
        totals["live_count"] = totals["alloc_count"] - totals["freed_count"]
        return totals

    def levels(self):
        heads = [self.shard.numbers(self.data, slot) for slot in self.slots()]
        net, known, error = sum(head["net"] for head in heads), self.published, 0
        if known["several"] == 0:
            below = [head["ceiling"] - head["net"] for head in heads if head["ceiling"] != 2**63 - 1]
            peak = max(net + min(below, default=0), net, known["solo_peak"])
        else:
            peak = max(known["peak"], known["solo_peak"], net)
            bound = max(known["peak_bound"], net) if known["peak_bound"] else known["peak"] + known["peak_error"]
            error = max(bound - peak, 0)
        now, fork = net + self.at_fork["live_bytes"], self.at_fork["live_bytes"]
        return {"use_curr": now, "use_max": max(peak + fork, now, 0), "use_max_error": error}


if __name__ == "__main__":
    for figure, value in Snapshot(*sys.argv[1:]).totals().items():
        print(figure, value)
