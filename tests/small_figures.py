"""A small file of figures, which is met in less than a second."""

HEAD = '[source]\ntitle = "A small census"\nreference = "nobody 2024"\nsnapshot = 2024-01-31\n'


def figure(name: str, statistic: str, value: object, kind: str = "exact", **keys: object) -> str:
    """One table of the file; ``value`` is a number or a list of two, ``keys`` are written as they are."""
    lines = [f'id = "{name}"', f'statistic = "{statistic}"', f'kind = "{kind}"']
    lines.append(f"{'interval' if isinstance(value, list) else 'value'} = {value}")
    lines += [f'{key} = "{text}"' if isinstance(text, str) else f"{key} = {text}" for key, text in keys.items()]
    return "\n".join(["\n[[figure]]", *lines, ""])


SIZES = (
    figure("users", "number", 400, of="users")
    + figure("servers", "number", 40, of="servers")
    + figure("rooms", "number", [28, 32], "inferred", of="rooms")
    + figure("memberships", "number", [700, 1000], "rounded", of="memberships")
)
HUB = figure("hub", "max", 200, of="users_per_server")
ROOMS = (
    figure("wide", "max", 25, of="servers_per_room")
    + figure("small rooms", "share", [0.45, 0.75], "rounded", of="servers_per_room", most=5)
    + figure("one room", "share", [0.5, 1], "qualitative", of="rooms_per_user", most=1)
)
SMALL = HEAD + SIZES + HUB + ROOMS
