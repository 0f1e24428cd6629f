"""A revision's lists from another address than its hub's: only as they were signed, since nothing else vouches for them."""

from yulan.errors import HubError, StateError, YulanError
from yulan.release.folder import WITHDRAWN
from yulan.release.hub import Refused
from yulan.release.locations import Locations, in_folder
from yulan.release.names import Address
from yulan.release.offer import (
    LARGEST_LIST,
    Listed,
    is_branch,
    list_names,
    parse_lists,
    read_list,
    require_signed_as,
    withdrawal_in,
)
from yulan.release.sign import Signed
from yulan.release.trust import Trust
from yulan.release.withdrawal import require_standing


def agree_elsewhere(locations: Locations, address: Address, card: bool, trust: Trust, force: bool) -> tuple[Listed, Signed, str]:
    """The lists, who signed them, and the first folder of `locations` that has them.

    Raises: StateError: no branch is asked for, or it was withdrawn; HubError: no folder has them as they were signed.
    """
    if not is_branch(address.revision):
        # What a tag or a commit is, only the hub can tell; a branch's name is signed.
        raise StateError("only a branch can be had without its hub", where=address, cure="Name it: main, or phase-NN-step-NNNNNN")
    rows = []
    for folder in locations.folders:
        try:
            raw = {}
            for name in list_names(card):
                try:
                    raw[name] = read_list(in_folder(folder, name).read(0), LARGEST_LIST, address)
                except Refused:
                    continue
            lists, told = parse_lists(raw, card, address)
            found = Listed(raw=raw, lists=lists, files=told)
            signed = require_signed_as(found, address, trust)
        except YulanError as error:
            rows.append(f"{in_folder(folder, '').name}: {error.what}")
            continue
        if WITHDRAWN in told and not force:
            require_standing(withdrawal_in(found, in_folder(folder, WITHDRAWN).read(0), address), address)
        return found, signed, in_folder(folder, "").name
    raise HubError("no address has its lists as they were signed", where=address, cure="Correct locations.json", evidence=rows)
