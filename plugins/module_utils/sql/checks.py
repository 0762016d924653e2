# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a declaration by itself, before anything is touched."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from ansible_collections.cnosf.infogerance.plugins.module_utils.directory.language import Text, about

from . import tsql
from .declared import MAJOR, PREFIX
from .maintenance import jobs
from .schedules import CHOICES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .declared import Declaration
    from .schedules import Schedule

RECOVERY_MODELS = ("Full", "Simple", "BulkLogged")
LOGIN_AUDIT = ("none", "success", "failed", "all")
SYSTEM_DATABASES = frozenset({"master", "model", "msdb", "tempdb", "resource"})
_INSTANCE = re.compile(r"[A-Za-z_&#][A-Za-z0-9_$#]{0,15}")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")


def problems(declared: Declaration) -> list[Text]:
    """Sentences on what is wrong with a declaration; each starts with the variable's name and path."""
    found = (text for check in _CHECKS for text in check(declared))
    return [Text(PREFIX + text.en, PREFIX + text.fr) for text in found]


def _instance(declared: Declaration) -> Iterator[Text]:
    name = declared.instance
    if not _INSTANCE.fullmatch(name) or name.casefold() == "default":
        yield about(
            "instance",
            f"{name!r} is not the name of an instance: 16 letters, digits, _ or $ at most, the first a letter",
            f"« {name} » n'est pas un nom d'instance : 16 lettres, chiffres, _ ou $ au plus, une lettre d'abord",
        )
    if declared.version not in MAJOR:
        known = ", ".join(MAJOR)
        yield about(
            "version",
            f"{declared.version!r} is not known; known are {known}",
            f"« {declared.version} » est inconnue ; sont connues {known}",
        )
    if not declared.sysadmins:
        yield about(
            "sysadmins",
            "empty; name the group whose members administer the instance, the account of Ansible among them",
            "vide ; nommez le groupe dont les membres administrent l'instance, le compte d'Ansible compris",
        )
    if not 1 <= declared.port <= 65535:
        yield about("port", f"{declared.port} is not a TCP port", f"{declared.port} n'est pas un port TCP")
    if declared.login_audit not in LOGIN_AUDIT:
        yield _choice("login_audit", declared.login_audit, LOGIN_AUDIT)


def _choice(path: str, value: str, known: Iterable[str]) -> Text:
    listed = ", ".join(known)
    return about(path, f"{value!r} is none of {listed}", f"« {value} » n'est aucun de : {listed}")


def _builds(declared: Declaration) -> Iterator[Text]:
    update = declared.update
    for path, value in (("minimum_build", declared.minimum_build), ("update.build", update.build)):
        if value and (not tsql.build(value) or tsql.build(value)[0] != declared.major):
            yield about(
                path,
                f"{value!r} is not a build of SQL Server {declared.version} ({declared.major}.0.x.y)",
                f"« {value} » n'est pas une version de SQL Server {declared.version} ({declared.major}.0.x.y)",
            )
    if update.build and declared.minimum_build and tsql.build(update.build) < tsql.build(declared.minimum_build):
        yield about(
            "update.build",
            f"{update.build} does not reach minimum_build, {declared.minimum_build}",
            f"{update.build} n'atteint pas minimum_build, {declared.minimum_build}",
        )
    given = (update.build, update.kb, update.source, update.checksum)
    if any(given) and not all(given):
        yield about(
            "update", "build, kb, source and checksum go together", "build, kb, source et checksum vont ensemble"
        )
    media = declared.media
    if not media.source and not declared.source_path:
        yield about(
            "media",
            "neither media nor source_path says where the set-up is",
            "ni media ni source_path n'indique où est le programme d'installation",
        )
    if bool(media.source) is not bool(media.checksum):
        yield about("media", "source and checksum go together", "source et checksum vont ensemble")
    for path, value in (
        ("update.checksum", update.checksum),
        ("maintenance.checksum", declared.maintenance.checksum),
        ("media.checksum", media.checksum),
    ):
        if value and not _SHA256.fullmatch(value):
            yield about(path, f"{value!r} is not a SHA-256", f"« {value} » n'est pas un SHA-256")


def _sizes(declared: Declaration) -> Iterator[Text]:
    low, high = declared.memory_minimum_megabytes, declared.memory_maximum_megabytes
    if high and low > high:
        yield about(
            "memory_minimum_megabytes",
            f"{low} is more than memory_maximum_megabytes, {high}",
            f"{low} dépasse memory_maximum_megabytes, {high}",
        )
    if not 6 <= declared.error_logs <= 99:
        yield about(
            "error_logs", f"{declared.error_logs} is not in 6..99", f"{declared.error_logs} n'est pas dans 6..99"
        )
    for name in ("files", "size_megabytes", "growth_megabytes", "log_size_megabytes", "log_growth_megabytes"):
        value = getattr(declared.tempdb, name)
        if value < (0 if name == "files" else 1):
            yield about(f"tempdb.{name}", f"{value} is too small", f"{value} est trop petit")


def _databases(declared: Declaration) -> Iterator[Text]:
    for index, database in enumerate(declared.databases):
        path = f"databases[{index}]"
        if database.name.casefold() in SYSTEM_DATABASES:
            yield about(
                f"{path}.name",
                f"{database.name!r} is a system database",
                f"« {database.name} » est une base du système",
            )
        if database.recovery_model not in RECOVERY_MODELS:
            yield _choice(f"{path}.recovery_model", database.recovery_model, RECOVERY_MODELS)
        yield from _twice(f"{path}.users", (user.called for user in database.users))


def _maintenance(declared: Declaration) -> Iterator[Text]:
    maintenance = declared.maintenance
    given = (maintenance.source, maintenance.checksum, maintenance.version)
    if any(given) and not all(given):
        yield about(
            "maintenance", "source, checksum and version go together", "source, checksum et version vont ensemble"
        )
    if maintenance.source and not declared.backup.directory:
        yield about(
            "backup.directory",
            "empty; say where the backups of the databases go",
            "vide ; indiquez où vont les sauvegardes des bases",
        )
    place = maintenance.database.casefold()
    if place != "master" and place not in {database.name.casefold() for database in declared.databases}:
        yield about(
            "maintenance.database",
            f"{maintenance.database!r} is neither master nor one of databases",
            f"« {maintenance.database} » n'est ni master ni l'une de databases",
        )


def _schedules(declared: Declaration) -> Iterator[Text]:
    plan = declared.backup
    named: list[tuple[str, Schedule | None]] = [
        ("backup.full", plan.full),
        ("backup.differential", plan.differential),
        ("backup.log", plan.log),
        ("backup.system", plan.system),
        ("backup.integrity", plan.integrity),
        ("backup.index", plan.index),
        ("backup.cleanup", plan.cleanup),
        *((f"jobs[{index}].schedule", job.schedule) for index, job in enumerate(declared.jobs)),
    ]
    for path, schedule in named:
        if schedule is None:
            continue
        if schedule.digits() is None:
            yield about(
                f"{path}.time", f"{schedule.time!r} is not HH:MM", f"« {schedule.time} » n'est pas de la forme HH:MM"
            )
        if schedule.day not in CHOICES:
            yield _choice(f"{path}.day", schedule.day, CHOICES)
        if not 0 <= schedule.every_minutes < 1440:
            yield about(
                f"{path}.every_minutes",
                f"{schedule.every_minutes} is not in 0..1439",
                f"{schedule.every_minutes} n'est pas dans 0..1439",
            )


def _agent(declared: Declaration) -> Iterator[Text]:
    for path, values, top in (
        ("alert_severities", declared.alert_severities, 25),
        ("alert_messages", declared.alert_messages, 2147483647),
    ):
        for index, value in enumerate(values):
            if not 1 <= value <= top:
                yield about(f"{path}[{index}]", f"{value} is not in 1..{top}", f"{value} n'est pas dans 1..{top}")
    wanted = declared.alert_operator
    if wanted and wanted.casefold() not in {operator.name.casefold() for operator in declared.operators}:
        yield about(
            "alert_operator",
            f"{wanted!r} is none of operators",
            f"« {wanted} » n'est pas dans operators",
        )
    if wanted and declared.mail is None:
        yield about(
            "alert_operator",
            "without mail nobody would be told: declare mail",
            "sans mail, personne ne serait prévenu : déclarez mail",
        )


def _unique(declared: Declaration) -> Iterator[Text]:
    yield from _twice("databases", (database.name for database in declared.databases))
    yield from _twice("logins", (login.name for login in declared.logins))
    yield from _twice("jobs", (job.name for job in jobs(declared)))
    yield from _twice("operators", (operator.name for operator in declared.operators))
    yield from _twice("configuration", (setting.name for setting in declared.configuration))


def _twice(path: str, names: Iterable[str]) -> Iterator[Text]:
    counted = Counter(name.casefold() for name in names)
    for name in sorted(name for name, count in counted.items() if count > 1):
        yield about(path, f"{name!r} is there twice", f"« {name} » y est deux fois")


_CHECKS = (_instance, _builds, _sizes, _databases, _maintenance, _schedules, _agent, _unique)
