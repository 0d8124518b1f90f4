"""/proc/meminfo (proc(5))."""


def memory() -> dict[str, int]:
    """Return the fields of /proc/meminfo that are sizes, in bytes."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return parse_memory(file.read())


def parse_memory(text: str) -> dict[str, int]:
    """Return the sizes in `text`, the contents of /proc/meminfo, in bytes."""
    lines = (line.split() for line in text.splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[2:] == ["kB"]}


def expected_image(limit: int) -> int:
    """Return about how large a snapshot of now will be; `limit` as in image_of."""
    return image_of(memory(), limit)


def excess(sizes: dict[str, int], limit: int) -> int:
    """Return about how much the kernel has to free before it can take a snapshot; as image_of."""
    return sizes["MemTotal"] - sizes["MemFree"] - image_of(sizes, limit)


def image_of(sizes: dict[str, int], limit: int) -> int:
    """Return about how large a snapshot will be, in bytes, if the kernel keeps it below `limit`.

    It drops caches and swaps out until the limit is met, but cannot drop what it needs itself
    (kernel/power/snapshot.c, hibernate_preallocate_memory).
    """
    used = sizes["MemTotal"] - sizes["MemFree"]
    droppable = sum(
        sizes.get(name, 0)
        for name in (
            "SReclaimable",
            "Active(anon)",
            "Inactive(anon)",
            "Active(file)",
            "Inactive(file)",
        )
    )
    return min(used, max(limit, used - droppable), sizes["MemTotal"] // 2)
