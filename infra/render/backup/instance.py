"""
A PostgreSQL made from a backup, in a directory of its own below the backups' directory (`restored`, `drill`).
Root and postgres alone reach it: by a socket in a directory of mode 0700.

Its settings lie beside the data and are given to it there, so that the data stays what the database wrote.
"""
import glob
import os
import pwd
import re
import shlex
import shutil
import time

import common
import pgbackrest
from common import (
    FOLDER, KEPT_LABEL, LABEL, POSTGRES, Failed, assert_room, bin, iso, moment, one_line, place, run, settings, write_text,
)
from session import Session

POLL_SECONDS = 0.5
START_SECONDS = 10
# A standby must have these at least as large as the primary had them
AS_LARGE = {
    "max_connections": 100, "max_worker_processes": 8, "max_wal_senders": 10,
    "max_prepared_xacts": 0, "max_locks_per_xact": 64,
}
SETTING = {"max_prepared_xacts": "max_prepared_transactions", "max_locks_per_xact": "max_locks_per_transaction"}
PAUSED = "SELECT pg_get_wal_replay_pause_state(), pg_last_wal_replay_lsn(), pg_last_xact_replay_timestamp()"


class Instance:
    """
    @param name the directory, which nothing else uses
    @param port where it listens once it serves others; of its socket, too
    """

    def __init__(self, name, port=5432):
        self.name = name
        self.port = port
        self.data = place(name, "data")
        self.socket = place(name, "socket")
        self._log = place(name, "log")
        self._settings = place(name, "postgresql.conf")

    # Making and removing it

    def remove(self):
        """Stops it, and removes all of it. Harmless where there is none."""
        self.stop("immediate")
        if os.path.isdir(place(self.name)):
            for one in os.listdir(place(self.name)):
                path = place(self.name, one)
                remove_tree(path) if os.path.isdir(path) else os.unlink(path)

    def bring(self, lineage, backup):
        """
        Brings a backup's data here, from the first repository that can give it whole.
        @param backup as `pgbackrest.info` has it. Fails where no repository can, and where there is no room
        """
        advice = "make the disk larger, or remove what is not needed there"
        assert_room(backup["bytes"], place(self.name), "the restored database", advice)
        self._make_directories()
        failures = []
        for repository, label in backup["labels"].items():
            words = pgbackrest.command(
                lineage, "restore", f"--set={label}", "--type=none", pg1=self.data, repo=repository, separate=self.name,
            )
            said = run(words, user=POSTGRES, check=False)
            if said.code == 0:
                self._give_label_its_name()
                return
            failures.append(f"{repository}: {damage(said.err)}")
            self._empty_data()
        raise Failed(f"the backup {backup['label']} cannot be restored: {'; '.join(failures)}; a moment of another backup may be (npm run backup -- --list)")

    def _make_directories(self):
        for path in (self.data, self.socket):
            os.makedirs(path, mode=0o700, exist_ok=True)
            self._own(path)

    def _empty_data(self):
        shutil.rmtree(self.data)
        self._make_directories()

    def _own(self, path):
        entry = pwd.getpwnam(POSTGRES)
        os.chown(path, entry.pw_uid, entry.pw_gid)

    def _give_label_its_name(self):
        """pgBackRest leaves out a file that is called backup_label."""
        kept = os.path.join(self.data, KEPT_LABEL)
        if os.path.exists(kept):
            os.rename(kept, os.path.join(self.data, LABEL))
        elif not os.path.exists(os.path.join(self.data, LABEL)):
            raise Failed("the backup has no backup_label, so that no consistent database can be made of it")

    # Starting and stopping it

    def recover(self, lineage, target, timeline="latest"):
        """
        Starts it; it recovers up to the target, and pauses there.
        @param target PostgreSQL's settings of where recovery is to end, such as recovery_target_time
        """
        open(os.path.join(self.data, "recovery.signal"), "a").close()
        self._own(os.path.join(self.data, "recovery.signal"))
        # Of a promotion that was cut off: recovery would follow it
        for one in glob.glob(os.path.join(glob.escape(self.data), "pg_wal", "*.history")):
            os.unlink(one)
        program = shlex.join(["/usr/bin/python3", os.path.join(FOLDER, "keeper", "wal_get.py")])
        self._write_settings({
            "restore_command": f"{program} %f %p {lineage} {self.name}",
            "recovery_target_timeline": timeline, "recovery_target_action": "pause", **target,
        })
        self._start()

    def serve(self, more, rules):
        """Starts it anew as a primary. @param more settings @param rules lines of pg_hba.conf besides its own"""
        self.stop("fast")
        self._write_settings(more, rules)
        self._start()

    def _write_settings(self, more, rules=()):
        write_text(place(self.name, "pg_hba.conf"), "\n".join(["local all postgres trust", *rules]) + "\n", 0o600, POSTGRES)
        own = {
            "data_directory": self.data, "hba_file": place(self.name, "pg_hba.conf"),
            "unix_socket_directories": self.socket, "unix_socket_permissions": "0700", "port": self.port,
            "listen_addresses": "", "ssl": "off", "hot_standby": "on", "archive_mode": "off", "wal_level": "replica",
            "shared_buffers": "64MB", "maintenance_work_mem": "32MB", "max_wal_size": "256MB", "min_wal_size": "80MB",
            "logging_collector": "off", "log_timezone": "UTC", "timezone": "UTC",
            "lc_messages": "C", "max_standby_archive_delay": -1, "synchronous_standby_names": "",
            "shared_preload_libraries": "", **self._as_large(), **more,
        }
        lines = [f"{name} = {quoted(value)}" for name, value in own.items()]
        write_text(self._settings, "\n".join(lines) + "\n", 0o600, POSTGRES)
        # It would win over the file beside the data
        write_text(os.path.join(self.data, "postgresql.auto.conf"), "", 0o600, POSTGRES)

    def _as_large(self):
        known = self.control()
        return {
            SETTING.get(name, name): max(least, int(known.get(f"{name} setting", 0))) for name, least in AS_LARGE.items()
        }

    def _start(self):
        write_text(self._log, "", 0o600, POSTGRES)
        words = [bin("pg_ctl"), "start", "-W", "-D", self.data, "-l", self._log]
        run([*words, "-o", f"-c config_file={shlex.quote(self._settings)}"], user=POSTGRES, seconds=60)
        # pg_ctl does not wait for it; one that ends at once is told by whoever asks it
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and not self.runs():
            time.sleep(0.1)

    def stop(self, how="fast"):
        if self.runs():
            run([bin("pg_ctl"), "stop", "-w", "-t", "300", "-m", how, "-D", self.data], user=POSTGRES, check=False)
            if self.runs():
                raise Failed(f"the database in {self.data} does not stop")

    def runs(self):
        return os.path.exists(os.path.join(self.data, "postmaster.pid")) and (
            run([bin("pg_ctl"), "status", "-D", self.data], user=POSTGRES, check=False).code == 0
        )

    def control(self):
        """What the control file says: {name: text}."""
        said = run([bin("pg_controldata"), self.data], user=POSTGRES, env={"LC_ALL": "C"}).out
        return {name: value.strip() for name, _, value in (line.partition(":") for line in said.splitlines())}

    # Asking it

    def conninfo(self, database=None):
        return f"host={self.socket} port={self.port} user=postgres dbname={database or settings()['database']} connect_timeout=5"

    def session(self, database=None):
        return Session(self.conninfo(database))

    def wait_until_paused(self):
        """
        Waits until recovery has come to its target.
        @return {"reached": moment of the last commit or None, "lsn"}. Fails where it ended before
        """
        while True:
            time.sleep(POLL_SECONDS)
            state = self._replayed()
            if state and state[0] == "paused" and self._waits_for_larger_settings():
                self.stop("fast")
                self._replace_sizes()
                self._start()
                continue
            if state and state[0] == "paused":
                return {"reached": state[2] and moment(state[2].replace(" ", "T")), "lsn": state[1]}
            if state and state[2]:
                common.progress(f"recovers: has come to {iso(moment(state[2].replace(' ', 'T')))}")
            if not state and not self.runs():
                raise Failed(self._why_ended())

    def _replayed(self):
        try:
            with self.session("postgres") as session:
                return session.ask(PAUSED)[0]
        except (Failed, IndexError):
            return None

    def _waits_for_larger_settings(self):
        return "insufficient parameter settings" in self._said()

    def _replace_sizes(self):
        with open(self._settings, encoding="utf-8") as file:
            lines = file.read().splitlines()
        sizes = self._as_large()
        kept = [line for line in lines if line.split(" ")[0] not in sizes]
        write_text(self._settings, "\n".join([*kept, *(f"{n} = {v}" for n, v in sizes.items())]) + "\n", 0o600, POSTGRES)

    def _said(self):
        with open(self._log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def _why_ended(self):
        """Why recovery came to no target, and how far it came."""
        said = self._said()
        last = re.findall(r"last completed transaction was at log time (.*)", said)
        come = f"one can restore up to {iso(log_time(last[-1]))}" if last else "nothing after the backup can be restored"
        lacks = re.findall(r"wal-get: (.*)", said)
        if "recovery ended before configured recovery target was reached" in said or "WAL ends before" in said:
            broken = re.findall(r"LOG: +((?:invalid|incorrect|unexpected|record with|out-of-sequence) .*)", said)
            why = (lacks or broken or ["there is no more"])[-1]
            return f"the log ends before the moment asked for: {why}; {come}"
        # What is said to those who ask before it is ready is none
        fatal = re.findall(r"(?:FATAL|PANIC): +(?!the database system is)(.*)", said)
        why = fatal[-1] if fatal else one_line(said[-300:])
        return f"the restored database did not come up: {why}{'; ' + lacks[-1] if lacks else ''}"


def remove_tree(path):
    """Removes a directory, in which a process that was killed may write its last yet."""
    for _ in range(20):
        shutil.rmtree(path, ignore_errors=True)
        if not os.path.exists(path):
            return
        time.sleep(0.5)
    shutil.rmtree(path)


def log_time(text):
    """A moment as PostgreSQL logs it in UTC: `2026-11-28 01:02:03.4+00`."""
    return moment(text.strip().replace(" ", "T"))


def quoted(value):
    text = str(value).replace("\\", "\\\\").replace("'", "''")
    return f"'{text}'"


def damage(text):
    """One line for why pgBackRest could not restore."""
    if "CryptoError" in text:
        return "it cannot be read with this encryption key"
    why = re.sub(r"^\[\d+\]: |raised from \S+ protocol: ", "", pgbackrest.reason(text))
    found = "checksum" in text or "corrupt" in text or "missing file" in text or "[029]" in text
    return f"it is damaged: {why}" if found else why
