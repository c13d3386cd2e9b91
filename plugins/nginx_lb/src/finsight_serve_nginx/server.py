"""The nginx process: tested, started, reloaded, adopted and stopped."""

import re
import signal
import socket as sockets
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import anyio

from finsight_serve.env import Env, ProcessId
from finsight_serve.plugin import ApplyError

from . import family
from .command import CURRENT, build_argv
from .configurations import Configurations
from .control import Control, ControlError
from .kept import Kept
from .options import Options, split_listen
from .processes import Here, Processes

TAKE_UP_S = 10.0
"""How long a new configuration may take until every new connection meets it."""
RELEASE_S = 5.0
"""How long a dying nginx may hold its port before it is killed."""
STEP_S = 0.05


class Server:
    def __init__(self, options: Options, env: Env, control: Control, configurations: Configurations) -> None:
        self._options, self._env, self._control, self._configurations = options, env, control, configurations
        self._kept = Kept(env.state_dir) if options.kept_at else None
        self.processes: Processes = self._kept or Here(env.state_dir, env.processes)
        self._port = split_listen(options.listen)[1]
        self._output, self._errors = env.state_dir / "logs" / "nginx.log", env.state_dir / "logs" / "error.log"
        self._master: ProcessId | None = None
        self._noted = env.state_dir / "certificate.seen"

    async def version(self) -> str:
        """Of the configuration that answers now; "" if none does, or only workers whose master is gone."""
        try:
            return await self._control.version() if self._find_master() else ""
        except (ControlError, OSError):
            return ""

    def port_holders(self) -> Mapping[str, str]:
        """By the option that asks for a port, a sentence on who else listens there."""
        if self._kept:
            return {}
        ours = self.processes.find().pids
        others = {option: (port, self.processes.listeners(port) - ours) for option, port in self._options.ports.items()}
        return {
            option: f"port {port} in use by {family.describe(max(pids))}"
            for option, (port, pids) in others.items()
            if pids
        }

    async def test(self, version: str) -> None:
        """Raises `ApplyError` with nginx's own message."""
        for folder in ("logs", "temp", "ledger"):
            (self._env.state_dir / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        ran = await self._env.processes.run(self._argv(f"versions/{version}/nginx.conf", "-t"))
        if ran.code:
            raise ApplyError(f"nginx rejects the configuration: {self._message(ran.stderr)}")

    async def run(self, version: str) -> None:
        """Makes a tested configuration the running one; if that fails, the one before stays current."""
        before = self._configurations.current
        self._configurations.switch(version)
        try:
            if await self.version():
                await self._take_up(version)
            else:
                await self._start(version)
        except ApplyError:
            self._configurations.switch(before)
            raise
        self._configurations.prune(version, before)

    def reload(self) -> None:
        """Reads the current configuration anew, certificates included; open requests go on."""
        self._note_certificate()
        self._tell_master(signal.SIGHUP)

    def certificate(self) -> str:
        """A mark that changes with the certificate's files; "" without TLS or while a file is missing."""
        try:
            stats = [path.stat() for path in self._options.tls_files]
        except OSError:
            return ""
        return " ".join(f"{stat.st_ino}-{stat.st_size}-{stat.st_mtime_ns}" for stat in stats)

    def loaded_certificate(self) -> str:
        """The mark of the files that the running nginx has read."""
        return self._noted.read_text("utf-8") if self._noted.exists() else ""

    def _note_certificate(self) -> None:
        self._noted.write_text(self.certificate(), "utf-8")

    def reopen_ledger(self) -> None:
        self._tell_master(signal.SIGUSR1)

    async def stop(self) -> None:
        """Ends every process of ours: gracefully within `drain_timeout_s`, then by force."""
        idle = await self._is_idle()
        # a graceful end also waits for idle keep-alive connections, which need no waiting for
        if not (members := self._end(signal.SIGTERM if idle else signal.SIGQUIT)):
            return
        if not idle:
            self._env.progress(f"nginx ends; open streams have {self._options.drain_timeout_s:g} s")
        await self._wait(lambda: not self.processes.find().members, self._options.drain_timeout_s)
        for member in self.processes.find().members:
            self.processes.tell(member, signal.SIGKILL)
        await self._wait(lambda: not self.processes.find().members, RELEASE_S)
        for member in members:
            self.processes.alive(member)  # reaps our own child

    async def _take_up(self, version: str) -> None:
        old = self.processes.accepting(self.processes.find().pids)
        position = self._position()
        self.reload()
        if not await self._taken_up(version, old):
            raise ApplyError(f"nginx did not take up the configuration: {self._logged(position)}")

    async def _start(self, version: str) -> None:
        if self._kept:
            await self._be_started(self._kept, version)
            return
        await self._make_room()
        for option, holder in self.port_holders().items():
            raise ApplyError(f"{holder}: stop it, or choose another `{option}`")
        position = self._position()
        self._note_certificate()
        try:
            master = self._env.processes.start(self._argv(CURRENT), log=self._output)
        except OSError as error:
            raise ApplyError(f"nginx can't be started: {error.strerror or error}") from error
        if not await self._taken_up(version, frozenset(), lambda: self._env.processes.alive(master)):
            raise ApplyError(f"nginx did not start: {self._logged(position)}")

    async def _be_started(self, kept: Kept, version: str) -> None:
        """By the keeper, which runs what has become current; an nginx that hangs is ended, and then started anew."""
        position = self._position()
        self._note_certificate()
        if await self._taken_up(version, frozenset()):
            return
        for member in self.processes.find().members:
            self.processes.tell(member, signal.SIGKILL)
        if not kept.is_there():
            raise ApplyError(
                f"nobody keeps nginx in {self._env.state_dir}: run `python -m finsight_serve_nginx.keeper` on it where "
                "kept_at says, or leave kept_at out"
            )
        raise ApplyError(f"the keeper's nginx did not start: {self._logged(position)}")

    async def _make_room(self) -> None:
        """Sends off an nginx that lost its master or hangs: its open streams may end, its port is freed."""
        socket = self._env.state_dir / "control.sock"
        if self._end(signal.SIGQUIT):
            await self._wait(lambda: not self._holding(), RELEASE_S)
            left = self.processes.find()
            hung = self.processes.accepting(left.pids) | {left.master.pid if left.master else 0}
            for member in left.members if self._holding() else ():
                if member.pid in hung:
                    self.processes.tell(member, signal.SIGKILL)
            await self._wait(lambda: not self._holding(), RELEASE_S)
        socket.unlink(missing_ok=True)  # a killed master leaves it, and nginx does not start over it
        if (metrics := self._options.metrics_socket) and _is_abandoned(metrics):
            metrics.unlink(missing_ok=True)

    def _holding(self) -> frozenset[int]:
        return self.processes.listeners(self._port) & self.processes.find().pids

    async def _is_idle(self) -> bool:
        """No request is open, as far as can be known."""
        try:
            return not await self._control.open()
        except ControlError:
            return False

    def _end(self, how: signal.Signals) -> tuple[ProcessId, ...]:
        found = self.processes.find()
        for process in (found.master,) if found.master else found.members:
            self.processes.tell(process, how)
        return found.members

    def _tell_master(self, what: signal.Signals) -> None:
        if master := self._find_master():
            self.processes.tell(master, what)

    def _find_master(self) -> ProcessId | None:
        """Reads the process table only when the master that was known last is gone."""
        if self._master is None or not self.processes.alive(self._master):
            self._master = self.processes.find().master
        return self._master

    async def _taken_up(self, version: str, old: frozenset[int], alive: Callable[[], bool] = lambda: True) -> bool:
        """True once the version answers and none of the `old` workers takes connections any more."""
        answers = False
        with anyio.move_on_after(TAKE_UP_S):
            while alive() and not (answers and not self.processes.accepting(old)):
                await self._env.clock.sleep(STEP_S)
                answers = answers or await self.version() == version
            return answers and alive()
        return False

    async def _wait(self, done: Callable[[], bool], deadline_s: float) -> None:
        with anyio.move_on_after(deadline_s):
            while not done():
                await self._env.clock.sleep(STEP_S)

    def _argv(self, configuration: str, *flags: str) -> list[str]:
        try:
            return build_argv(self._env.state_dir, self._options.binary, configuration, *flags)
        except ValueError as error:
            raise ApplyError(str(error)) from error

    def _position(self) -> int:
        return self._errors.stat().st_size if self._errors.exists() else 0

    def _logged(self, position: int) -> str:
        """What nginx wrote to its error log since, in one line."""
        with self._errors.open("rb") as file:
            file.seek(position)
            lines = file.read().decode(errors="replace").splitlines()
        return self._message("\n".join(lines[-3:])) or f"no word from it within {TAKE_UP_S:g} s"

    def _message(self, text: str) -> str:
        """nginx's lines without stamps and this machine's paths."""
        said = [re.sub(r"^.*\[\w+\] (\d+#\d+: )?", "", line) for line in text.splitlines() if "[" in line]
        return re.sub(
            re.escape(str(self._env.state_dir)) + r"/(versions/[^/]*/|current/)?", "", "; ".join(said) or text
        )


def _is_abandoned(path: Path) -> bool:
    """A socket that nobody listens on."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
        with sockets.socket(sockets.AF_UNIX) as probe:
            probe.connect(str(path))
    except FileNotFoundError:
        return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False
