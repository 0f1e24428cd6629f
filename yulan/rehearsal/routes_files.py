"""Files as they are downloaded."""

from urllib.parse import quote

from starlette.responses import FileResponse, Response

from yulan.rehearsal.refused import missing
from yulan.rehearsal.wire import Call


class Bytes(FileResponse):
    chunk_size = 1 << 20


def resolve(call: Call) -> Response:
    """One file of one revision, whole or by ranges. Answered here, since a redirect to the same origin loses its headers."""
    repo = call.repo(content=True)
    id = repo.resolve(call.args["rev"])
    path = call.args["path"]
    entry = repo.commit(id).tree.get(path)
    # A large file may have been deleted for good under a history that was not rewritten.
    if entry is None or not repo.objects.has(entry.sha256):
        raise missing("entry", "Entry not found", X_Repo_Commit=id)
    name = path.rpartition("/")[2]
    headers = {
        "X-Repo-Commit": id,
        "ETag": f'"{entry.oid}"',
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(name)}",
        "Cache-Control": "no-store",
    }
    if entry.lfs:
        headers |= {"X-Linked-Size": str(entry.size), "X-Linked-ETag": f'"{entry.oid}"'}
        if hash := call.store.xet.name(entry.sha256):
            route = f"{call.base}/api/{call.args['kind']}/{repo.id}/xet-read-token/{id}"
            headers |= {"X-Xet-Hash": hash, "Link": f'<{route}>; rel="xet-auth"', "X-Xet-Refresh-Route": route}
    return Bytes(repo.objects.path(entry.sha256), headers=headers, media_type="application/octet-stream")
