"""What `poll doctor` says of the way to the forge."""

from __future__ import annotations

from pathlib import Path

import trustme

from poller.checks.way import certificates, of_the_way
from poller.forge.way import Way


def test_the_way_is_told(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    by_proxy = {"HTTPS_PROXY": "http://ann:hunter2@proxy.example.com:3128"}

    def told(url: str, ca_file: Path | None, environ: dict[str, str]) -> list[tuple[str, str]]:
        return [(check.status, check.found) for check in of_the_way(Way.of(url, ca_file=ca_file, environ=environ))]

    assert told("https://gitea.example.com/git", None, {}) == [
        ("ok", "straight to gitea.example.com"), ("ok", "those that this machine believes"),
    ]  # fmt: skip
    way, certificates = told("https://[fd00::1]:3000", tmp_path / "ca.pem", by_proxy)
    assert way == ("ok", "to [fd00::1]:3000 by the proxy http://proxy.example.com:3128 (HTTPS_PROXY)")
    assert certificates[1].startswith(f"{tmp_path / 'ca.pem'}, 1 certificate, which expires on 3000")
    assert told("https://h", None, {"SSL_CERT_FILE": "x"})[1][1] == "those that SSL_CERT_FILE or SSL_CERT_DIR names"
    assert told("http://gitea.example.com", None, {})[0][0] == "warn"
    assert told("http://[::1]:3000", tmp_path / "ca.pem", {}) == [
        ("ok", "straight to [::1]:3000"), ("ok", f"{tmp_path / 'ca.pem'} is not needed: the address is http"),
    ]  # fmt: skip


def test_certificates_that_have_expired_are_a_warning(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    way = Way(url="https://h", ca_file=tmp_path / "ca.pem")
    assert certificates(way, now=1e11).status == "warn"
    (tmp_path / "ca.pem").unlink()
    assert certificates(way, now=0).exit_code == 2
