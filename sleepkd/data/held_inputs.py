"""Which inputs of a network a night holds, and what happens to a night that lacks some of them.

An input that a night lacks is absent: it reads 0, for which a night network has a learnt vector. Other networks need
all of their inputs. A teacher is silent on a night that it cannot read: losses leave its segments out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sleepkd.data.inputs import InputSpec
from sleepkd.data.store import Night
from sleepkd.errors import UserError


@dataclass(frozen=True)
class AbsentInputs:
    """What is allowed on nights that lack inputs of a reader. Other readers need all of their inputs.

    may_lack: readers whose networks take a night with any of their inputs.
    may_be_silent: readers of the teacher, which is silent on a night that one of its networks cannot take.
    """

    may_lack: frozenset[str] = frozenset()
    may_be_silent: frozenset[str] = frozenset()


def held_inputs(night: Night, readers: Mapping[str, InputSpec], absent: AbsentInputs) -> dict[str, InputSpec]:
    """The inputs of each reader that a night holds; without the readers of a teacher that is silent on this night.

    Raises UserError where a night lacks an input that a reader needs, or all of them, and where it holds one that
    cannot be read (another rate, no statistics).
    """
    found = {}
    for reader, spec in readers.items():
        held = {name: item for name, item in spec.items() if name in night.info.kinds}
        takes = bool(held) if reader in absent.may_lack else len(held) == len(spec)
        if not takes and reader in absent.may_be_silent:
            continue
        if not held and len(spec) > 1 and reader in absent.may_lack:
            raise UserError(
                f"{night.folder}: holds none of the inputs {', '.join(spec)}; leave the recording out of the split, or "
                "prepare it with one of them"
            )
        for name, item in (held if takes else spec).items():
            item.check(name, night)
        found[reader] = held
    silent = {reader for reader in absent.may_be_silent if reader in readers and reader not in found}
    return {reader: held for reader, held in found.items() if not silent or reader not in absent.may_be_silent}


def reading_rate_hz(nights: Sequence[Night], inputs: Mapping[str, object]) -> float:
    """Samples per second at which a new network reads signals of no rate of their own: of the first night with one."""
    for night in nights:
        if any(name in night.info.signals for name in inputs):
            return night.rate_hz
    return nights[0].rate_hz


def lengths_s(night: Night, held: Mapping[str, InputSpec], absent: AbsentInputs) -> list[float]:
    """For each reader, the time until which it can read a night, s: that of its longest input if it may lack others.

    A reader that needs all of its inputs reads until the shortest ends.
    """
    found = []
    for reader, spec in held.items():
        ends = [item.seconds(name, night) for name, item in spec.items()]
        found.append(max(ends) if reader in absent.may_lack else min(ends))
    return found
