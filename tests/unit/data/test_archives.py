"""Pages of web archives become text; damage to an archive is told in one line."""

import contextlib
import io
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.data.test_formats import LOOSE, read
from yulan.data.readers import Reject
from yulan.errors import DataError, YulanError

PAGE = """<html><head><title>T</title><style>p {}</style></head><body><nav>Home</nav><h1>River</h1>
<p>It   rises in<br>the <b>hills</b>.</p><script>x = 1</script><ul><li>one<li>two</ul>
<pre>a  = 1
b</pre><table><tr><td>x<td>y</table><footer>(c)</footer></body></html>"""
SEEN = "River\nIt rises in\nthe hills.\none\ntwo\na = 1\nb\nx y"


def warc(path: Path, packed: bool = True) -> Path:
    path.write_bytes(archive(packed))
    return path


@cache
def archive(packed: bool) -> bytes:
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    file = io.BytesIO()
    writer = WARCWriter(file, gzip=packed)

    def put(kind: str, body: bytes, told: str = "text/html; charset=utf-8", status: str = "200 OK", **more: str) -> None:
        headers = StatusAndHeaders(status, [("Content-Type", told), *more.items()], protocol="HTTP/1.0")
        with_http = {"http_headers": headers} if kind == "response" else {}
        writer.write_record(writer.create_warc_record("http://a/", kind, payload=io.BytesIO(body), **with_http))

    writer.write_record(writer.create_warcinfo_record("a.warc.gz", {"software": "test"}))
    put("response", PAGE.encode())
    put("response", "河流".encode("gb18030"), "text/plain; charset=gb18030")
    put("response", b"gone", status="404 Not Found")
    put("response", b"\x89PNG", "image/png")
    put("response", b"<html><body><script>1</script></body></html>")
    put("response", b"\xff\xff", "text/plain")
    put("response", b'<html><head><meta charset="gbk"></head><p>' + "中文".encode("gbk"), "text/html")
    put("response", b"<p>who knows", "text/html; charset=no-such")
    put("conversion", "plain text of a page 数据".encode(), "text/plain")
    return file.getvalue()


@pytest.mark.parametrize("packed", [True, False])
def test_pages_of_an_archive_are_read_as_text(packed: bool, tmp_path: Path):
    assert read("warc", warc(tmp_path / "a.warc", packed)) == [
        SEEN,
        "河流",
        Reject(where="a.warc:4", reason="status"),
        Reject(where="a.warc:5", reason="not-text"),
        Reject(where="a.warc:6", reason="empty"),
        Reject(where="a.warc:7", reason="utf-8"),
        "中文",
        "who knows",
        "plain text of a page 数据",
    ]


@pytest.mark.parametrize("packed", [True, False])
def test_an_archive_that_is_cut_short_or_none_is_named(packed: bool, tmp_path: Path):
    whole = warc(tmp_path / "a.warc", packed).read_bytes()
    for size in (len(whole) - 20, len(whole) // 2):
        (tmp_path / "a.warc").write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"a\.warc: not a whole WARC file .*\. Give the whole file"):
            read("warc", tmp_path / "a.warc")
    (tmp_path / "a.warc").write_bytes(b"WARC/1.0\r\n" + b"x" * (3 << 20))
    with pytest.raises(DataError, match="not a whole WARC file"):
        read("warc", tmp_path / "a.warc")


@given(data=st.data(), packed=st.booleans())
@LOOSE
def test_no_damage_to_an_archive_ends_the_reader(data: st.DataObject, packed: bool, tmp_path: Path):
    whole = bytearray(warc(tmp_path / "a.warc", packed).read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a.warc").write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(YulanError):
        assert all(isinstance(found, (str, Reject)) for found in read("warc", tmp_path / "a.warc"))


@given(page=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
@example(page=b"<p>" * 20_000)
@example(page=b"<div><pre>" * 300 + b"x")
@LOOSE
def test_no_page_breaks_the_extraction(page: bytes):
    from yulan.data.readers.html import text_of

    assert isinstance(text_of(page, None), str)
    assert isinstance(text_of(page, "utf-8"), str)
