# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From declared WordPress sites to names, folders, archives and units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cnosf.infogerance.plugins.module_utils.errors import InputError
from ansible_collections.cnosf.infogerance.plugins.module_utils.wordpress import estate

CORE = {"version": "6.8.3", "url": "https://example.org/w.tar.gz", "checksum": "a" * 64}
DEFAULTS = {
    "root": "/srv/wordpress",
    "logs": "/var/log/wordpress",
    "core": CORE,
    "language": {},
    "theme": "",
    "options": {"blog_public": 1, "timezone_string": "Europe/Paris"},
    "headers": {"X-A": "1", "X-B": "2"},
    "cache": "redis",
    "xmlrpc": False,
    "database_ddl": False,
    "outgoing_hosts": [],
    "smtp": {},
    "php_children": 10,
    "php_memory_mib": 256,
    "upload_mib": 64,
    "way_back": False,
    "authority": {"certificate": "c", "private_key": "k"},
}
ACCOUNT = {"login": "a", "email": "a@example.org", "password": "p"}


def site(**options):
    return {"name": "paris", "hostname": "www.example.org", "title": "T", "accounts": [ACCOUNT], **options}


def resolve(*sites, **defaults):
    return estate.resolve(sites, {**DEFAULTS, **defaults})


def test_names_follow_from_the_sites_own():
    found = resolve(site())[0]
    assert found["home"] == "/srv/wordpress/paris"
    assert (found["user"], found["maintainer"], found["schema"]) == ("wp_paris", "wp_paris_adm", "wpparis")
    assert found["cache_unit"] == "wordpress-redis@paris.service"
    assert (found["certificate"], found["tls_source"]) == ("/etc/ssl/wordpress/paris.pem", "authority")
    assert found["options"]["blogname"] == "T"


def test_options_and_headers_are_laid_over_the_defaults_and_an_empty_header_is_not_sent():
    found = resolve(site(options={"blog_public": 0}, headers={"X-A": "", "X-C": "3"}))[0]
    assert found["options"] == {"blog_public": 0, "timezone_string": "Europe/Paris", "blogname": "T"}
    assert found["headers"] == {"X-B": "2", "X-C": "3"}


def test_what_a_site_does_not_say_is_the_default_and_none_says_nothing():
    found = resolve(site(cache=None, php_children=3))[0]
    assert (found["cache"], found["php_children"]) == ("redis", 3)


def test_the_defaults_are_not_changed_by_resolving():
    before = repr(DEFAULTS)
    resolve(site(language={"locale": "fr_FR"}, theme="t"), site(name="lyon", hostname="l.example.org"))
    assert repr(DEFAULTS) == before


@pytest.mark.parametrize(
    ("declared", "defaults", "message"),
    [
        ([], {}, "wordpress_sites is empty"),
        ([site(name="Paris")], {}, "site Paris: a name is 1 to 16 small letters and digits"),
        ([site(name="a_b")], {}, "a name is 1 to 16 small letters"),
        ([site(hostname="localhost")], {}, "localhost is no host name"),
        ([site(hostname="a.example.org; drop")], {}, "is no host name"),
        ([site(aliases=["UP.example.org"])], {}, r"UP\.example\.org is no host name"),
        ([site(), site(hostname="b.example.org")], {}, "site paris is declared twice"),
        ([site(), site(name="b")], {}, r"www\.example\.org belongs to paris and to b"),
        ([site()], {"core": {}}, "no release of WordPress is declared: set wordpress_core"),
        ([site()], {"core": {**CORE, "version": 6}}, "6 is no release of WordPress; quote it"),
        ([site(accounts=[])], {}, "declare accounts; the first is the administrator"),
        ([site(language={"url": "u"})], {}, "the language needs its locale"),
        ([site(smtp={"host": "h"})], {}, "smtp needs its host and the sender"),
        ([site()], {"authority": {}}, "no certificate is declared: set tls.certificate"),
        ([site(tls={"certificate": "c"})], {}, "tls.private_key is missing beside tls.certificate"),
        ([site(tls={"private_key_file": "c"})], {}, "tls.certificate_file is missing beside tls.private_key_file"),
        (
            [site(tls={"certificate": "c", "private_key": "k", "certificate_file": "f", "private_key_file": "g"})],
            {},
            "tls has both contents and files",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(declared, defaults, message):
    with pytest.raises(InputError, match=message):
        resolve(*declared, **defaults)


def test_paths_come_after_their_parents_and_only_uploads_are_php_s():
    paths = estate.paths(resolve(site(), site(name="lyon", hostname="l.example.org", cache="none")), "www-data")
    seen = set()
    for item in paths:
        parent = item["path"].rsplit("/", 1)[0]
        assert parent in seen or not any(other["path"] == parent for other in paths)
        seen.add(item["path"])
    written = [item["path"] for item in paths if item.get("owner") == "wp_paris"]
    assert written == [
        "/srv/wordpress/paris/private",
        "/srv/wordpress/paris/shared/wp-content/uploads",
        "/var/log/wordpress/paris/php.log",
    ]
    kinds = {item["path"]: item["kind"] for item in paths}
    assert kinds["/srv/wordpress/paris/shared/wp-content/object-cache.php"] == "link"
    assert kinds["/srv/wordpress/lyon/shared/wp-content/object-cache.php"] == "absent"


def test_trees_take_a_bundled_theme_from_the_release_and_others_from_their_archive():
    theme = {"name": "own", "url": "u", "checksum": "b" * 64, "root": "own-main"}
    plugin = {"name": "p", "url": "v", "checksum": "c" * 64, "file": "p/p.php"}
    language = {"locale": "fr_FR", "url": "w", "checksum": "d" * 64}
    sites = resolve(site(theme="twentytwentyfive", themes=[theme], plugins=[plugin], language=language))
    content = "/srv/wordpress/paris/shared/wp-content"
    assert [(tree["path"], tree["url"], tree["root"]) for tree in estate.trees(sites)] == [
        ("/srv/wordpress/paris/releases/6.8.3", CORE["url"], "wordpress"),
        (f"{content}/themes/own", "u", "own-main"),
        (f"{content}/themes/twentytwentyfive", CORE["url"], "wordpress/wp-content/themes/twentytwentyfive"),
        (f"{content}/plugins/p", "v", "p"),
        (f"{content}/languages", "w", ""),
    ]
    assert sites[0]["options"]["WPLANG"] == "fr_FR"


def test_units_start_with_the_caches():
    sites = resolve(site(), site(name="lyon", hostname="l.example.org", cache="none"))
    assert estate.units(sites, ["nginx.service"]) == [
        "wordpress-redis@paris.service",
        "nginx.service",
        "wordpress-cron@paris.timer",
        "wordpress-cron@lyon.timer",
    ]


def test_units_wrong_reads_what_systemctl_shows():
    shown = """Id=nginx.service
ActiveState=active
UnitFileState=enabled

Id=mysql.service
ActiveState=active
UnitFileState=disabled

Id=redis-server.service
ActiveState=inactive
UnitFileState=enabled

Id=absent.service
ActiveState=inactive
UnitFileState="""
    wanted = ["nginx.service", "mysql.service", "absent.service", "unheard.service"]
    assert estate.units_wrong(shown, wanted, ["redis-server.service", "memcached.service"]) == [
        {"name": "mysql.service", "state": "started", "enabled": True},
        {"name": "absent.service", "state": "started", "enabled": True},
        {"name": "unheard.service", "state": "started", "enabled": True},
        {"name": "redis-server.service", "state": "stopped", "enabled": False},
    ]
    assert estate.units_wrong("", ["nginx.service"]) == [{"name": "nginx.service", "state": "started", "enabled": True}]


def test_surplus_names_what_serves_nobody_declared():
    found = [
        "/etc/nginx/sites-enabled/default",
        "/etc/nginx/sites-enabled/wordpress-paris.conf",
        "/etc/nginx/sites-enabled/wordpress-gone.conf",
        "/etc/systemd/system/multi-user.target.wants/wordpress-memcached@paris.service",
        "/etc/systemd/system/multi-user.target.wants/wordpress-redis@paris.service",
        "/etc/systemd/system/timers.target.wants/wordpress-cron@gone.timer",
    ]
    assert estate.surplus(found, resolve(site())) == {
        "files": [
            {"path": "/etc/nginx/sites-enabled/default", "kind": "absent"},
            {"path": "/etc/nginx/sites-enabled/wordpress-gone.conf", "kind": "absent"},
        ],
        "units": [
            {"name": "wordpress-cron@gone.timer", "state": "stopped", "enabled": False},
            {"name": "wordpress-memcached@paris.service", "state": "stopped", "enabled": False},
        ],
    }


def test_users_wrong_names_what_is_missing_or_may_log_in():
    sites = resolve(site())
    right = ["x", "990", "990", "", "/srv/wordpress/paris", "/usr/sbin/nologin"]
    assert estate.users_wrong(sites, {"wp_paris": right, "wp_paris_adm": right}) == []
    assert estate.users_wrong(sites, {"wp_paris": [*right[:5], "/bin/bash"]}) == [
        {"name": "wp_paris", "home": "/srv/wordpress/paris"},
        {"name": "wp_paris_adm", "group": "wp_paris", "home": "/srv/wordpress/paris"},
    ]


def test_each_module_is_told_what_it_takes():
    sites = resolve(
        site(theme="t", plugins=[{"name": "p", "file": "p/p.php"}, {"name": "q", "file": "q.php", "active": False}])
    )
    releases = estate.options(sites, "releases", keep_dumps=1)[0]
    assert (releases["version"], releases["user"], releases["keep_dumps"]) == ("6.8.3", "wp_paris_adm", 1)
    contents = estate.options(sites, "contents")[0]
    assert (contents["plugins"], contents["theme"], contents["accounts"]) == (["p/p.php"], "t", [ACCOUNT])
    assert set(estate.options(sites, "health", health_path="/h")[0]) == {
        "name", "home", "hostname", "certificate", "health_path",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "source"),
    [
        (True, "true"),
        (3, "3"),
        (1.5, "1.5"),
        (None, "null"),
        ("it's $x \\ {$y}", "'it\\'s $x \\\\ {$y}'"),
        ({"a": [1, "b"]}, "['a' => [1, 'b']]"),
    ],
)
def test_php(value, source):
    assert estate.php(value) == source


def test_php_refuses_what_has_no_source():
    with pytest.raises(InputError, match="cannot be a set"):
        estate.php({1, 2})


@given(st.text())
def test_php_text_reads_back_as_it_was(value):
    source = estate.php(value)
    body, plain, escaped = source[1:-1], "", False
    # PHP's own rule for single quotes: a backslash escapes a quote and itself, and nothing else.
    for character in body:
        if escaped:
            plain += character if character in "\\'" else "\\" + character
            escaped = False
        elif character == "\\":
            escaped = True
        else:
            assert character != "'"
            plain += character
    assert not escaped
    assert plain == value


SHOWN = """== packages
installed nginx
not-installed mysql-server
config-files redis-server
== units
Id=nginx.service
ActiveState=active

Id=mysql.service
== users
wp_paris:x:990:990::/srv/wordpress/paris:/usr/sbin/nologin
== served
/etc/nginx/sites-enabled/default
== present
/etc/ssl/a b.pem
== key /etc/ssl/wordpress/paris.key
-----BEGIN PUBLIC KEY-----
abc
-----END PUBLIC KEY-----
== certificate /etc/ssl/wordpress/paris.pem
-----BEGIN CERTIFICATE-----
def
-----END CERTIFICATE-----
== chain /etc/ssl/wordpress/paris.pem
/etc/ssl/wordpress/paris.pem: OK
== key /etc/ssl/wordpress/lyon.key
== certificate /etc/ssl/wordpress/lyon.pem
== chain /etc/ssl/wordpress/lyon.pem
error /etc/ssl/wordpress/lyon.pem: verification failed"""


def test_state_reads_what_the_server_was_asked():
    assert estate.state(SHOWN) == {
        "packages": ["nginx"],
        "units": "Id=nginx.service\nActiveState=active\n\nId=mysql.service",
        "users": {"wp_paris": ["x", "990", "990", "", "/srv/wordpress/paris", "/usr/sbin/nologin"]},
        "served": ["/etc/nginx/sites-enabled/default"],
        "present": ["/etc/ssl/a b.pem"],
        "public_keys": {
            "/etc/ssl/wordpress/paris.key": "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----",
        },
        "certificates": {
            "/etc/ssl/wordpress/paris.pem": "-----BEGIN CERTIFICATE-----\ndef\n-----END CERTIFICATE-----",
        },
        "chained": ["/etc/ssl/wordpress/paris.pem"],
    }
    assert estate.state("")["users"] == {}


ROWS = "SELECT,INSERT,UPDATE,DELETE"
TABLES = f"{ROWS},CREATE,ALTER,DROP,INDEX,REFERENCES,CREATE TEMPORARY TABLES,LOCK TABLES"
PARIS = {"name": "wp_paris", "host": "localhost", "plugin": "auth_socket", "priv": f"wpparis.*:{ROWS}"}
MAINTAINER = {
    "name": "wp_paris_adm",
    "host": "localhost",
    "plugin": "auth_socket",
    # The engine has an order of its own.
    "priv": f"wpparis.*:{','.join(reversed(TABLES.split(',')))}",
}


def test_accounts_that_are_right_need_nothing():
    assert estate.accounts_wrong(resolve(site()), [PARIS, MAINTAINER], "auth_socket") == []


@pytest.mark.parametrize(
    "differing",
    [
        {"host": "%"},
        {"plugin": "caching_sha2_password"},
        {"priv": f"wpparis.*:{ROWS},DROP"},
        {"priv": "wpparis.*:SELECT,INSERT,UPDATE"},
        {"priv": f"wpparis.*:{ROWS},GRANT"},
        {"priv": f"wplyon.*:{ROWS}"},
        {"priv": f"wpparis.*:{ROWS}/wplyon.*:ALL"},
        {"priv": f"wplyon.*:ALL/wpparis.*:{ROWS}"},
        {"priv": f"*.*:FILE/wpparis.*:{ROWS}"},
        {"priv": "*.*:USAGE"},
        {"priv": ""},
    ],
)
def test_an_account_that_differs_is_put_right(differing):
    assert estate.accounts_wrong(resolve(site()), [{**PARIS, **differing}, MAINTAINER], "auth_socket") == [
        {"name": "wp_paris", "priv": f"wpparis.*:{ROWS}"}
    ]


def test_accounts_that_are_missing_or_may_change_tables():
    assert estate.accounts_wrong(resolve(site()), [], "auth_socket") == [
        {"name": "wp_paris", "priv": f"wpparis.*:{ROWS}"},
        {"name": "wp_paris_adm", "priv": f"wpparis.*:{TABLES}"},
    ]
    ddl = resolve(site(database_ddl=True))
    assert estate.accounts_wrong(ddl, [PARIS, MAINTAINER], "auth_socket") == [
        {"name": "wp_paris", "priv": f"wpparis.*:{TABLES}"}
    ]


AUTHORITY = {"subject_ordered": (("commonName", "A"),), "subject_key_identifier": "0a:0b"}
SIGNED = {
    "public_key": "KEY\n",
    "public_key_type": "ECC",
    "public_key_data": {"curve": "secp256r1"},
    "subject_ordered": (("commonName", "www.example.org"),),
    "subject_alt_name": ["DNS:www.example.org", "DNS:example.org"],
    "subject_alt_name_critical": False,
    "key_usage": ["Digital Signature"],
    "key_usage_critical": True,
    "extended_key_usage": ["TLS Web Server Authentication"],
    "extended_key_usage_critical": False,
    "issuer_ordered": [["commonName", "A"]],
    "authority_key_identifier": "0a:0b",
    "authority_cert_issuer": None,
    "authority_cert_serial_number": None,
    "extensions_by_oid": dict.fromkeys(["2.5.29.17", "2.5.29.15", "2.5.29.37", "2.5.29.14", "2.5.29.35"]),
    "not_after": "20300101000001Z",
}
STATE = {"chained": ["/etc/ssl/wordpress/paris.pem"], "public_keys": {"/etc/ssl/wordpress/paris.key": "KEY"}}


def unsigned(info, *, state=STATE, authority=AUTHORITY):
    sites = resolve(
        site(aliases=["example.org"]),
        site(name="lyon", hostname="lyon.example.org", tls={"certificate": "c", "private_key": "k"}),
    )
    certificates = {} if info is None else {"/etc/ssl/wordpress/paris.pem": info}
    return [item["name"] for item in estate.unsigned(sites, state, certificates, authority, "20300101000000Z")]


def test_a_certificate_that_is_right_is_not_signed_again():
    assert unsigned(SIGNED) == []


@pytest.mark.parametrize(
    "differing",
    [
        {"public_key": "OTHER\n"},
        {"public_key_type": "RSA"},
        {"public_key_data": {"curve": "secp384r1"}},
        {"subject_ordered": [["commonName", "example.org"]]},
        {"subject_ordered": [["commonName", "www.example.org"], ["organizationName", "O"]]},
        {"subject_alt_name": ["DNS:www.example.org"]},
        {"subject_alt_name": ["DNS:www.example.org", "DNS:example.org", "DNS:more.example.org"]},
        {"subject_alt_name": None},
        {"subject_alt_name_critical": True},
        {"key_usage": ["Digital Signature", "Key Encipherment"]},
        {"key_usage_critical": False},
        {"extended_key_usage": None},
        {"extended_key_usage_critical": True},
        {"issuer_ordered": [["commonName", "B"]]},
        {"authority_key_identifier": "0a:0c"},
        {"authority_cert_serial_number": 1},
        {"authority_cert_issuer": ["DNS:a"]},
        {"extensions_by_oid": {**SIGNED["extensions_by_oid"], "2.5.29.19": None}},
        {"not_after": "20300101000000Z"},
        {"not_after": "20291231235959Z"},
    ],
)
def test_a_certificate_that_differs_is_signed_again(differing):
    assert unsigned({**SIGNED, **differing}) == ["paris"]


def test_a_certificate_that_is_missing_or_not_the_authoritys_is_signed():
    assert unsigned(None) == ["paris"]
    assert unsigned(SIGNED, state={**STATE, "chained": []}) == ["paris"]
    assert unsigned(SIGNED, state={**STATE, "public_keys": {}}) == ["paris"]
    # An authority without an identifier of its key: only signing tells whether a certificate is its own.
    nameless = {**AUTHORITY, "subject_key_identifier": None}
    assert unsigned({**SIGNED, "authority_key_identifier": None}, authority=nameless) == ["paris"]
