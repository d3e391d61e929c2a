"""The crawl among hostile servers: who threw it out is left alone, all rooms are left, and no answer breaks it."""

import asyncio
import errno
import logging
import os
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import fedgen.measure.client
import fedgen.measure.crawl
import fedgen.measure.pseudonyms
from fedgen.cli.commands import run
from fedgen.errors import MeasureError, OutputError
from fedgen.measure.config import Announcement, Config, Limits, Rooms
from fedgen.measure.crawl import Crawled, about, crawl
from fedgen.measure.estimate import estimate
from fedgen.measure.exclusions import MARKER, Exclusions
from fedgen.measure.journal import MAGIC, Journal
from fedgen.measure.pseudonyms import SALT
from fedgen.measure.stop import Stop, StoppedError
from fedgen.measure.visit import Visit
from tests.hostile_homeserver import (
    ME,
    MISSING,
    REFUSED,
    Answer,
    Asked,
    Attack,
    Hostile,
    Room,
    always,
    running,
)

TOKEN = "syt_hostile"
FAST = Limits(
    requests_per_second=5000,
    joins_per_minute=300_000,
    rooms_at_once=4,
    timeout_seconds=2,
    attempts=3,
    backoff_seconds=0.005,
)
ONE = Rooms(directories=("one.example",))
R = "!r:one.example"
SPACE, CHILD = "!space:one.example", "!child:three.example"
SPACES = Rooms(spaces=(SPACE,))
KICKED, UNANSWERED, REFUSAL = "opted out: kicked or banned", "unanswered", "refused: by the homeserver"


@pytest.fixture(scope="module", autouse=True)
def _cheap() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fedgen.measure.pseudonyms, "_COST", {"n": 2, "r": 1, "p": 1})
        patch.setattr("ssl.SSLContext.load_verify_locations", lambda *_, **__: None)  # unused, and slow to read
        yield


def configured(home: Hostile, **changes: Any) -> Config:
    said = Announcement(who="w", contact="c", website="https://x.example")
    return Config(
        **{"homeserver": home.url, "join": True, "rooms": ONE, "limits": FAST, "announcement": said, **changes}
    )


def crawled(config: Config, journal: Journal | None = None, **more: Any) -> Crawled:
    async def whole() -> Crawled:
        return await asyncio.wait_for(crawl(config, TOKEN, journal or Journal.fleeting(), **more), 10)

    return asyncio.run(whole())


def outcome(config: Config, journal: Journal | None = None) -> Crawled | MeasureError:
    """What a crawl gives, or the one line that it ends with; no other exception."""
    try:
        return crawled(config, journal)
    except MeasureError as raised:
        error = raised
    assert "\n" not in str(error)
    return error


def only(found: Crawled) -> Visit:
    (visit,) = found.visits
    return visit


def fates(found: Crawled) -> list[str]:
    return sorted(visit.fate for visit in found.visits)


def remembered(home: Hostile) -> int:
    """How many rooms the account of the crawler's user holds."""
    return len(home.account["rooms"]) if home.account else 0


def both_of(*attacks: Attack) -> Attack:
    def attack(asked: Asked) -> Answer | None:
        return next((answer for answer in (one(asked) for one in attacks) if answer is not None), None)

    return attack


def opened(path: Path, config: Config, secret: str = TOKEN) -> Journal:
    return Journal.open(path, secret, about(config))


def in_turn(path: Path, config: Config) -> Crawled | MeasureError:
    """A run with the journal at ``path``."""
    journal = opened(path, config)
    try:
        return outcome(config, journal)
    finally:
        journal.close()


def membership(value: str, sender: str) -> tuple[int, Any]:
    return 200, {"content": {"membership": value}, "sender": sender}


class TestLeaving:
    def test_a_join_that_was_not_answered_but_done(self) -> None:
        def attack(asked: Asked) -> Answer | None:
            if asked.what != "join":
                return None
            home.joined.add(asked.subject)
            return 504, b"<html>"

        with running({R: Room()}, attack) as home:
            visit = only(crawled(configured(home)))
            assert home.joined == set()
        assert (visit.fate, visit.stayed) == (UNANSWERED, False)

    def test_a_join_and_a_leave_that_were_not_answered(self) -> None:
        with running({R: Room()}, both_of(always("join", 504, b""), always("leave", 504, b""))) as home:
            visit = only(crawled(configured(home)))
        assert (visit.fate, visit.stayed) == (UNANSWERED, True)

    @pytest.mark.parametrize("what", ["joined_members", "m.room.member"])
    @pytest.mark.parametrize("status", [400, 404])
    def test_a_refusal_is_no_kick(self, what: str, status: int) -> None:
        with running({R: Room()}, always(what, status, {"errcode": "M_UNKNOWN"})) as home:
            visit = only(crawled(configured(home)))
            assert home.joined == set()
            assert remembered(home) == 0
        assert (visit.fate, visit.stayed) == (REFUSAL, False)

    def test_who_is_banned_may_not_ask_for_the_own_membership(self) -> None:
        with running({R: Room()}, always("m.room.member", 403, REFUSED)) as home:
            assert fates(crawled(configured(home))) == [KICKED]
            assert remembered(home) == 1

    @pytest.mark.parametrize(("sender", "fate"), [(ME, "seen"), ("@mod:one.example", KICKED)])
    def test_who_ended_the_membership(self, sender: str, fate: str) -> None:
        with running({R: Room()}, always("m.room.member", *membership("leave", sender))) as home:
            assert fates(crawled(configured(home))) == [fate]
            assert remembered(home) == (fate == KICKED)

    def test_a_refused_leave(self) -> None:
        with running({R: Room()}, always("leave", 400, {"errcode": "M_UNKNOWN"})) as home:
            visit = only(crawled(configured(home)))
            assert home.joined == {R}
        assert (visit.fate, visit.stayed) == ("seen", True)

    def test_a_leave_refused_since_it_was_done(self) -> None:
        def attack(asked: Asked) -> Answer | None:
            if asked.what != "leave":
                return None
            home.joined.discard(asked.subject)
            return 400, {"errcode": "M_UNKNOWN"}

        with running({R: Room()}, attack) as home:
            visit = only(crawled(configured(home)))
        assert (visit.fate, visit.stayed) == ("seen", False)

    def test_an_own_membership_that_is_not_told(self) -> None:
        with running({R: Room()}, always("m.room.member", 500, {})) as home:
            visit = only(crawled(configured(home)))
            assert home.joined == set()
            assert remembered(home) == 0
        assert (visit.fate, visit.people) == (UNANSWERED, ())

    def test_a_kick_between_two_runs(self, tmp_path: Path) -> None:
        with running({R: Room()}, always("leave", 401, {"errcode": "M_UNKNOWN_TOKEN"})) as home:
            config = configured(home)
            assert isinstance(in_turn(tmp_path / "journal", config), MeasureError)
            assert home.joined == {R}
            home.joined.clear()
            home.attack = both_of(
                always("m.room.member", *membership("leave", "@mod:one.example")), always("leave", 403, REFUSED)
            )
            found = in_turn(tmp_path / "journal", config)
            assert isinstance(found, Crawled)
            assert (only(found).fate, only(found).people, remembered(home)) == (KICKED, (), 1)


class TestTopics:
    @pytest.mark.parametrize(("status", "fate"), [(500, UNANSWERED), (403, REFUSAL)])
    def test_a_topic_that_is_not_told_may_opt_out(self, status: int, fate: str) -> None:
        with running({R: Room()}, always("m.room.topic", status, {})) as home:
            visit = only(crawled(configured(home)))
            assert home.asked("joined_members") == 0
            assert home.joined == set()
        assert (visit.fate, visit.people) == (fate, ())

    def test_the_marker_in_a_rich_topic(self) -> None:
        topic = {"topic": "", "m.topic": {"m.text": [{"body": f"quiet, please: {MARKER}"}]}}
        with running({R: Room()}, always("m.room.topic", 200, topic)) as home:
            assert fates(crawled(configured(home))) == ["opted out: listed or marked"]
            assert home.asked("joined_members") == 0

    def test_no_topic(self) -> None:
        with running({R: Room()}, always("m.room.topic", 404, MISSING)) as home:
            assert fates(crawled(configured(home))) == ["seen"]


class TestSpaces:
    def closed(self, **told: Any) -> dict[str, Room]:
        """A space that has to be entered, since it has no summary, and a room in it."""
        space = Room(children=(CHILD,), closed=True, summarised=False, listed_by=(), told=told)
        return {SPACE: space, CHILD: Room(("@c:three.example",), listed_by=())}

    @pytest.mark.parametrize(
        ("told", "fate"),
        [({"topic": MARKER}, "opted out: listed or marked"), ({"join_rule": "restricted"}, "refused: not public")],
    )
    def test_an_entered_space_that_turns_out_unwelcoming(self, told: dict[str, str], fate: str) -> None:
        with running(self.closed(**told)) as home:
            found = crawled(configured(home, rooms=SPACES))
            assert home.asked("join", SPACE) == 1
            assert home.joined == set()
        assert fates(found) == sorted([fate, "seen"])
        assert not any(visit.stayed for visit in found.visits)

    @pytest.mark.parametrize("page", [100, 1])
    def test_an_interrupt_after_a_space_was_entered(self, page: int, tmp_path: Path) -> None:
        stop = Stop()

        def progress(*_: Any) -> None:
            stop.asked_for = stop.asked_for or bool(home.joined)

        with running(self.closed(), page=page) as home:
            config = configured(home, rooms=SPACES)
            journal = opened(tmp_path / "journal", config)
            with pytest.raises(StoppedError):
                crawled(config, journal, progress=progress, stop=stop)
            journal.close()
            assert home.asked("join", SPACE) == 1
            assert home.joined == set()
            found = in_turn(tmp_path / "journal", config)
            assert isinstance(found, Crawled)
            assert fates(found) == ["seen", "seen"]
            assert home.joined == set()

    def test_an_interrupt_while_a_space_is_entered(self) -> None:
        stop = Stop()

        def attack(asked: Asked) -> None:
            stop.asked_for = stop.asked_for or asked.what == "join"

        with running(self.closed(), attack) as home:
            with pytest.raises(StoppedError):
                crawled(configured(home, rooms=SPACES), stop=stop)
            assert home.asked("leave", SPACE) == 1
            assert home.joined == set()

    @pytest.mark.parametrize(
        ("name", "told", "rules"),
        [
            (SPACE, {}, Exclusions(rooms=(SPACE,))),
            ("#space:four.example", {}, Exclusions(rooms=("#space:four.example",))),
            (SPACE, {}, Exclusions(rooms=("#space:four.example",))),
            ("#space:four.example", {}, Exclusions(servers=("one.example",))),
            (SPACE, {}, Exclusions(servers=("one.example",))),
            (SPACE, {"topic": MARKER}, Exclusions()),
        ],
        ids=["id", "alias", "alias of an id", "server of an id", "server", "marker"],
    )
    def test_spaces_that_opted_out(self, name: str, told: dict[str, str], rules: Exclusions) -> None:
        rooms = {SPACE: Room(alias="#space:four.example", children=(CHILD,), told=told), CHILD: Room()}
        with running(rooms) as home:
            config = configured(home, rooms=Rooms(spaces=(name,)), leave_out=rules)
            (fate,) = fates(crawled(config))
            asyncio.run(estimate(config, TOKEN))
            assert (home.asked("hierarchy"), home.asked("join")) == (0, 0)
        assert fate.startswith("opted out")

    def test_a_dry_run_asks_nobody_who_opted_out(self) -> None:
        rooms = Rooms(directories=("one.example",), spaces=(SPACE, "#space:one.example"))
        with running({SPACE: Room(alias="#space:one.example", children=(CHILD,)), CHILD: Room()}) as home:
            found = asyncio.run(
                estimate(configured(home, rooms=rooms, leave_out=Exclusions(servers=("one.example",))), TOKEN)
            )
            assert home.log == []
        assert (found.in_directories, found.in_spaces, found.silent) == (0, 0, 0)


class TestOptOuts:
    def test_a_directory_knows_nothing_of_bans(self) -> None:
        with running({R: Room(told={"membership": "ban"})}) as home:
            assert fates(crawled(configured(home))) == ["seen"]
            assert remembered(home) == 0

    def test_a_ban_by_the_summary(self) -> None:
        with running({R: Room(told={"membership": "ban"})}) as home:
            assert fates(crawled(configured(home, rooms=Rooms(list=(R,))))) == [KICKED]
            assert (home.asked("join"), remembered(home)) == (0, 1)

    @pytest.mark.parametrize("listed", ["#other:one.example", "#other:ONE.example", "#main:One.Example"])
    def test_a_room_listed_by_any_of_its_aliases(self, listed: str) -> None:
        room = Room(alias="#main:one.example", other_aliases=("#other:one.example", "#other:ONE.example"))
        with running({R: room}) as home:
            found = crawled(configured(home, leave_out=Exclusions(rooms=(listed,))))
            assert home.asked("join") == 0
        assert fates(found) == ["opted out: listed or marked"]

    def test_an_alias_that_cannot_be_looked_up(self) -> None:
        rules = Exclusions(rooms=("#other:one.example",))
        with running({R: Room()}, always("directory", 500, {})) as home:
            error = outcome(configured(home, leave_out=rules))
            assert home.asked("join") == 0
        assert isinstance(error, MeasureError)
        assert "leave_out.rooms[0]" in str(error)
        assert "other" not in str(error)

    def test_two_kicks_at_once(self) -> None:
        first = []

        def attack(asked: Asked) -> Answer | None:
            if asked.what == "m.room.member":
                return membership("ban", "@mod:one.example")
            if asked.what == "account_data" and asked.method == "PUT" and not first:
                first.append(asked)
                return 502, b""
            return None

        rooms = {name: Room(servers=()) for name in ("!a:three.example", "!b:four.example")}
        with running(rooms, attack) as home:
            config = configured(home, rooms=Rooms(list=tuple(rooms)), limits=replace(FAST, backoff_seconds=0.2))
            found = crawled(config)
            assert (fates(found), remembered(home), found.remembered) == ([KICKED, KICKED], 2, True)
            written = [len(one.body["rooms"]) for one in home.log if (one.what, one.method) == ("account_data", "PUT")]
        assert len(written) > 1
        assert written == sorted(written)

    def test_an_account_that_takes_nothing_down(self) -> None:
        def attack(asked: Asked) -> Answer | None:
            if asked.what == "account_data" and asked.method == "PUT":
                return 413, {"errcode": "M_TOO_LARGE"}
            return (
                membership("ban", "@mod:one.example") if (asked.what, asked.subject) == ("m.room.member", R) else None
            )

        with running({R: Room(), CHILD: Room()}, attack) as home:
            found = crawled(configured(home))
        assert (fates(found), found.remembered) == ([KICKED, "seen"], False)

    @pytest.mark.parametrize(
        "account", [{"salt": "short", "rooms": []}, {"salt": "0" * 32, "rooms": {}}, {"rooms": []}]
    )
    def test_an_account_that_cannot_be_read(self, account: dict[str, Any]) -> None:
        with running({R: Room()}) as home:
            home.account = account
            error = outcome(configured(home, rooms=Rooms(list=("#r:one.example",), directories=("one.example",))))
            asked = {one.what for one in home.log}
        assert isinstance(error, MeasureError)
        assert "opt-outs" in str(error)
        assert asked <= {"versions", "whoami", "profile", "account_data"}

    def test_an_alias_that_is_anothers(self) -> None:
        big, liar = "!big:two.example", "!liar:one.example"
        rooms = {
            big: Room(alias="#big:two.example", servers=("two.example", "three.example"), listed_by=()),
            liar: Room(told={"canonical_alias": "#big:two.example"}),
        }
        with running(rooms) as home:
            config = configured(home, join=False, rooms=Rooms(list=("#big:two.example",), directories=("one.example",)))
            found = crawled(config)
        assert fates(found) == ["seen", "without an alias"]
        assert [len(visit.servers) for visit in found.visits if visit.fate == "seen"] == [2]


def nested(before: str, after: str = "") -> bytes:
    return before.encode() + b"[" * 50_000 + b"]" * 50_000 + after.encode()


def listing(*entries: dict[str, Any]) -> Attack:
    """A directory with other entries, and one that is sound."""
    chunk = [{"num_joined_members": 3, **entry} for entry in entries]
    return always("publicRooms", 200, {"chunk": [*chunk, {"room_id": CHILD, "num_joined_members": 2}]})


def turning(following: Callable[[str], str]) -> Attack:
    """A directory whose pages never end."""

    def attack(asked: Asked) -> Answer | None:
        if asked.what != "publicRooms":
            return None
        since = asked.query.get("since", ["0"])[0]
        return 200, {"chunk": [{"room_id": CHILD, "num_joined_members": 2}], "next_batch": following(since)}

    return attack


BY_SUMMARY = Rooms(list=("#r:one.example", CHILD))
ODDITIES: dict[str, tuple[Attack, Rooms, list[str] | None]] = {
    "nested directory": (always("publicRooms", 200, nested('{"chunk":[', "]}")), ONE, []),
    "nested topic": (always("publicRooms", 200, nested(f'{{"chunk":[{{"room_id":"{R}","topic":', "}]}")), ONE, []),
    "nested members": (always("joined_members", 200, nested('{"joined":{"@a:b":', "}}")), ONE, [UNANSWERED] * 2),
    "nested summary": (
        always("room_summary", 200, nested(f'{{"room_id":"{R}","topic":', "}"), subject="#r:one.example"),
        BY_SUMMARY,
        ["seen"],
    ),
    "nested error": (always("join", 403, nested('{"error":', "}")), ONE, [REFUSAL] * 2),
    "negative users": (listing({"room_id": R, "num_joined_members": -5}), ONE, ["seen"]),
    "very many users": (listing({"room_id": R, "num_joined_members": 2**70}), ONE, ["seen"]),
    "long id": (listing({"room_id": "!" + "a" * 70_000}), ONE, ["seen"]),
    "long alias": (listing({"room_id": R, "canonical_alias": f"#{'a' * 70_000}:s"}), ONE, ["seen"]),
    "dots": (listing({"room_id": ".."}, {"room_id": "!.."}), ONE, [REFUSAL, "seen"]),
    "alias for an id": (listing({"room_id": "#x:y"}), ONE, ["seen"]),
    "strange ids": (listing(*({"room_id": f"!{one}"} for one in ("", "\0", "/../x", "a b?c#d%2e"))), ONE, None),
    "summary of a path": (always("room_summary", 200, {"room_id": ".."}), BY_SUMMARY, []),
    "summary of an alias": (always("room_summary", 200, {"room_id": "#x:y"}), BY_SUMMARY, []),
    "summary of a long id": (always("room_summary", 200, {"room_id": f"!{'a' * 70_000}"}), BY_SUMMARY, []),
    "broken gzip": (
        always("joined_members", 200, b"none", {"Content-Encoding": "gzip"}, subject=R),
        ONE,
        ["seen", UNANSWERED],
    ),
    "endless pages": (turning(lambda since: str(int(since) + 1)), ONE, ["seen"]),
    "circling pages": (turning(lambda since: "1" if since == "2" else "2"), ONE, ["seen"]),
    "long batch": (always("publicRooms", 200, {"chunk": [{"room_id": CHILD}], "next_batch": "x" * 70_000}), ONE, []),
    "long listed id": (lambda _: None, Rooms(list=("!" + "a" * 70_000, CHILD)), ["seen"]),
    "HTML": (always("joined_members", 200, b"<html>hello</html>"), ONE, [UNANSWERED] * 2),
    "HTML everywhere": (lambda _: (200, b"<html>hello</html>"), ONE, None),
}


class TestOddAnswers:
    @pytest.mark.parametrize("what", ODDITIES)
    def test_none_breaks_the_crawl(self, what: str, tmp_path: Path) -> None:
        attack, rooms, expected = ODDITIES[what]
        with running({R: Room(alias="#r:one.example"), CHILD: Room()}, attack) as home:
            config = configured(home, rooms=rooms)
            for _ in range(2):
                found = in_turn(tmp_path / "journal", config)
                if expected is not None:
                    assert isinstance(found, Crawled)
                    assert fates(found) == sorted(expected)
            assert home.joined == set()
            assert len(home.log) < 100
            assert all(one.subject[:1] == "!" for one in home.log if one.what in ("join", "leave"))

    @pytest.mark.parametrize("what", ["joined_members", "whoami", "publicRooms", "join"])
    def test_redirects_are_not_followed(self, what: str) -> None:
        with running({}) as other, running({R: Room()}) as home:
            home.attack = always(what, 307, b"", {"Location": f"{other.url}/_matrix/client/v3/{what}"})
            outcome(configured(home))
            assert other.log == []
            assert home.joined == set()

    def test_an_answer_that_trickles(self) -> None:
        def trickle(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "100000")
            handler.end_headers()
            for _ in range(100):
                handler.wfile.write(b" ")
                time.sleep(0.1)

        with running({R: Room()}, lambda asked: trickle if asked.what == "joined_members" else None) as home:
            began = time.monotonic()
            found = crawled(configured(home, limits=replace(FAST, timeout_seconds=0.3, attempts=2)))
            assert time.monotonic() - began < 5
        assert fates(found) == [UNANSWERED]

    def test_an_answer_that_is_too_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fedgen.measure.client, "_LARGEST", 10_000)
        crowd = tuple(f"@user{i}:two.example" for i in range(1000))
        with running({R: Room(crowd), CHILD: Room()}) as home:
            assert fates(crawled(configured(home))) == ["seen", UNANSWERED]

    @pytest.mark.parametrize(
        "seconds", ["null", "0", f"1{'0' * 400}", f"-1{'0' * 400}"], ids=["", "0", "most", "least"]
    )
    def test_to_wait_for_ever(self, seconds: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fedgen.measure.client, "_LONGEST_HOLD", 0.05)
        with running({R: Room()}, always("join", 429, f'{{"retry_after_ms":{seconds}}}'.encode())) as home:
            assert fates(crawled(configured(home))) == [UNANSWERED]


class TestPace:
    def test_joins_stay_apart_after_a_hold(self) -> None:
        held = []

        def attack(asked: Asked) -> Answer | None:
            if asked.what != "joined_members" or held:
                return None
            held.append(asked.at)
            return 429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 500}

        rooms = {f"!r:s{i}.example": Room() for i in range(5)}
        limits = replace(FAST, requests_per_second=200, joins_per_minute=400, rooms_at_once=5)
        with running(rooms, attack) as home:
            crawled(configured(home, rooms=Rooms(list=tuple(rooms)), limits=limits))
            joins = [one.at for one in home.log if one.what == "join"]
        assert held[0] < joins[-3]
        gaps = [later - earlier for earlier, later in pairwise(joins)]
        assert len(gaps) == 4
        assert min(gaps) >= 60 / 400 - 0.05

    def test_a_server_is_one_in_any_case(self) -> None:
        inside: set[str] = set()
        at_once = []

        def attack(asked: Asked) -> None:
            if asked.what == "join":
                inside.add(asked.subject)
                at_once.append(len(inside))
                time.sleep(0.05)
            if asked.what == "leave":
                inside.discard(asked.subject)

        rooms = {"!a:example.org": Room(listed_by=("x.example",)), "!b:Example.org": Room(listed_by=("y.example",))}
        with running(rooms, attack) as home:
            found = crawled(configured(home, rooms=Rooms(directories=("x.example", "y.example"))))
        assert fates(found) == ["seen", "seen"]
        assert max(at_once) == 1

    def test_a_hold_outlives_the_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fedgen.measure.crawl, "_LONG", 0.5)
        told: list[float] = []

        def attack(asked: Asked) -> Answer | None:
            if asked.what != "join" or told:
                return None
            told.append(asked.at)
            return 429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 1000}

        with running({R: Room()}, attack) as home:
            config = configured(home)
            journal = opened(tmp_path / "journal", config)
            with pytest.raises(TimeoutError):
                asyncio.run(asyncio.wait_for(crawl(config, TOKEN, journal), 0.5))
            journal.close()
            before = len(home.log)
            assert told
            assert isinstance(in_turn(tmp_path / "journal", config), Crawled)
            assert home.log[before].at - told[0] >= 1.0


class TestDiscretion:
    def test_nothing_asked_gets_into_logs(self) -> None:
        records: list[logging.LogRecord] = []

        class Kept(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                records.append(record)

        root, handler = logging.getLogger(), Kept(logging.DEBUG)
        level, between = root.level, [logging.getLogger(name) for name in ("httpx", "httpcore")]
        for logger in between:
            logger.propagate = True
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        try:
            with running({R: Room()}, always("forget", 302, b"", {"Location": "https://x.example/"})) as home:
                assert fates(crawled(configured(home))) == ["seen"]
        finally:
            root.removeHandler(handler)
            root.setLevel(level)
        assert [record.name for record in records if record.name.startswith("http")] == []
        assert not any(word in record.getMessage() for record in records for word in ("one.example", TOKEN))

    def test_no_proxy_gets_the_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with running({}) as proxy, running({R: Room()}) as home:
            for name in ("NO_PROXY", "no_proxy"):
                monkeypatch.delenv(name, raising=False)
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            assert fates(crawled(configured(home))) == ["seen"]
            assert proxy.log == []


class TestJournals:
    def whole(self, path: Path, home: Hostile) -> Config:
        config = configured(home)
        assert isinstance(in_turn(path, config), Crawled)
        return config

    @pytest.mark.parametrize("record", [0, 3])
    def test_a_flipped_bit_in_a_length(self, record: int, tmp_path: Path) -> None:
        path = tmp_path / "journal"
        with running({R: Room()}) as home:
            config = self.whole(path, home)
        content = bytearray(path.read_bytes())
        at = len(MAGIC) + SALT
        for _ in range(record):
            at += 8 + int.from_bytes(content[at : at + 4], "big")
        content[at] ^= 0x80
        path.write_bytes(content)
        with pytest.raises(MeasureError, match="is damaged"):
            opened(path, config)
        assert path.read_bytes() == content

    def test_zeros_at_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "journal"
        with running({R: Room()}) as home:
            config = self.whole(path, home)
            content, asked = path.read_bytes(), home.asked("join")
            path.write_bytes(content + bytes(200))
            opened(path, config).close()
            assert path.read_bytes() == content
            assert isinstance(in_turn(path, config), Crawled)
            assert home.asked("join") == asked

    def test_a_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path, pwrite, calls = tmp_path / "journal", os.pwrite, []

        def full(file: int, content: bytes, at: int) -> int:
            calls.append(at)
            if len(calls) == 12:
                return pwrite(file, content[:5], at)
            if len(calls) == 13:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return pwrite(file, content, at)

        monkeypatch.setattr(os, "pwrite", full)
        with running({R: Room()}) as home:
            config = configured(home)
            journal = opened(path, config)
            with pytest.raises(OutputError, match="free some space"):
                crawled(config, journal)
            journal.close()
            assert path.stat().st_size == calls[11]
            found = in_turn(path, config)
            assert isinstance(found, Crawled)
            assert fates(found) == ["seen"]
            assert home.joined == set()

    def test_another_user_with_the_same_secret(self, tmp_path: Path) -> None:
        with running({R: Room()}, always("joined_members", 401, {"errcode": "M_UNKNOWN_TOKEN"})) as home:
            config = configured(home)
            in_turn(tmp_path / "journal", config)
            before = len(home.log)
            home.attack = always("whoami", 200, {"user_id": "@other:home.example"})
            error = in_turn(tmp_path / "journal", config)
            asked = [one.what for one in home.log[before:]]
        assert isinstance(error, MeasureError)
        assert "another user" in str(error)
        assert asked == ["whoami"]


class TestCommand:
    def command(self, home: Hostile, folder: Path, rooms: str = 'directories = ["one.example"]') -> list[str]:
        path = folder / "crawl.toml"
        path.write_text(
            f'homeserver = "{home.url}"\njoin = true\n[rooms]\n{rooms}\n'
            "[limits]\nrequests_per_second = 5000\njoins_per_minute = 300000\nattempts = 2\nbackoff_seconds = 0.005\n"
            '[announcement]\nwho = "w"\ncontact = "c"\nwebsite = "https://x.example"\n'
        )
        return ["measure", "crawl", str(path), "-o", str(folder / "data.json"), "-q"]

    @pytest.fixture(autouse=True)
    def _token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEDGEN_MATRIX_TOKEN", TOKEN)
        monkeypatch.delenv("FEDGEN_MEASURE_SECRET", raising=False)

    def test_nobody_seen(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        attack = both_of(
            always("joined_members", 403, REFUSED, subject=R), always("publicRooms", 403, REFUSED, subject="x.example")
        )
        rooms = 'directories = ["one.example", "x.example"]'
        with running({R: Room(), CHILD: Room(topic=MARKER)}, attack) as home:
            assert run(self.command(home, tmp_path, rooms)) != 0
        (line,) = capsys.readouterr().err.splitlines()
        assert "of 2 rooms 1 opted out: listed or marked, 1 refused: by the homeserver" in line
        assert "1 of the listed rooms, directories and spaces refused to answer" in line
        assert [file.name for file in tmp_path.iterdir()] == ["crawl.toml"]

    @pytest.mark.parametrize(
        "attack",
        [always("whoami", 401, {"errcode": "M_UNKNOWN_TOKEN"}), always("versions", 404, b"<html>"), None],
        ids=["token", "address", "nobody there"],
    )
    def test_a_wrong_start_leaves_nothing_behind(
        self, attack: Attack | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with running({R: Room()}, attack) as home:
            words = self.command(home, tmp_path)
            if attack is not None:
                assert run(words) != 0
        if attack is None:
            assert run(words) != 0
        assert len(capsys.readouterr().err.splitlines()) == 1
        assert [file.name for file in tmp_path.iterdir()] == ["crawl.toml"]
