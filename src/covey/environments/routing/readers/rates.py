"""The rate of a link in words: `2x10 Gbps`, `1,000 Mbps`, `STM-16`, `10GE`. What is not certain is `Unclear`.

| names | Mbit/s | source |
|---|---|---|
| OC-n, STS-n | n x 51.84 | ANSI T1.105 (SONET) |
| STM-n | n x 155.52; STM-0 51.84 | ITU-T G.707 (SDH) |
| E1 to E4 | 2.048, 8.448, 34.368, 139.264 | ITU-T G.702 (PDH) |
| T1 to T4, DS1 to DS4; DS0 | 1.544, 6.312, 44.736, 274.176; 0.064 | ITU-T G.702, ANSI T1.107 |
| J1 to J4 | 1.544, 6.312, 32.064, 97.728 | ITU-T G.702 |
| FE, GE, nGE, nGbE, nGigE, nBASE-x | 100, 1000, n x 1000, n | IEEE 802.3 (Ethernet) |
| ODU0 to ODU4, OTU1 to OTU4 | as multiples of 2488.32 and 9953.28 | ITU-T G.709 (OTN), tables 7-1 and 7-2 |
"""

from __future__ import annotations

import re
from typing import NamedTuple

TOLERANCE = 0.04  # two statements of one rate differ by less: STM-1 and 155 Mbps, E1 and 2 Mbps, T1 and 1.5 Mbps

STEP = {"": 1e-6, "k": 1e-3, "m": 1.0, "g": 1e3, "t": 1e6}  # of a prefix, in Mbit/s
OC_1, STM_1, STM_16 = 51.84, 155.52, 2488.32
PDH = {
    "t": (1.544, 6.312, 44.736, 274.176),
    "ds": (1.544, 6.312, 44.736, 274.176),
    "e": (2.048, 8.448, 34.368, 139.264),
    "j": (1.544, 6.312, 32.064, 97.728),
}
NAMED = {
    **{f"{name}{level}": rate for name, rates in PDH.items() for level, rate in enumerate(rates, 1)},
    **{f"{name}{n}": n * OC_1 for name in ("oc", "sts") for n in (1, 3, 9, 12, 18, 24, 36, 48, 96, 192, 768, 3072)},
    **{f"stm{n}": n * STM_1 for n in (1, 4, 8, 16, 64, 256, 1024)},
    **{"stm0": OC_1, "ds0": 0.064, "odu0": STM_16 / 2},
    **{f"odu{k}": 239 / (239 - k) * STM_16 * 4 ** (k - 1) for k in (1, 2, 3)},
    **{f"otu{k}": 255 / (239 - k) * STM_16 * 4 ** (k - 1) for k in (1, 2, 3)},
    **{"odu4": 239 / 227 * 40 * STM_16, "otu4": 255 / 227 * 40 * STM_16},
    **{"fe": 100.0, "fastethernet": 100.0},
    **dict.fromkeys(("ge", "gbe", "gige", "gigeth", "gigabitethernet"), 1e3),
}

SPACES = "\u00a0\u2009\u202f"  # that separate thousands
NUMBER = rf"\d+(?:[.,'’{SPACES}]\d+)*|\.\d+"
TIMES = r"\s*[x×*]\s*"
BITS = r"(?i:bits?(?:/s(?:ec)?|ps)?)|b(?i:/s(?:ec)?|ps|s)?"
BYTES = r"B(?i:/s(?:ec)?|ps|s)?|(?i:bytes?(?:/s(?:ec)?|ps)?)"
LEVEL = r"(?i:OC|STM|STS|DS|OTU|ODU)[-\s]?\d+|[TEJ]-?\d+"
ETHERNET = r"FE|GE|(?i:GbE|GigE|GigEth|Gigabit\s?Ethernet|Fast\s?Ethernet)"
TERM = re.compile(
    rf"""(?<![^\W_x×*])(?<!\d[.,])
    (?:(?P<before>\d+){TIMES})?
    (?: (?P<number>{NUMBER})\s*-?
        (?: (?P<capitals>[KMGT]BPS)
          | (?P<ethernet>(?i:G(?:E|bE|ig\s?E(?:th)?|igabit\s?Ethernet)))
          | (?P<base>G?)(?i:BASE)-?[A-Z]\w*
          | (?P<bits>[kKmMgGtT]?(?:{BITS}))
          | (?P<bytes>[kKmMgGtT](?:{BYTES}))
          | (?P<word>(?i:kilo|mega|giga|tera))(?i:bits?(?:/s(?:ec)?|ps|\s+per\s+second)?)
          | (?P<bare>[kKMGTg]|(?i:gig|meg)s?)
        )
      | (?P<name>{LEVEL}|{ETHERNET})(?i:c)?(?![/-]\d)
    )(?:(?!\w)|(?=x\d))
    (?:\s*\(?{TIMES}(?P<after>\d+)\)?(?![\w./-]))?""",
    re.VERBOSE,
)
MARK = "\0"  # stands where a term was
COUNTED = r"dual|double|twin|two|three|four|triple|quad|multiple|several|many|pair|bundle"
BOUND = r"up\s?to|at\s+(?:least|most)|(?:less|more)\s+than|below|above|under|over|about|approx\w*|circa|ca|half"
QUALIFIED = re.compile(
    rf"""[<>≤≥~≈±]=?\s*{MARK} | (?:^|\s)-{MARK} | {TIMES}{MARK} | {MARK}{TIMES}
    | \b(?i:{BOUND}|{COUNTED}|max\w*|min\w*|between|from|or|of)\.?[\s(-]*{MARK}
    | {MARK}[\s)]*(?i:(?:and|or)\s+(?:more|less|above|below|higher|lower|up|over)|each|per|max\w*|min\w*)\b""",
    re.VERBOSE,
)
ALONE = re.compile(r"(?<![^\W_])(?<![A-Za-z]-)\d")  # a number that is no part of a name


class Unclear(NamedTuple):
    """Words that give no certain rate: why, as what follows "the link A→B", and what they may mean, in Mbit/s."""

    why: str
    maybe: tuple[float, ...] = ()


def rate_in(words: str) -> float | Unclear | None:
    """The rate in Mbit/s that is said in words; None where none is said.

    `2x10G`, `STM-64x2` and `4x1 Gbps + 2xSTM-1` are multiplied out and added. Several statements of one rate
    (`OC-48/STM-16`, `45 Mbps DS-3`) count once, the first of them. Ranges, bounds, numbers beside the rate, `GB/s`
    (bits or bytes?) and numbers such as `1,544` are unclear.
    """
    terms = list(TERM.finditer(words))
    if not terms:
        return None
    unclear = Unclear(f"says {words.strip()!r}, which is no single rate")
    rest = TERM.sub(MARK, words)
    readings = [_readings(term) for term in terms]
    if ALONE.search(rest) or QUALIFIED.search(rest):
        return unclear
    if len(readings) == 1 and len(readings[0]) > 1:
        either = " or ".join(f"{value:.6g}" for value in readings[0])
        return Unclear(f"says {words.strip()!r}, which may be {either} Mbit/s", readings[0])
    if any(len(values) != 1 for values in readings):
        return unclear
    totals = _sums([values[0] for values in readings], rest.split(MARK))
    if re.search(rf"{MARK}\s*\+|\+\s*{MARK}", re.sub(rf"{MARK}\s*\+\s*(?={MARK})", "", rest)):
        return unclear._replace(maybe=tuple(totals))  # `10G+`, `24 Mb/s + satellite`
    return totals[0] if all(agree(total, totals[0]) for total in totals) else unclear


def agree(a: float, b: float) -> bool:
    """Do two numbers state one rate?"""
    return abs(a - b) <= TOLERANCE * max(abs(a), abs(b))


def amounts(text: str) -> tuple[float, ...]:
    """What a number in words may be: one value where it is certain, none where it is no number.

    A comma before three digits separates thousands where nobody would write a decimal fraction so: `1,000`, `2,500` and
    `1,234,567` are certain, `1,544` is not. `2,5` is a decimal fraction, `2.488` too; `10.000` is uncertain.
    """
    text = text.strip()
    if re.fullmatch(rf"\d{{1,3}}(?:[,'’{SPACES}]\d{{3}})+(?:\.\d+)?", text):
        large = float(re.sub(r"[^\d.]", "", text))
        small = re.fullmatch(r"\d+,\d*[1-9]\d?|\d+,\d*[1-9]", text)
        return (float(text.replace(",", ".")), large) if small else (large,)
    if re.fullmatch(r"\d{1,3}(?:\.\d{3}){2,}", text):
        return (float(text.replace(".", "")),)
    if re.fullmatch(r"\d+(?:,\d+)?|\d*\.\d+", text):
        value = float(text.replace(",", "."))
        return (value, 1000 * value) if re.fullmatch(r"\d{1,3}\.000", text) else (value,)
    return ()


def _readings(term: re.Match[str]) -> tuple[float, ...]:
    """What one term may mean, its multipliers included."""
    said = term.groupdict()
    count = float(said["before"] or 1) * float(said["after"] or 1)
    if said["name"]:
        rate = NAMED.get(re.sub(r"[-\s]", "", said["name"].lower()))
        return () if rate is None else (count * rate,)
    values = tuple(count * _step(said) * value for value in amounts(said["number"]))
    if said["bytes"]:
        eight = tuple(8 * value for value in values)
        return eight if "byte" in said["bytes"].lower() else values + eight
    return values


def _step(said: dict[str, str | None]) -> float:
    """What the unit of a term is in Mbit/s."""
    if said["base"] is not None:  # 10GBASE-T, 100BASE-TX
        return STEP[said["base"].lower() or "m"]
    units = (said[kind] for kind in ("capitals", "ethernet", "bits", "bytes", "word", "bare"))
    prefix = next(unit[0].lower() for unit in units if unit)
    return STEP[prefix if prefix in STEP else ""]


def _sums(rates: list[float], between: list[str]) -> list[float]:
    """The totals of what is joined by `+`; `between[i]` are the words before rate i."""
    totals = rates[:1]
    for rate, words in zip(rates[1:], between[1:], strict=False):
        if words.strip() == "+":
            totals[-1] += rate
        else:
            totals.append(rate)
    return totals
