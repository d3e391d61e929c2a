"""The parts of a measurement that need no homeserver."""

import asyncio
import re
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fedgen.measure.pseudonyms
from fedgen.cli.commands import run
from fedgen.errors import FedgenError, MeasureError, OutputError, UsageError
from fedgen.measure.config import read_config
from fedgen.measure.exclusions import Admission, Exclusions, Person, server_of
from fedgen.measure.journal import MAGIC, Journal
from fedgen.measure.pace import Pace
from fedgen.measure.pseudonyms import SALT, SIZE, Key, Pseudonyms
from fedgen.measure.sightings import Sightings
from fedgen.measure.token import TOKEN, read_token

NAMES = Pseudonyms.under(Key(b"k" * 32))


class TestPseudonyms:
    def test_known_answer(self) -> None:
        """BLAKE2b with a key and a person (RFC 7693), by hashlib alone."""
        from hashlib import blake2b

        key = blake2b(b"pseudonyms", key=b"k" * 32, digest_size=32).digest()
        assert NAMES.user("@a:b") == blake2b(b"@a:b", key=key, person=b"user", digest_size=16).digest()

    def test_kinds_and_keys_are_told_apart(self) -> None:
        other = Pseudonyms.under(Key(b"l" * 32))
        hashes = {NAMES.user("x"), NAMES.server("x"), NAMES.room("x"), other.user("x")}
        assert len(hashes) == 4
        assert {len(one) for one in hashes} == {SIZE}

    def test_case_of_servers_means_nothing(self) -> None:
        assert NAMES.server("Example.ORG") == NAMES.server("example.org")
        assert NAMES.user("@A:b") != NAMES.user("@a:b")

    def test_keys_do_not_show(self) -> None:
        assert "kkkk" not in repr(Key(b"k" * 32))
        assert repr(NAMES) == "Pseudonyms()"

    def test_the_same_secret_and_salt_give_the_same_key(self) -> None:
        salt = b"s" * SALT
        assert Key.derived("token", salt) == Key.derived("token", salt)
        assert Key.derived("token", salt) != Key.derived("other", salt)
        assert Key.derived("token", salt) != Key.derived("token", b"t" * SALT)
        assert Key.drawn() != Key.drawn()


class TestExclusions:
    rules = Exclusions(
        servers=("out.example", "*.gone.example", "[2001:db8::1]:8448"),
        rooms=("!r:x", "#alias:x"),
        users=("@bot:here.example",),
        stubs=("@_irc_*:*", "@telegram_?:bridge.example"),
    )
    admission = Admission(rules, NAMES)

    @pytest.mark.parametrize(
        ("user", "reason"),
        [
            ("@a:out.example", "opted out"),
            ("@a:OUT.example", "opted out"),
            ("@a:deep.gone.example", "opted out"),
            ("@a:[2001:db8::1]:8448", "opted out"),
            ("@bot:here.example", "own or silent"),
            ("@_irc_nick:any.example", "bridged stub"),
            ("@telegram_1:bridge.example", "bridged stub"),
            ("no-at:server", "malformed"),
            ("@nocolon", "malformed"),
            ("@empty:", "malformed"),
            (17, "malformed"),
            (None, "malformed"),
        ],
    )
    def test_who_is_left_out(self, user: object, reason: str) -> None:
        assert self.admission.of_user(user) == reason

    @pytest.mark.parametrize(
        "user",
        ["@a:gone.example", "@a:xout.example", "@bot:there.example", "@telegram_12:bridge.example", "@:x", "@a:x:1"],
    )
    def test_who_is_in(self, user: str) -> None:
        person = self.admission.of_user(user)
        assert isinstance(person, Person)
        assert person == (NAMES.user(user), NAMES.server(user.partition(":")[2]))

    def test_rooms(self) -> None:
        assert self.admission.opted_out_room("!r:x")
        assert self.admission.opted_out_room("!s:x", None, "#alias:x")
        assert self.admission.opted_out_room("!s:x", topic="Talk. mrs-noindex:TRUE-mrs")
        assert not self.admission.opted_out_room("!s:x", topic="Talk")
        assert not self.admission.opted_out_room("!s:x", topic={"odd": 1})
        assert not Admission(Exclusions(marker=""), NAMES).opted_out_room("!s:x", topic="Talk")

    @pytest.mark.parametrize(("name", "server"), [("!a:b:8448", "b:8448"), ("!v12room", None), ("#a:", None)])
    def test_server_of(self, name: str, server: str | None) -> None:
        assert server_of(name) == server


class TestSightings:
    @given(
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), min_size=1, max_size=60),
        st.lists(st.integers(0, 3), min_size=9, max_size=9),
    )
    def test_what_was_seen_is_what_is_written(self, pairs: list[tuple[int, int]], home: list[int]) -> None:
        seen = Sightings()
        for room, user in pairs:
            person = Person(NAMES.user(str(user)), NAMES.server(str(home[user])))
            seen.see(NAMES.room(str(room)), person)
        found = seen.federation()
        found.check()
        distinct = set(pairs)
        assert found.n_memberships == len(distinct)
        assert found.n_users == len({user for _, user in distinct})
        assert found.n_servers == len({home[user] for _, user in distinct})
        rooms = [sorted(home[user] for r, user in distinct if r == room) for room in {room for room, _ in distinct}]
        shape = sorted((len(room), len(set(room))) for room in rooms)
        k, u = found.servers_per_room.tolist(), found.users_per_room.tolist()
        assert sorted(zip(u, k, strict=True)) == shape
        users = [sum(1 for _, other in distinct if other == user) for user in {user for _, user in distinct}]
        assert sorted(found.rooms_per_user.tolist()) == sorted(users)

    def test_the_numbering_is_drawn(self) -> None:
        """That two of 20 drawings of 60 numbers agree has a probability below 1e-80."""
        seen = Sightings()
        for user in range(60):
            seen.see(NAMES.room(str(user % 7)), Person(NAMES.user(str(user)), NAMES.server("x")))
        orders = {seen.federation().membership_user.tobytes() for _ in range(20)}
        assert len(orders) == 20
        assert seen.federation(np.random.default_rng(1)).same_as(seen.federation(np.random.default_rng(1)))

    def test_nobody(self) -> None:
        with pytest.raises(MeasureError, match="nobody was seen"):
            Sightings().federation()


def noted(path: Path, secret: str = "secret", about: bytes = b"about") -> Journal:
    return Journal.open(path, secret, about)


@pytest.fixture(scope="module")
def _cheap_keys() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fedgen.measure.pseudonyms, "_COST", {"n": 2, "r": 1, "p": 1})
        yield


@pytest.mark.usefixtures("_cheap_keys")
class TestJournal:
    def test_answers_are_there_again(self, tmp_path: Path) -> None:
        path = tmp_path / "journal"
        asked = []

        async def ask() -> dict[str, object]:
            asked.append(1)
            return {"room": "!abc:secret.example", "n": 3, "people": b"\x00\xff"}

        for _ in range(3):
            journal = noted(path)
            answer = asyncio.run(journal.once("key", ask))
            assert answer == {"room": "!abc:secret.example", "n": 3, "people": b"\x00\xff"}
            journal.close()
        assert len(asked) == 1
        assert b"secret.example" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0

    @given(cut=st.integers(0, 400))
    def test_a_kill_at_any_byte_costs_the_last_answers_only(
        self, cut: int, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        path = tmp_path_factory.mktemp("journal") / "journal"
        journal = noted(path)
        for i in range(5):
            journal.note(f"k{i}", i)
        journal.close()
        whole = path.read_bytes()
        path.write_bytes(whole[: max(len(whole) - cut, 0)])
        again = noted(path)
        there = [again.known(f"k{i}") for i in range(5)]
        assert there == sorted(there, reverse=True)
        assert sum(there) == again.resumed
        again.note("last", "x")
        again.close()
        third = noted(path)
        assert third.resumed == sum(there) + 1
        third.close()

    def test_another_secret_configuration_or_file(self, tmp_path: Path) -> None:
        path = tmp_path / "journal"
        noted(path).close()
        with pytest.raises(MeasureError, match="begun with another token or secret"):
            noted(path, secret="other")
        with pytest.raises(MeasureError, match="another configuration"):
            noted(path, about=b"else")
        (tmp_path / "text").write_text("something that a person wrote down, and needs")
        with pytest.raises(MeasureError, match="is no journal"):
            noted(tmp_path / "text")
        assert (tmp_path / "text").read_text() == "something that a person wrote down, and needs"

    def test_records_are_bound_to_their_places(self, tmp_path: Path) -> None:
        path = tmp_path / "journal"
        journal = noted(path)
        ends = []
        for i in range(3):
            journal.note("k", i)
            ends.append(path.stat().st_size)
        journal.close()
        whole = path.read_bytes()
        path.write_bytes(whole[: ends[0]] + whole[ends[1] :])  # the second is left out
        with pytest.raises(MeasureError, match="damaged"):
            noted(path)

    def test_two_runs_at_once(self, tmp_path: Path) -> None:
        journal = noted(tmp_path / "journal")
        with pytest.raises(OutputError, match="another run works on it"):
            noted(tmp_path / "journal")
        journal.close()

    def test_forgotten(self, tmp_path: Path) -> None:
        journal = noted(tmp_path / "journal")
        journal.forget()
        assert list(tmp_path.iterdir()) == []

    def test_a_fleeting_one_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        journal = Journal.fleeting()
        journal.note("k", 1)
        assert journal.known("k")
        journal.forget()
        assert list(tmp_path.iterdir()) == []

    def test_a_salt_is_new_each_time(self, tmp_path: Path) -> None:
        salts = set()
        for name in "abc":
            noted(tmp_path / name).close()
            salts.add((tmp_path / name).read_bytes()[len(MAGIC) : len(MAGIC) + SALT])
        assert len(salts) == 3


GOOD = """
homeserver = "https://matrix.example.org"
join = true
[rooms]
list = ["#a:example.org", "!b"]
[announcement]
who = "We"
contact = "@me:example.org"
website = "https://example.org/crawl"
"""


class TestConfig:
    def test_a_good_one(self, tmp_path: Path) -> None:
        path = tmp_path / "crawl.toml"
        path.write_text(GOOD.replace("[announcement]", 'file = "more.txt"\n[announcement]'))
        (tmp_path / "more.txt").write_text("// of last year\n#c:example.org\n\n  !d:example.org\n")
        config = read_config(path)
        assert config.rooms.list == ("#a:example.org", "!b", "#c:example.org", "!d:example.org")
        assert config.limits.requests_per_second == 1.0

    def test_the_example_that_comes_along(self) -> None:
        config = read_config(Path(__file__).parents[1] / "configs" / "measure" / "crawl.toml")
        assert not config.join

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("homeserver =", "homserver =", "has a key homserver that is not known"),
            ("https://matrix.example.org", "matrix.example.org", "homeserver: is not the address"),
            ("https://matrix.example.org", "http://127.0.0.1:99999x", "homeserver: is not the address"),
            ("https://matrix.example.org", "https://[::1", "homeserver: is not the address"),
            ("list =", '"@somebody:example.org" =', "rooms has a key that is not known"),
            ("https://matrix.example.org", "http://matrix.example.org", "homeserver: would get the access token"),
            ("join = true", 'join = "yes"', "join: expected `bool`"),
            ('"#a:example.org"', '"a:example.org"', r"rooms.list\[0\]: is neither"),
            ('"!b"', '"#b"', r"rooms.list\[1\]: is neither"),
            ("list =", "lists =", "rooms has a key lists that is not known"),
            ('list = ["#a:example.org", "!b"]', "", "rooms: names nothing"),
            ('who = "We"', "", "announcement.who: is missing"),
            ("[announcement]", "[limits]\nattempts = 0\n[announcement]", "limits.attempts"),
            ("[announcement]", "[limits]\nrequests_per_second = -1\n[announcement]", "limits.requests_per_second"),
            ("[announcement]", "[limits]\nrequests_per_second = nan\n[announcement]", "limits.requests_per_second"),
            ("[announcement]", '[leave_out]\nservers = "a"\n[announcement]', "leave_out.servers: expected `array`"),
            ("[announcement]", "[announcement", ":6: is not TOML"),
        ],
    )
    def test_a_wrong_one_is_told_by_its_field(self, tmp_path: Path, old: str, new: str, said: str) -> None:
        path = tmp_path / "crawl.toml"
        path.write_text(GOOD.replace(old, new))
        with pytest.raises(UsageError, match=said) as told:
            read_config(path)
        assert "example" not in str(told.value).replace(str(path), "")

    def test_a_token_that_others_can_read(self, tmp_path: Path) -> None:
        path = tmp_path / "token"
        path.write_text("syt_abc\n")
        path.chmod(0o644)
        with pytest.raises(UsageError, match="chmod 600"):
            read_token(path)
        path.chmod(0o600)
        assert read_token(path) == "syt_abc"
        for wrong in ("two words", "", "geheim\N{LATIN SMALL LETTER U WITH DIAERESIS}"):
            path.write_text(wrong)
            with pytest.raises(UsageError, match="one word of plain letters") as told:
                read_token(path)
            assert "two" not in str(told.value)
            assert "geheim" not in str(told.value)
        with pytest.raises(FedgenError, match="cannot be read"):
            read_token(tmp_path / "none")

    def test_a_token_in_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(TOKEN, " syt_abc\n")
        assert read_token(None) == "syt_abc"
        monkeypatch.delenv(TOKEN)
        assert read_token(None) is None


class TestPace:
    def test_turns_are_apart(self) -> None:
        async def run() -> list[float]:
            pace, taken = Pace(0.02), []

            async def one() -> None:
                await pace.turn()
                taken.append(time.monotonic())

            await asyncio.gather(*(one() for _ in range(8)))
            return taken

        taken = asyncio.run(run())
        assert all(b - a >= 0.0199 for a, b in pairwise(taken))

    def test_nobody_has_a_turn_while_it_is_held(self) -> None:
        async def run() -> float:
            pace = Pace(0.001)
            await pace.turn()
            waiting = asyncio.ensure_future(pace.turn())
            began = time.monotonic()
            pace.hold(0.1)
            pace.hold(0.05)  # the longer one counts
            await waiting
            return time.monotonic() - began

        assert asyncio.run(run()) >= 0.0999


@pytest.mark.parametrize(
    "words", [["crawl", "c.toml"], ["announce", "c.toml"], ["synapse", "https://x"], ["synapse", "postgresql://x/y"]]
)
def test_a_missing_package_is_one_line(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(TOKEN, "syt_abc")
    (tmp_path / "c.toml").write_text(GOOD)
    for package in ("httpx", "psycopg"):
        monkeypatch.setitem(sys.modules, package, None)
    assert run(["measure", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search("measuring needs the package (httpx|psycopg); install it with", line)
