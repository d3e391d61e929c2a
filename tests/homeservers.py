"""Real homeservers to measure: Synapse in an environment of its own, always another process, never imported."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import hmac
import ipaddress
import json
import os
import pwd
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import quote

import httpx
import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

SYNAPSE = ["matrix-synapse>=1.140,<2", "psycopg2-binary"]
ROOT = Path(__file__).parents[1]

# Below the ports that Linux (from 32768) and others hand out to outgoing connections.
PORTS = range(20000, 32000)

# Runs what its arguments name, as user and group (where not -1), and lets it die with the process that started it.
LAUNCH = """
import ctypes, os, sys
user, group, farewell, parent = map(int, sys.argv[1:5])
if user >= 0:
    os.setgroups([]); os.setgid(group); os.setuid(user)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, farewell, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("its parent is gone")
os.execv(sys.argv[5], sys.argv[5:])
"""

# So high that no test meets it.
UNLIMITED = {"per_second": 10000, "burst_count": 10000}
LIMITS: dict[str, Any] = {
    "rc_message": UNLIMITED,
    "rc_registration": UNLIMITED,
    "rc_registration_token_validity": UNLIMITED,
    "rc_login": {"address": UNLIMITED, "account": UNLIMITED, "failed_attempts": UNLIMITED},
    "rc_admin_redaction": UNLIMITED,
    "rc_joins": {"local": UNLIMITED, "remote": UNLIMITED},
    "rc_joins_per_room": UNLIMITED,
    "rc_invites": {"per_room": UNLIMITED, "per_user": UNLIMITED, "per_issuer": UNLIMITED},
    "rc_room_creation": UNLIMITED,
    "rc_user_directory": UNLIMITED,
    "rc_federation": {
        "window_size": 1000,
        "sleep_limit": 10000,
        "sleep_delay": 1,
        "reject_limit": 10000,
        "concurrent": 100,
    },
}


class UnavailableError(Exception):
    """What a test needs cannot be had on this machine; the message says why, in one line."""


class RefusedError(Exception):
    """A homeserver answered with an error."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers = response.headers
        try:
            self.body: dict[str, Any] = response.json()
        except ValueError:
            self.body = {"error": response.text}
        super().__init__(f"{response.request.method} {response.request.url}: {self.status} {self.body}")

    @property
    def errcode(self) -> str | None:
        return self.body.get("errcode")


def synapse() -> Path:
    """The Python that has Synapse: of the environment that FEDGEN_SYNAPSE names, else of .synapse, made if missing."""
    if named := os.environ.get("FEDGEN_SYNAPSE"):
        python = Path(named) / "bin" / "python"
        if not list(Path(named).glob("lib/python*/site-packages/synapse/app/homeserver.py")):
            raise FileNotFoundError(f"FEDGEN_SYNAPSE: no Synapse in {named}")
        return python
    folder = ROOT / ".synapse"
    python, stamp, wanted = folder / "bin" / "python", folder / ".installed", "\n".join(SYNAPSE)
    folder.mkdir(exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted or not python.exists():
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", *SYNAPSE]
            for command in ([sys.executable, "-m", "venv", "--clear", folder], pip):
                made = subprocess.run(command, capture_output=True, text=True, check=False)
                if made.returncode:
                    last = (made.stderr.strip() or made.stdout.strip() or "no message").splitlines()[-1]
                    raise UnavailableError(f"Synapse cannot be installed: {last}")
            stamp.write_text(wanted)
    finally:
        os.close(lock)
    return python


class Port:
    """A free port, kept from the other tests (of any process) until released."""

    def __init__(self) -> None:
        folder = Path(tempfile.gettempdir()) / f"fedgen-ports-{os.getuid()}"
        folder.mkdir(exist_ok=True)
        for self.number in random.SystemRandom().sample(PORTS, 1000):
            self._lock = os.open(folder / str(self.number), os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", self.number))
                return
            except OSError:
                os.close(self._lock)
        raise UnavailableError("no free port on 127.0.0.1")

    def release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


class Process:
    """A server that other code starts and stops; it dies with this process, however that ends."""

    def __init__(self, command: list[str | Path], log: Path, farewell: signal.Signals, user: tuple[int, int]) -> None:
        self.log = log
        self._command, self._farewell, self._user = command, farewell, user
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert not self.running
        arguments = (*self._user, int(self._farewell), os.getpid())
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", LAUNCH, *map(str, arguments), *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.log.parent,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def end(self, *signals: signal.Signals, patience: float = 10.0) -> None:
        """Send one signal after the other, each when the one before has not helped; then SIGKILL to the whole group."""
        if self._process is None:
            return
        for number in signals:
            self._process.send_signal(number)  # to nobody once it has ended
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        if self.running:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()

    def await_(self, ready: Callable[[], bool], what: str, seconds: float) -> None:
        """Poll until ready; a process that ends, or takes too long, is an error with the end of its log."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running or time.monotonic() > deadline:
                trouble = "takes too long to start" if self.running else "ended early"
                raise AssertionError(f"{what} {trouble}; the end of {self.log}:\n{tail(self.log)}")
            time.sleep(0.05)


def tail(log: Path, lines: int = 40) -> str:
    """The end of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log)"


class Authority:
    """A certificate authority, and one certificate of it that all homeservers on localhost share."""

    def __init__(self, folder: Path) -> None:
        self.ca, self.certificate, self.key = folder / "ca.pem", folder / "server.pem", folder / "server.key"
        ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        ca_name, name = _name("fedgen's tests"), _name("localhost")
        signer = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
        ca = (
            _certificate(ca_name, ca_name, ca_key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .add_extension(signer, critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        addresses = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = (
            _certificate(name, ca_name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        self.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def context(self) -> ssl.SSLContext:
        """What trusts this authority, and no other."""
        return ssl.create_default_context(cafile=str(self.ca))


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


class Postgres:
    """A throwaway PostgreSQL cluster on 127.0.0.1 and a Unix socket, without passwords."""

    user = "synapse"

    def __init__(self) -> None:
        binaries = _postgres_binaries()
        # Sockets need a short path, and the user that PostgreSQL runs as one that is open to it.
        self.folder = Path(tempfile.mkdtemp(prefix="fedgen-pg-"))
        self._port = Port()
        self.port = self._port.number
        ids = _unprivileged() if os.getuid() == 0 else (-1, -1)
        if os.getuid() == 0:
            os.chown(self.folder, *ids)
        data = self.folder / "data"
        make: list[str | Path] = [binaries / "initdb", "--no-sync", "--auth=trust", f"--username={self.user}"]
        make += ["--encoding=UTF8", "--locale=C", "-D", data]
        serve: list[str | Path] = [binaries / "postgres", "-D", data, "-F", "-k", self.folder, "-p", str(self.port)]
        serve += ["-c", "listen_addresses=127.0.0.1", "-c", "full_page_writes=off", "-c", "synchronous_commit=off"]
        initdb = Process(make, self.folder / "initdb.log", signal.SIGKILL, ids)
        self._server = Process(serve, self.folder / "postgres.log", signal.SIGQUIT, ids)
        try:
            initdb.start()
            with contextlib.suppress(AssertionError):
                initdb.await_(lambda: False, "initdb", 60)
            if not (data / "PG_VERSION").exists():
                raise AssertionError(f"initdb fails:\n{tail(initdb.log)}")
            self._server.start()
            self._server.await_(self._answers, "PostgreSQL", 60)
        except BaseException:
            self.close()
            raise
        finally:
            initdb.end()

    def dsn(self, database: str = "postgres", *, over_socket: bool = False) -> str:
        """How to reach a database of the cluster, by TCP or by its Unix socket."""
        if over_socket:
            return f"postgresql://{self.user}@/{database}?host={quote(str(self.folder), safe='')}&port={self.port}"
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Create a database as Synapse wants it, UTF-8 and collated as C, and return its DSN."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"'.encode())
        return self.dsn(database)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def close(self) -> None:
        self._server.end(signal.SIGINT, signal.SIGQUIT)
        self._port.release()
        shutil.rmtree(self.folder, ignore_errors=True)


def _postgres_binaries() -> Path:
    found = [Path(path).parent for name in ["postgres"] if (path := shutil.which(name))]
    for pattern in ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin"):
        found += sorted(Path("/").glob(pattern), key=lambda folder: (len(str(folder)), folder), reverse=True)
    for folder in found:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    raise UnavailableError("PostgreSQL is not installed: no postgres and initdb in PATH or /usr/lib/postgresql")


def _unprivileged() -> tuple[int, int]:
    """The user and group to run PostgreSQL as, which root must not."""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise UnavailableError("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


class User(NamedTuple):
    """An account and its access token."""

    id: str
    token: str

    @property
    def server(self) -> str:
        return self.id.partition(":")[2]


class Homeserver:
    """One Synapse: TLS for clients and federation on the port of its name, and plain HTTP for clients."""

    def __init__(
        self,
        python: Path,
        folder: Path,
        authority: Authority,
        *,
        dsn: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        folder.mkdir(parents=True)
        self.folder, self.authority, self.dsn = folder, authority, dsn
        self._ports = [Port(), Port()]
        tls, plain = (port.number for port in self._ports)
        self.name = f"localhost:{tls}"
        self.url = f"https://{self.name}"
        self.plain_url = f"http://127.0.0.1:{plain}"
        self._secret = base64.b64encode(os.urandom(18)).decode()
        self.config = self._make_config(tls, plain) | dict(settings or {})
        (folder / "signing.key").write_text(f"ed25519 a_test {base64.b64encode(os.urandom(32)).decode().rstrip('=')}\n")
        config = folder / "homeserver.json"
        config.write_text(json.dumps(self.config, indent=1))
        command: list[str | Path] = [python, "-m", "synapse.app.homeserver", "-c", config]
        self._process = Process(command, folder / "homeserver.log", signal.SIGKILL, (-1, -1))
        self._http = httpx.Client(base_url=self.plain_url, timeout=120, trust_env=False)
        self._admin: User | None = None

    def _make_config(self, tls: int, plain: int) -> dict[str, Any]:
        listener = {"type": "http", "bind_addresses": ["127.0.0.1"]}
        if self.dsn is None:
            database: dict[str, Any] = {"name": "sqlite3", "args": {"database": str(self.sqlite)}}
        else:
            database = {"name": "psycopg2", "args": {"dsn": self.dsn, "cp_min": 1, "cp_max": 5}}
        return {
            "server_name": self.name,
            "public_baseurl": self.url,
            "listeners": [
                listener | {"port": tls, "tls": True, "resources": [{"names": ["client", "federation"]}]},
                listener | {"port": plain, "resources": [{"names": ["client"]}]},
            ],
            "tls_certificate_path": str(self.authority.certificate),
            "tls_private_key_path": str(self.authority.key),
            "federation_custom_ca_list": [str(self.authority.ca)],
            "database": database,
            "signing_key_path": str(self.folder / "signing.key"),
            "media_store_path": str(self.folder / "media"),
            "macaroon_secret_key": self._secret,
            "form_secret": self._secret,
            "registration_shared_secret": self._secret,
            "enable_registration": False,
            "bcrypt_rounds": 4,
            "report_stats": False,
            "trusted_key_servers": [],
            "suppress_key_server_warning": True,
            "ip_range_blacklist": [],
            "allow_public_rooms_over_federation": True,
            "allow_public_rooms_without_auth": True,
            "room_list_publication_rules": [{"action": "allow"}],  # without it the directory stays empty
            "presence": {"enabled": False},
            "url_preview_enabled": False,
            # One that was down is tried again at once.
            "federation": {"destination_min_retry_interval": "1s", "destination_max_retry_interval": "5s"},
            **LIMITS,
        }

    @property
    def sqlite(self) -> Path:
        """The database file of a homeserver without a DSN."""
        return self.folder / "homeserver.db"

    @property
    def log(self) -> Path:
        return self._process.log

    @property
    def running(self) -> bool:
        return self._process.running

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def admin(self) -> User:
        """An administrator, made when first asked for."""
        if self._admin is None:
            self._admin = self.register("admin", admin=True)
        return self._admin

    def start(self) -> None:
        """Start the process, without waiting for it."""
        self._process.start()

    def wait(self, seconds: float = 180.0) -> None:
        """Wait until it answers."""
        self._process.await_(self._answers, self.name, seconds)

    def stop(self) -> None:
        self._process.end(signal.SIGTERM)

    def kill(self) -> None:
        self._process.end()

    def restart(self) -> None:
        self.stop()
        self.start()
        self.wait()

    def close(self) -> None:
        """Kill it for good; its files stay."""
        self.kill()
        self._http.close()
        for port in self._ports:
            port.release()

    def _answers(self) -> bool:
        try:
            return self._http.get("/_matrix/client/versions").status_code == 200
        except httpx.TransportError:
            return False

    def api(
        self, method: str, path: str, *, token: str | None = None, json: object = None, **params: Any
    ) -> dict[str, Any]:
        """Call the API at a path under / and return the JSON of the answer; an error is raised as RefusedError."""
        if json is None and method in ("POST", "PUT"):
            json = {}
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        response = self._http.request(method, path, json=json, headers=headers, params=params)
        if response.status_code != 200:
            raise RefusedError(response)
        answer: dict[str, Any] = response.json()
        return answer

    def client(self, method: str, path: str, user: User | None = None, json: object = None, **params: Any) -> Any:
        """Call the client-server API, version 3."""
        return self.api(method, f"/_matrix/client/v3{path}", token=user and user.token, json=json, **params)

    def register(self, localpart: str, *, admin: bool = False) -> User:
        """Make a user, by the shared secret."""
        path = "/_synapse/admin/v1/register"
        nonce = self.api("GET", path)["nonce"]
        password = "secret"
        parts = (nonce, localpart, password, "admin" if admin else "notadmin")
        mac = hmac.new(self._secret.encode(), "\0".join(parts).encode(), hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": localpart, "password": password, "admin": admin, "mac": mac}
        answer = self.api("POST", path, json=body)
        return User(answer["user_id"], answer["access_token"])

    def token_file(self, user: User) -> Path:
        """A file with the access token of a user, for its owner only."""
        path = self.folder / f"{user.id.partition(':')[0][1:]}.token"
        path.touch(mode=0o600)
        path.write_text(f"{user.token}\n")
        return path

    def members(self, room: str) -> set[str]:
        """The users in a room, as this homeserver knows them."""
        path = f"/_synapse/admin/v1/rooms/{quote(room, safe='')}/members"
        return set(self.api("GET", path, token=self.admin.token)["members"])


@dataclass
class Room:
    """A room as it was made."""

    id: str
    creator: User
    alias: str | None
    name: str
    topic: str | None
    public: bool
    members: set[str] = field(default_factory=set)
    seen_by: set[str] = field(default_factory=set)  # servers that have or had a user in it


class World:
    """Homeservers that federate, run by the Python that has Synapse, and the truth about who is in which room."""

    def __init__(self, python: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.python, self.folder = python, folder
        self.authority = Authority(folder)
        self.homeservers: list[Homeserver] = []
        self.users: dict[str, User] = {}
        self.rooms: dict[str, Room] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for homeserver in self.homeservers:
            homeserver.close()

    def start(
        self, *dsns: str | None, settings: Mapping[str, Any] | None = None, seconds: float = 180.0
    ) -> list[Homeserver]:
        """Start homeservers side by side, one for each DSN of a PostgreSQL database, or None for SQLite."""
        started = []
        for dsn in dsns:
            folder = self.folder / f"homeserver-{len(self.homeservers)}"
            self.homeservers.append(Homeserver(self.python, folder, self.authority, dsn=dsn, settings=settings))
            started.append(self.homeservers[-1])
            started[-1].start()
        for homeserver in started:
            homeserver.wait(seconds)
        return started

    def named(self, name: str) -> Room:
        """The room that was made under a name."""
        return next(room for room in self.rooms.values() if room.name == name)

    def on(self, homeserver: Homeserver) -> list[User]:
        """The users of a homeserver, in the order that they were made."""
        return [user for user in self.users.values() if user.server == homeserver.name]

    def of(self, user: User) -> Homeserver:
        """The homeserver of a user."""
        return next(homeserver for homeserver in self.homeservers if homeserver.name == user.server)

    def register(self, homeserver: Homeserver, localpart: str) -> User:
        """Make a user whose memberships are part of the truth."""
        user = homeserver.register(localpart)
        self.users[user.id] = user
        return user

    def create_room(
        self,
        creator: User,
        name: str,
        *,
        alias: bool = True,
        public: bool = True,
        published: bool = True,
        topic: str | None = None,
        version: str | None = None,
        space_of: Iterable[Room] | None = None,
    ) -> Room:
        """Make a room: open to all or by invitation, with its name as alias, in the directory; or a space of rooms."""
        homeserver = self.of(creator)
        body: dict[str, Any] = {
            "name": name,
            "preset": "public_chat" if public else "private_chat",
            "visibility": "public" if public and published else "private",
        }
        if alias and public:
            body["room_alias_name"] = name
        if topic is not None:
            body["topic"] = topic
        if version is not None:
            body["room_version"] = version
        if space_of is not None:
            body["creation_content"] = {"type": "m.space"}
            body["initial_state"] = [
                {"type": "m.space.child", "state_key": room.id, "content": {"via": [room.creator.server]}}
                for room in space_of
            ]
        id_ = homeserver.client("POST", "/createRoom", creator, body)["room_id"]
        address = f"#{name}:{homeserver.name}" if alias and public else None
        room = Room(id_, creator, address, name, topic, public, {creator.id}, {homeserver.name})
        self.rooms[id_] = room
        return room

    def join(self, user: User, *rooms: Room) -> None:
        for room in rooms:
            via = sorted({member.partition(":")[2] for member in room.members} - {user.server})
            path = f"/join/{quote(room.id, safe='')}"
            self.of(user).client("POST", path, user, via=via[:3], server_name=via[:3])
            room.members.add(user.id)
            room.seen_by.add(user.server)

    def leave(self, user: User, room: Room) -> None:
        self._do(user, room, "leave")
        room.members.discard(user.id)

    def invite(self, user: User, room: Room) -> None:
        self._do(room.creator, room, "invite", user)

    def kick(self, user: User, room: Room) -> None:
        self._do(room.creator, room, "kick", user)
        room.members.discard(user.id)

    def ban(self, user: User, room: Room) -> None:
        self._do(room.creator, room, "ban", user)
        room.members.discard(user.id)

    def unban(self, user: User, room: Room) -> None:
        self._do(room.creator, room, "unban", user)

    def _do(self, by: User, room: Room, action: str, to: User | None = None) -> None:
        body = {} if to is None else {"user_id": to.id}
        self.of(by).client("POST", f"/rooms/{quote(room.id, safe='')}/{action}", by, body)

    def truth(self) -> dict[str, frozenset[str]]:
        """Who is in which room."""
        return {id_: frozenset(room.members) for id_, room in self.rooms.items()}

    def differences(self) -> Iterator[str]:
        """Where a running homeserver sees other members than there are; users who are no part of the truth are not.

        One that has no user in a room any more hears nothing of it: only its own users are compared.
        """
        for homeserver in self.homeservers:
            for room in self.rooms.values():
                if not homeserver.running or homeserver.name not in room.seen_by:
                    continue
                here, wanted = homeserver.members(room.id) & self.users.keys(), room.members
                if not _of_server(wanted, homeserver.name):
                    here, wanted = _of_server(here, homeserver.name), set()
                if here != wanted:
                    wrong = f"lacks {sorted(wanted - here)}, has {sorted(here - wanted)}"
                    yield f"{homeserver.name} of {room.name}: {wrong}"

    def wait_until_converged(self, seconds: float = 60.0) -> None:
        """Wait until all running homeservers see the truth."""
        deadline = time.monotonic() + seconds
        while wrong := list(self.differences()):
            if time.monotonic() > deadline:
                logs = "\n".join(f"{server.log}:\n{tail(server.log, 15)}" for server in self.homeservers)
                raise AssertionError("\n".join([*wrong, logs]))
            time.sleep(0.1)


def _of_server(users: Iterable[str], name: str) -> set[str]:
    return {user for user in users if user.partition(":")[2] == name}


def furnish(world: World) -> None:
    """Ten users on each of the world's first three homeservers, in five rooms and a space, and wait for agreement.

    lobby: open to all, nearly all are in it. garden: the last of the third homeserver left it, one was kicked, one was
    banned. twelve: of room version 12, whose ids name no server. attic: open, not in the directory, of one homeserver.
    cellar: by invitation. campus: the space of lobby, garden and twelve.
    """
    for homeserver in world.homeservers[:3]:
        for number in range(10):
            world.register(homeserver, f"user{number}")
    a, b, c = (world.on(homeserver) for homeserver in world.homeservers[:3])
    lobby = world.create_room(a[0], "lobby", topic="Everyone is welcome \N{WAVING HAND SIGN}", version="11")
    garden = world.create_room(b[0], "garden", topic="Roses, e.g. climbing ones", version="10")
    twelve = world.create_room(c[0], "twelve", version="12")
    attic = world.create_room(b[1], "attic", published=False, version="11")
    cellar = world.create_room(a[1], "cellar", public=False, version="11")
    campus = world.create_room(a[0], "campus", space_of=(lobby, garden, twelve), version="11")
    for user in (*a[1:9], *b[:8], *c[:7]):
        world.join(user, lobby)
    for user in (*b[2:6], *a[3:6], *c[:2]):
        world.join(user, garden)
    for user in (*c[1:4], b[0], b[9], a[9]):
        world.join(user, twelve)
    for user in b[2:7]:
        world.join(user, attic)
    for user in (a[2], b[0]):
        world.invite(user, cellar)
        world.join(user, cellar)
    world.join(b[0], campus)
    for user in c[:2]:
        world.leave(user, garden)
    world.wait_until_converged()
    world.kick(a[4], garden)
    world.ban(a[5], garden)
    world.leave(b[7], lobby)
    world.wait_until_converged()
