# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""IIS on simulated servers: modules and DSC resources as documented, and what its sites answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab.windows.filesystem import FileSystem
from lab.windows.handlers import features, iis_state
from lab.windows.handlers.certificates import put
from lab.windows.hive import Registry

IIS = "microsoft.iis."
DSC = "ansible.windows.win_dsc"
URI = "ansible.windows.win_uri"
ACLS = "cnosf.infogerance.win_exact_acls"
INFO = "cnosf.infogerance.iis_info"
HOST = "intranet.example"
FILTERING = "/system.webServer/security/requestFiltering"
SCHANNEL = r"HKLM:\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols"


def certificate(host: str = HOST, days: int = 90) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    start = datetime(2026, 11, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(start)
    return (
        builder.not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )


@pytest.fixture
def web(server):
    """A server with IIS, its PowerShell module, ASP.NET and the DSC resources."""
    features.install(server, ["Web-Server", "Web-Scripting-Tools", "Web-Asp-Net45"])
    server.section("powershell_modules")["installed"]["WebAdministrationDsc"] = ["4.2.1"]
    files = FileSystem(server)
    files.make_dir(r"C:\Sites\intranet\www")
    files.make_dir(r"C:\Sites\api")
    files.write(r"C:\Sites\intranet\www\index.html", b"bonjour")
    files.write(r"C:\Sites\api\sante.txt", b"ok")
    iis_state.iis(server)
    server.save()
    return server


@pytest.fixture
def site(run, web):
    """A started site at port 80 under a host name of its own."""
    run(web, IIS + "web_app_pool", {"name": "intranet", "state": "started"})
    bindings = {"add": [{"ip": "*", "port": 80, "hostname": HOST}]}
    path = r"C:\Sites\intranet\www"
    run(
        web,
        IIS + "website",
        {"name": "intranet", "physical_path": path, "application_pool": "intranet", "bindings": bindings},
    )
    return web


@pytest.fixture
def secure(run, site):
    """The same at port 443 too; gives the server and the thumbprint."""
    own = certificate()
    thumbprint = put(site, "My", own, with_key=True)
    put(site, "Root", own)
    site.save()
    run(site, IIS + "website", {"name": "intranet", "bindings": {"add": [https(thumbprint)]}})
    return site, thumbprint


def https(thumbprint: str, **options):
    return {
        "ip": "*", "port": 443, "hostname": HOST, "protocol": "https", "use_sni": True,
        "certificate_hash": thumbprint, **options,
    }  # fmt: skip


def get(run, server, path: str = "/", *, scheme: str = "http", fails: bool = False, **options):
    args = {"url": f"{scheme}://127.0.0.1{path}", "headers": {"Host": HOST}, "return_content": True, **options}
    return run(server, URI, {"follow_redirects": "none", **args}, fails=fails)


class TestPools:
    def test_a_pool_is_made_and_configured(self, twice, run, web):
        attributes = {
            "managedRuntimeVersion": "",
            "processModel.identityType": "SpecificUser",
            "processModel.userName": r"ORDRE\gmsa-web$",
            "recycling.periodicRestart.time": "00:00:00",
            "recycling.periodicRestart.schedule": ["04:00:00"],
        }
        twice(web, IIS + "web_app_pool", {"name": "api", "state": "started", "attributes": attributes})
        pool = next(pool for pool in run(web, INFO)["state"]["pools"] if pool["name"] == "api")
        values = {item["name"]: item["value"] for item in pool["attributes"]}
        assert values["processModel.userName"] == r"ORDRE\gmsa-web$"
        assert values["managedRuntimeVersion"] == ""
        assert pool["recycle_times"] == ["04:00:00"]
        assert pool["state"] == "Started"

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("startMod", "OnDemand", "startMod"),
            ("startMode", "Sometimes", "none of"),
            ("queueLength", "many", "no number"),
            ("processModel.idleTimeout", "20", "no span"),
            ("processModel.password", "x", "does not take a password"),
        ],
    )
    def test_what_iis_refuses(self, run, web, name, value, words):
        result = run(web, IIS + "web_app_pool", {"name": "DefaultAppPool", "attributes": {name: value}}, fails=True)
        assert words in result["msg"]

    def test_a_password_is_compared_and_not_kept(self, twice, run, web):
        run(web, "ansible.windows.win_user", {"name": "svc-web", "password": "Tr3s-Secret!x"})
        args = {"Name": "DefaultAppPool", "identityType": "SpecificUser"}
        args |= {"Credential_username": r".\svc-web", "Credential_password": "Tr3s-Secret!x"}
        twice(web, DSC, {"resource_name": "WebAppPool", **args})
        for password, same in (("Tr3s-Secret!x", True), ("autre", False)):
            found = run(web, INFO, {"credentials": [{"pool": "DefaultAppPool", "password": password}]})
            assert found["state"]["pools"][0]["password_matches"] is same
        assert "Tr3s-Secret!x" not in (web.home / "state.json").read_text()

    def test_a_stopped_pool_starts_with_the_services_unless_told_not_to(self, run, web):
        for name, start in (("lasse", True), ("arrete", False)):
            run(web, IIS + "web_app_pool", {"name": name, "state": "stopped", "attributes": {"autoStart": start}})
        web.boot()
        states = {pool["name"]: pool["state"] for pool in run(web, INFO)["state"]["pools"]}
        assert (states["lasse"], states["arrete"]) == ("Started", "Stopped")

    def test_nothing_without_iis(self, run, server):
        assert "WebAdministration" in run(server, IIS + "web_app_pool", {"name": "x"}, fails=True)["msg"]
        assert run(server, INFO)["state"]["installed"] is False


class TestSites:
    def test_a_site_is_made_bound_and_started(self, twice, web):
        args = {
            "name": "intranet",
            "physical_path": r"C:\Sites\intranet\www",
            "bindings": {"add": [{"ip": "*", "port": 80, "hostname": HOST}]},
        }
        twice(web, IIS + "website", args)

    def test_a_folder_must_be_there(self, run, web):
        result = run(web, IIS + "website", {"name": "x", "physical_path": r"C:\nowhere"}, fails=True)
        assert "specified folder must already exist" in result["msg"]

    def test_two_started_sites_cannot_share_an_address(self, run, web):
        args = {"name": "x", "physical_path": r"C:\Sites\api", "state": "stopped"}
        run(web, IIS + "website", {**args, "bindings": {"add": [{"ip": "*", "port": 80}]}})
        result = run(web, IIS + "website", {"name": "x", "state": "started", "bindings": {}}, fails=True)
        assert "0x800700B7" in result["msg"]

    def test_a_certificate_must_be_there_with_a_key_of_the_machine(self, run, site):
        missing = run(site, IIS + "website", {"name": "intranet", "bindings": {"add": [https("AB" * 20)]}}, fails=True)
        assert "Unable to locate certificate" in missing["msg"]
        keyless = put(site, "My", certificate())
        site.save()
        result = run(site, IIS + "website", {"name": "intranet", "bindings": {"add": [https(keyless)]}}, fails=True)
        assert "0x80070520" in result["msg"]

    def test_the_defect_of_1_1_0_is_not_played_in_check_mode(self, run, secure):
        server, thumbprint = secure
        args = {"name": "intranet", "bindings": {"add": [https(thumbprint)]}}
        assert run(server, IIS + "website", args)["changed"] is False
        assert "in check mode" in run(server, IIS + "website", args, check=True, fails=True)["msg"]

    def test_applications_and_directories(self, twice, run, site):
        twice(site, IIS + "web_application", {"site": "intranet", "name": "api", "physical_path": r"C:\Sites\api"})
        args = {"site": "intranet", "application": "api", "name": "docs", "physical_path": r"C:\Sites\api"}
        twice(site, IIS + "virtual_directory", args)
        assert get(run, site, "/api/sante.txt")["content"] == "ok"
        assert get(run, site, "/api/docs/sante.txt")["content"] == "ok"


class TestAnswers:
    def test_content_and_headers(self, run, site):
        answer = get(run, site)
        assert (answer["status_code"], answer["content"]) == (200, "bonjour")

    def test_another_host_is_not_found_here(self, run, site):
        run(site, IIS + "website", {"name": "Default Web Site", "state": "absent"})
        result = run(site, URI, {"url": "http://127.0.0.1/", "headers": {"Host": "autre.example"}}, fails=True)
        assert result["status_code"] == 404

    def test_nothing_listens_when_all_are_stopped(self, run, site):
        for name in ("intranet", "Default Web Site"):
            run(site, IIS + "website", {"name": name, "state": "stopped"})
        assert "Impossible de se connecter" in get(run, site, fails=True)["msg"]

    def test_a_stopped_pool_answers_503(self, run, site):
        run(site, IIS + "web_app_pool", {"name": "intranet", "state": "stopped"})
        assert get(run, site, status_code=[503])["status_code"] == 503

    def test_visitors_read_what_windows_lets_them(self, run, site):
        keepers = [{"sid": "S-1-5-18", "rights": "full"}]
        folder = {"path": r"C:\Sites\intranet\www", "entries": keepers}
        run(site, ACLS, {"paths": [folder]})
        assert get(run, site, status_code=[401])["status_code"] == 401
        run(site, ACLS, {"paths": [{**folder, "entries": [*keepers, {"sid": "S-1-5-17", "rights": "read"}]}]})
        assert get(run, site)["content"] == "bonjour"
        denied = {"user": "S-1-1-0", "rights": "Read", "type": "deny", "state": "present"}
        run(site, "ansible.windows.win_acl", {"path": folder["path"], **denied})
        assert get(run, site, status_code=[401])["status_code"] == 401

    def test_a_trusted_certificate_for_the_name_asked(self, run, secure):
        server, _thumbprint = secure
        assert get(run, server, scheme="https")["content"] == "bonjour"
        server.section("certificates")["LocalMachine"]["Root"].clear()
        server.save()
        assert "relation de confiance" in get(run, server, scheme="https", fails=True)["msg"]
        assert get(run, server, scheme="https", validate_certs=False)["content"] == "bonjour"

    def test_an_expired_certificate_is_not_trusted(self, run, secure, clock):
        server, _thumbprint = secure
        clock.forward(days=120)
        assert "relation de confiance" in get(run, server, scheme="https", fails=True)["msg"]

    def test_hsts_redirects_and_is_sent(self, run, secure):
        server, _thumbprint = secure
        path = "/system.applicationHost/sites/site[@name='intranet']/hsts"
        for name, value in (("enabled", "True"), ("max-age", "600"), ("redirectHttpToHttps", "true")):
            run(server, DSC, prop(path, name, value))
        assert get(run, server, "/a", status_code=[307])["status_code"] == 307
        endpoint = {"site": "intranet", "address": "127.0.0.1", "port": 443, "host": HOST, "tls": True, "path": "/"}
        answer = run(server, INFO, {"endpoints": [endpoint]})["state"]["answers"][0]
        assert (answer["status"], answer["hsts"]) == (200, "max-age=600")

    @pytest.mark.parametrize(
        ("path", "name", "value", "asked", "options", "status"),
        [
            (f"{FILTERING}/requestLimits", "maxUrl", "5", "/index.html", {}, 404),
            (f"{FILTERING}/requestLimits", "maxQueryString", "2", "/?a=bc", {}, 404),
            (f"{FILTERING}/requestLimits", "maxAllowedContentLength", "1", "/", {"method": "POST", "body": "abc"}, 413),
        ],
    )
    def test_limits(self, run, site, path, name, value, asked, options, status):
        run(site, DSC, prop(path, name, value))
        assert get(run, site, asked, status_code=[status], **options)["status_code"] == status

    def test_verbs_extensions_and_hidden_segments(self, run, twice, site):
        twice(site, DSC, entry("verbs", "verb", "TRACE", "allowed", "False"))
        twice(site, DSC, entry("fileExtensions", "fileExtension", ".html", "allowed", "False"))
        twice(site, "cnosf.infogerance.iis_hidden_segments", {"segments": [".git"]})
        FileSystem(site).make_dir(r"C:\Sites\intranet\www\.git")
        FileSystem(site).write(r"C:\Sites\intranet\www\.git\config.txt", b"x")
        for asked, options in (("/", {"method": "TRACE"}), ("/index.html", {}), ("/.git/config.txt", {})):
            assert get(run, site, asked, status_code=[404], **options)["status_code"] == 404

    def test_old_protocols_follow_the_registry_at_the_next_boot(self, run, secure):
        server, thumbprint = secure
        endpoint = {"site": "intranet", "address": "127.0.0.1", "port": 443, "host": HOST, "tls": True, "path": "/"}

        def answer():
            return run(server, INFO, {"endpoints": [endpoint]})["state"]["answers"][0]

        assert answer()["old_protocols"] == ["TLS 1.0", "TLS 1.1"]
        assert answer()["certificate"] == thumbprint
        for name in ("TLS 1.0", "TLS 1.1"):
            Registry(server).set(rf"{SCHANNEL}\{name}\Server", "Enabled", "dword", 0)
        assert answer()["old_protocols"] == ["TLS 1.0", "TLS 1.1"]
        server.boot()
        assert answer()["old_protocols"] == []

    def test_an_application_is_not_played(self, run, site):
        FileSystem(site).remove(r"C:\Sites\intranet\www\index.html")
        FileSystem(site).write(r"C:\Sites\intranet\www\web.config", b"<configuration/>")
        assert "runs no application" in get(run, site, fails=True)["msg"]


def prop(path: str, name: str, value: str) -> dict:
    return {
        "resource_name": "WebConfigProperty", "WebsitePath": "MACHINE/WEBROOT/APPHOST", "Filter": path,
        "PropertyName": name, "Value": value,
    }  # fmt: skip


def entry(collection: str, key: str, name: str, value_name: str, value: str, path: str = FILTERING) -> dict:
    return {
        "resource_name": "WebConfigPropertyCollection", "WebsitePath": "MACHINE/WEBROOT/APPHOST", "Filter": path,
        "CollectionName": collection, "ItemName": "add", "ItemKeyName": key, "ItemKeyValue": name,
        "ItemPropertyName": value_name, "ItemPropertyValue": value, "Ensure": "Present",
    }  # fmt: skip


class TestResources:
    def test_an_attribute(self, twice, web):
        twice(web, DSC, prop(f"{FILTERING}/requestLimits", "maxUrl", "2048"))
        twice(web, DSC, prop(FILTERING, "removeServerHeader", "true"))

    @pytest.mark.parametrize(
        ("args", "words"),
        [
            (prop(FILTERING, "removeServer", "true"), "is not found"),
            (prop("/system.webServer/nothing", "x", "1"), "is not found"),
            (prop(f"{FILTERING}/requestLimits", "maxUrl", "big"), "format"),
            ({**prop(FILTERING, "x", "1"), "WebsitePath": r"IIS:\Sites\intranet"}, "does not simulate"),
            (entry("hiddenSegments", "segment", ".git", "segment", ".git"), "already been added"),
            (entry("verbs", "name", "TRACE", "allowed", "False"), "named by 'verb'"),
        ],
    )
    def test_what_is_refused(self, run, web, args, words):
        assert words in run(web, DSC, args, fails=True)["msg"]

    def test_a_header_comes_and_goes(self, twice, web):
        path = "/system.webServer/httpProtocol"
        twice(web, DSC, entry("customHeaders", "name", "X-Frame-Options", "value", "DENY", path))
        gone = entry("customHeaders", "name", "X-Powered-By", "value", "", path)
        twice(web, DSC, {**gone, "Ensure": "Absent"})

    def test_logs(self, twice, run, web):
        args = {"resource_name": "IisLogging", "LogPath": r"C:\Logs", "LogFlags": ["Date", "Time", "ClientIP"]}
        twice(web, DSC, {**args, "LogPeriod": "Hourly", "LoglocalTimeRollover": True, "LogFormat": "W3C"})
        log = run(web, INFO)["state"]["log"]
        assert (log["directory"], log["period"], log["local_time"]) == (r"C:\Logs", "Hourly", True)
        assert run(web, DSC, {**args, "LogFlags": ["Dat"]}, fails=True)
        assert "LogTruncateSize" in run(web, DSC, {**args, "LogTruncateSize": "5"}, fails=True)["msg"]


class TestInfo:
    def test_rights(self, run, web):
        run(web, ACLS, {"paths": [{"path": r"C:\Sites\api", "entries": [{"sid": "S-1-5-17", "rights": "read"}]}]})
        own, missing = run(web, INFO, {"rights": [r"C:\Sites\api", r"C:\None"]})["state"]["rights"]
        assert own == {"path": r"C:\Sites\api", "exists": True, "sddl": "D:PAI(A;OICI;0x1200a9;;;S-1-5-17)"}
        assert missing == {"path": r"C:\None", "exists": False, "sddl": ""}

    def test_releases_and_marks(self, run, web):
        files = FileSystem(web)
        files.make_dir(r"C:\Sites\app\releases\1.0")
        files.make_dir(r"C:\Sites\app\releases\2.0")
        files.write(r"C:\Sites\app\releases\1.0.unpacked", b"ab\r\n")
        files.write(r"C:\Sites\app\releases\1.0.healthy", b"ab")
        found = run(web, INFO, {"releases": [r"C:\Sites\app\releases"], "folders": [r"C:\Sites\app", r"C:\None"]})
        assert found["state"]["missing_folders"] == [r"C:\None"]
        assert found["state"]["releases"][0]["folders"] == [
            {"name": "1.0", "unpacked": "ab", "healthy": "ab", "since": "2026-11-23T08:00:00Z"},
            {"name": "2.0", "unpacked": "", "healthy": "", "since": ""},
        ]

    def test_a_module_that_came_after_the_start(self, run, web, clock):
        clock.forward(hours=1)
        FileSystem(web).make_dir(r"C:\Program Files\IIS\Asp.Net Core Module\V2")
        FileSystem(web).write(iis_state.HOSTING_MODULE, b"MZ")
        assert run(web, INFO)["state"]["stale_module"] is True
        clock.forward(minutes=1)
        run(web, "ansible.windows.win_service", {"name": "WAS", "state": "restarted", "force_dependent_services": True})
        assert run(web, INFO)["state"]["stale_module"] is False

    def test_the_age_of_logs(self, run, web, clock):
        FileSystem(web).make_dir(r"C:\Logs\W3SVC1")
        FileSystem(web).write(r"C:\Logs\W3SVC1\u_ex261123.log", b"#Software")
        clock.forward(days=3, hours=2)
        assert run(web, INFO, {"log_directory": r"C:\Logs"})["state"]["log"]["oldest_days"] == 3

    def test_the_task_removes_old_logs_when_its_hour_has_passed(self, run, web, clock):
        FileSystem(web).make_dir(r"C:\Logs")
        for name in ("old.log", "keep.txt"):
            FileSystem(web).write(rf"C:\Logs\{name}", b"x")
        arguments = (
            "-NoProfile -Command \"Get-ChildItem -LiteralPath 'C:\\Logs' -Filter *.log -File -Recurse | Where-Object "
            'LastWriteTimeUtc -LT ([datetime]::UtcNow.AddDays(-3)) | Remove-Item -Force"'
        )
        task = {
            "name": "Purge",
            "actions": [{"path": "powershell.exe", "arguments": arguments}],
            "triggers": [{"type": "daily", "start_boundary": "2026-01-01T02:30:00"}],
            "username": "S-1-5-18",
        }
        run(web, "community.windows.win_scheduled_task", task)
        args = {"log_directory": r"C:\Logs", "retention_task": "Purge"}
        assert run(web, INFO, args)["state"]["retention"]["last_result"] == 267011
        for days, oldest in ((3, 3), (1, -1)):
            clock.forward(days=days)
            state = run(web, INFO, args)["state"]
            assert (state["retention"]["last_result"], state["log"]["oldest_days"]) == (0, oldest)
        assert FileSystem(web).is_file(r"C:\Logs\keep.txt")

    def test_nothing_runs_without_the_services(self, run, web):
        run(web, "ansible.windows.win_service", {"name": "W3SVC", "state": "stopped"})
        state = run(web, INFO)["state"]
        assert {pool["state"] for pool in state["pools"]} == {"Stopped"}
        assert {site["state"] for site in state["sites"]} == {"Stopped"}
