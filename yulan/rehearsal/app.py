"""The table of addresses, and the way from a request to its handler and from a refusal to its answer."""

import json
import logging
import re
from collections.abc import Callable
from urllib.parse import unquote

import anyio.to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from yulan.errors import ResourceError
from yulan.rehearsal import (
    routes_access,
    routes_collections,
    routes_discussions,
    routes_files,
    routes_lfs,
    routes_manage,
    routes_read,
    routes_repos,
    routes_write,
    routes_xet,
)
from yulan.rehearsal.body import Body
from yulan.rehearsal.limits import Limits, Quota
from yulan.rehearsal.refused import Refused
from yulan.rehearsal.store import Store
from yulan.rehearsal.wire import Call

log = logging.getLogger("yulan.rehearsal")
Handler = Callable[[Call], Response]
THREADS = 200
"""Requests in work at once. A client that is slow from the start holds none of them, one in a large body holds one."""

API = "/api/{kind}/{ns}/{name}"
GIT = "/{ns}/{name}"
COLLECTION = "/api/collections/{ns}/{name}"
# The revision `refs/pr/1` may come unquoted in a download address, where the path follows.
REV = "(?P<rev>refs/(?:pr|convert)/[^/]+|[^/]+)"
ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/api/whoami-v2", routes_repos.whoami),
    ("POST", "/api/repos/create", routes_repos.create),
    ("DELETE", "/api/repos/delete", routes_repos.delete),
    ("POST", "/api/validate-yaml", routes_repos.validate_yaml),
    ("GET", "/api/{kind}", routes_read.listed),
    ("GET", API, routes_read.info),
    ("GET", API + "/revision/{rev}", routes_read.info),
    ("PUT", API + "/settings", routes_repos.settings),
    ("GET", API + "/tree/{rev}", routes_read.tree),
    ("GET", API + "/tree/{rev}/{path*}", routes_read.tree),
    ("POST", API + "/paths-info/{rev}", routes_read.paths_info),
    ("GET", API + "/refs", routes_read.refs),
    ("GET", API + "/commits/{rev}", routes_read.commits),
    ("POST", API + "/branch/{ref}", routes_write.create_branch),
    ("DELETE", API + "/branch/{ref}", routes_write.delete_branch),
    ("POST", API + "/tag/{ref}", routes_write.create_tag),
    ("DELETE", API + "/tag/{ref}", routes_write.delete_tag),
    ("POST", API + "/preupload/{rev}", routes_write.preupload),
    ("POST", API + "/commit/{rev}", routes_write.commit),
    ("GET", API + "/discussions", routes_discussions.listed),
    ("POST", API + "/discussions", routes_discussions.create),
    ("GET", API + "/discussions/{number}", routes_discussions.one),
    ("POST", API + "/discussions/{number}/merge", routes_discussions.merge),
    ("POST", API + "/discussions/{number}/status", routes_discussions.status),
    ("POST", API + "/discussions/{number}/title", routes_discussions.title),
    ("POST", API + "/discussions/{number}/comment", routes_discussions.comment),
    ("POST", API + "/discussions/{number}/comment/{item}/edit", routes_discussions.edit),
    ("POST", API + "/discussions/{number}/comment/{item}/hide", routes_discussions.hide),
    ("POST", "/api/repos/move", routes_manage.move),
    ("POST", API + "/duplicate", routes_manage.duplicate),
    ("GET", "/api(?:/organizations/{ns})?/settings/repositories", routes_manage.storage),
    ("GET", API + "/auth-check(?P<write>/write)?", routes_manage.auth_check),
    ("POST", API + "/super-squash/{rev}", routes_manage.squash),
    ("GET", API + "/lfs-files", routes_manage.lfs_files),
    ("POST", API + "/lfs-files/batch", routes_manage.delete_lfs),
    ("POST", API + "/lfs-files/duplicate", routes_manage.duplicate_lfs),
    ("POST", "{prefix}" + GIT + "/ask-access", routes_access.ask),
    ("GET", API + "/user-access-request/(?P<status>pending|accepted|rejected)", routes_access.listed),
    ("POST", API + "/user-access-request/handle", routes_access.handle),
    ("POST", API + "/user-access-request/grant", routes_access.grant),
    ("GET", "/api/collections", routes_collections.listed),
    ("POST", "/api/collections", routes_collections.create),
    ("GET", COLLECTION, routes_collections.one),
    ("PATCH", COLLECTION, routes_collections.change),
    ("DELETE", COLLECTION, routes_collections.delete),
    ("POST", COLLECTION + "/items", routes_collections.add_item),
    ("PATCH", COLLECTION + "/items/{item}", routes_collections.change_item),
    ("DELETE", COLLECTION + "/items/{item}", routes_collections.delete_item),
    ("POST", "{prefix}" + GIT + r"\.git/info/lfs/objects/batch", routes_lfs.batch),
    ("PUT", "/lfs/put/{signed}", routes_lfs.put),
    ("PUT", "/lfs/part/{signed}", routes_lfs.put_part),
    ("POST", "/lfs/complete/{signed}", routes_lfs.complete),
    ("GET", API + "/xet-(?P<access>read|write)-token/{rev}", routes_xet.token),
    ("POST", "/v1/xorbs/default/{hash}", routes_xet.put_xorb),
    ("POST", "/v1/shards", routes_xet.put_shard),
    ("GET", "/v1/reconstructions/{hash}", routes_xet.reconstruction),
    ("GET", "/xet/xorb/{hash}/{expires}/{signature}", routes_xet.get_xorb),
    ("GET", "{prefix}" + GIT + "/resolve/" + REV + "/{path*}", routes_files.resolve),
    ("GET", "/api/{kind}/{ns}(?:/(?:revision|tree|commits)/.+)?", routes_manage.nameless),
    ("POST", "/api/{kind}/{ns}/(?:paths-info|preupload|commit|branch|tag)/.+", routes_manage.nameless),
    ("GET", "{prefix}/{ns}/resolve/.+", routes_manage.nameless),
)
PARTS = {
    "{kind}": "(?P<kind>models|datasets)",
    "{prefix}": "(?:/(?P<kind>datasets))?",
    "{path*}": "(?P<path>.+)",
    "{number}": "(?P<number>[1-9][0-9]{0,8})",
    "{signed}": "(?P<sha256>[0-9a-f]{64})/(?P<size>[0-9]{1,15})/(?P<part>[0-9]{1,6})/{expires}/{signature}",
    "{hash}": "(?P<hash>[0-9a-f]{64})",
    "{expires}": "(?P<expires>[0-9]{1,12})",
    "{signature}": "(?P<signature>[0-9a-f]{64})",
}


def _pattern(route: str) -> re.Pattern[str]:
    for name, pattern in PARTS.items():
        route = route.replace(name, pattern)
    return re.compile(re.sub(r"\{([a-z]+)\}", r"(?P<\1>[^/]+)", route))


TABLE = tuple((method, _pattern(route), handler) for method, route, handler in ROUTES)


def find(method: str, raw_path: str) -> tuple[Handler, dict[str, str]]:
    """Match on the path as it was sent, then decode each part: a `%2F` is part of a name.

    Raises: Refused: 404 or 405.
    """
    known = False
    for allowed, pattern, handler in TABLE:
        if match := pattern.fullmatch(raw_path):
            known = True
            if method == allowed or (method == "HEAD" and allowed == "GET"):
                return handler, {"kind": "models"} | {k: unquote(v) for k, v in match.groupdict().items() if v is not None}
    raise Refused(405 if known else 404, "Sorry, we can't find the page you are looking for.")


def answer(refused: Refused) -> Response:
    # A header is ASCII, has no line ends, and neither begins nor ends with a space.
    headers = {**refused.headers, "X-Error-Message": json.dumps(refused.message)[1:-1].strip()[:2000]}
    if refused.code:
        headers["X-Error-Code"] = refused.code
    return JSONResponse({"error": refused.message}, refused.status, headers=headers)


def make_app(store: Store, limits: Limits) -> ASGIApp:
    quota = Quota(limits)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        request = Request(scope, receive)
        told: dict[str, str] = {}
        try:
            path = scope["raw_path"].decode("ascii")
            told = quota.count(path, request.headers.get("authorization") or (request.client.host if request.client else ""))
            handler, args = find(request.method, path)
            body = Body(request, limits.silence)
            await body.begin()
            call = Call(request=request, store=store, incoming=body, args=args)
            response = await run_in_threadpool(handler, call)
        except Refused as refused:
            response = answer(refused)
        except ClientDisconnect:
            return
        except UnicodeError:
            response = answer(Refused(400, "The text is not valid Unicode"))
        except ResourceError as error:
            log.error("%s", error)
            response = answer(Refused(507, error.what))
        except Exception:
            log.exception("a %s request failed", request.method)
            response = answer(Refused(500, "Internal Error"))
        response.headers.update(told)
        await response(scope, receive, send)

    return app
