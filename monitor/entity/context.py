"""Whether a name means the company where it stands: Apple or the fruit, Target or a target.

Evidence is counted in points; `linked` says how many a name needs. The weights were set on
hand-labelled news, tweets and posts that are no part of this repository.
"""

from __future__ import annotations

import re
from typing import Final

from models.text import CASHTAG

REACH: Final = 56
"""Characters on each side that are read as the neighbourhood."""

MARKET: Final = frozenset(
    "share shares stock stocks shareholder shareholders investor investors ceo cfo coo chief executive "
    "executives chairman earnings revenue revenues profit profits profitable loss losses sales quarter "
    "quarterly guidance dividend buyback analyst analysts upgrade upgraded downgrade downgraded rating "
    "outperform underperform overweight valuation merger acquisition takeover ipo antitrust bankruptcy "
    "calls puts call put options bullish bearish trading traders nasdaq nyse dow rally rallied layoffs "
    "workforce employees employee workers staff jobs retailer automaker carmaker chipmaker "
    "maker giant giants conglomerate lender insurer airline airlines startup company's company firm "
    "brand subsidiary supplier suppliers smartphone smartphones app apps devices device headset "
    "headquarters warehouse warehouses store stores cloud chip chips tech billion ads advertisers "
    "spokesperson spokesman spokeswoman customers boss co-founder founder platform platforms lawsuit "
    "antitrust billionaire software plant factory suv suvs evs ev pickup truck trucks flight flights "
    "pilots".split()
)
"""Words near a company's name."""
TRADING: Final = frozenset(
    "stock stocks share shares calls puts call put earnings eps options price long short buy buying "
    "bought sell selling sold hold holding bullish bearish position chart dip gap squeeze moon "
    "tendies bags yolo rally strike premarket bagholder pt trading trade traded shorts otm itm er "
    "dd ceo squeeze tank tanking tanked dump pump green red".split()
)
"""Words near a bare ticker or a name in lower case."""
SECURITY: Final = frozenset(
    "stock stocks share shares calls puts shorts bullish bearish yolo tendies bags squeeze ticker eps "
    "premarket bagholder bagholders holders itm otm fds leaps short shorting shorted dip mooning moon "
    "pump dump earnings rallies bulls bears".split()
)
"""Words near a bare symbol."""
VERBS: Final = frozenset(
    "says said reports reported posts posted sues sued unveils unveiled launches launched announces "
    "announced plans planned cuts cut lays raises raised beats beat misses missed agrees agreed buys "
    "bought acquires acquired hires hired fires fired faces faced files filed warns warned expects "
    "expected wants has had will is was hit hits recalls recalled settles settled scraps slashes "
    "sells sold seeks reveals bans banned blocks pulls halts pauses ends joins opens closes adds drops "
    "fell rose jumped slumped surged falls jumps slumps surges soars soared tumbles tumbled sinks climbs "
    "gains slides slid pays paid gets got makes made offers offered tells told won lost loses wins owns "
    "could may would should can shuts admits accused fined under using".split()
)
"""What a company does, in the word that follows its name."""
BEFORE: Final = frozenset(
    "at by from against via sue sues suing buy sell acquire acquires acquired buys like versus vs "
    "including fines fined owner owns owned joining joins left leaves for to with of and giants giant "
    "maker rival rivals parent retailer automaker carmaker company tech bank airline".split()
)
"""Words before a company's name."""
NOT_BEFORE: Final = frozenset(
    "the a an this that these those our your their its his her my no any every each some new "
    "annual first second last price next key main closest long-time longtime strongest".split()
)
"""Determiners and the like: before an everyday word they say that it is one."""
_STOP: Final = frozenset(
    "a an the and or but of in on at to for with by from as is are was were be it its that this not "
    "if so no up out over into after before than via vs per off".split()
)
TITLES: Final = frozenset(
    "mr mrs ms dr sir lord lady president governor gov sen senator judge justice prof professor "
    "captain coach detective officer king queen prince princess".split()
)
FIRST_NAMES: Final = frozenset(
    "aaron adam alan albert alec alex alexander alice amanda amy andrea andrew andy angela ann anna "
    "anne anthony antonio arthur barbara ben benjamin bernard beth betty bill billy blake bob bobby "
    "boris brad brandon brian bruce bryan carl carol caroline catherine charles charlie charlotte chris "
    "christian christine christopher claire clark craig dan daniel dave david dean deborah dennis "
    "derek diana diane dick don donald donna doug douglas dylan ed eddie edward eleanor elizabeth "
    "ellen emily emma eric erica ernest ethan eugene evan eva fiona frances francis frank fred gary gavin "
    "geoff george gerald glenn gordon grace graham grant greg gregory hannah harold harrison harry "
    "harvey heather helen henry howard hugh ian isabel jack jacob jake james jamie jane janet jason jay "
    "jean jeff jeffrey jennifer jenny jeremy jerry jesse jessica jill jim jimmy joan joanna joe joel "
    "john johnny jon jonathan jordan jose joseph josh joshua juan judith judy julia julian julie justin "
    "karen kate katherine kathy katie keith kelly ken kenneth kevin kim kyle larry laura lauren "
    "lawrence lee leo leon leonard leslie lewis liam linda lisa liz logan louis lucas lucy luke lynn "
    "marc marcus margaret maria marie mark martha martin mary matt matthew max megan melissa michael "
    "michelle miguel mike molly monica nancy natalie nathan neil nicholas nick nicole nigel noah oliver "
    "olivia oscar owen pam pamela pat patricia patrick paul paula peter phil philip pierre piers rachel "
    "ralph ray raymond rebecca richard rick rob robert roberta robin rod roger ron ronald rose rosie ross roy russell "
    "ruth ryan sally sam samantha samuel sandra sara sarah scott sean sharon sheila simon sophia sophie "
    "stan stanley stephanie stephen steve steven stewart stuart sue susan suzanne ted teresa terry "
    "theo theresa thomas tim timothy tina todd tom tommy tony tracy trevor valerie vanessa victor "
    "victoria vince vincent walter wayne wendy will william zach zoe mohamed muhammad ahmed ali kumar "
    "nikola hunter cody carlos luis jesus cathy shannon brett travis chase courtney dana".split()
)
NOT_AFTER: Final = frozenset(
    "foundation university college school street road avenue lane park county church island river "
    "valley award awards prize stadium arena museum library hall cathedral jr junior senior bridge "
    "airport hospital championship cup trophy bowl theatre theater festival memorial family".split()
)
"""Capitalised words behind a name that make another name of it."""
PRODUCTS: Final = frozenset(
    "store stores watch pay music tv card prime web cloud maps pixel drive stores' spokesperson "
    "spokesman spokeswoman executive executives employee employees worker workers warehouse warehouses "
    "shares stock app apps device devices account ceo boss founder co-founder car cars truck trucks "
    "suv suvs ev evs plant plants vehicle vehicles flight flights plane planes pilot pilots product "
    "products service services user users deal platform platforms ad ads logo shareholder "
    "shareholders customer customers engineer engineers event headset chip chips dealership dealer "
    "dealers driver drivers airlines motors motor inc corp co plc ltd".split()
)
"""Nouns behind a name that stands for a company as an adjective: "a Target store"."""
NOT_LOWER: Final = frozenset(
    "hertz peloton chipotle crocs uber swatch jeep heinz lazard hershey hershey's nordstrom "
    "greensill sears avis exxon santander intesa mercedes continental bumble chewy workday shein "
    "indigo roche adecco engie accor reckitt entain experian serco centrica drax airtel paytm".split()
)
"""Names of companies that are too often something else when written in lower case."""
_NO_PART: Final = (
    _STOP
    | NOT_BEFORE
    | BEFORE
    | frozenset(
        "monday tuesday wednesday thursday friday saturday sunday when while why how what who where "
        "is are was were do does did has have had can could should will would may might must former "
        "ex more most many some if though although because since until during about and or but us "
        "uk american british german french chinese japanese indian european swiss korean italian "
        "canadian big today yesterday meanwhile however after watch report opinion exclusive "
        "breaking update analysis review".split()
    )
)
"""Capitalised words that may stand before a name without being part of it."""
_LEGAL: Final = re.compile(
    r",?\s+(?:inc|corp|corporation|ltd|limited|plc|llc|co|company|ag|nv|sa|se|holdings|group)\b",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[^\W\d_][\w'&-]*")
_ENDS: Final = ".!?:;\"'([{|"


class Context:
    """The neighbourhood of ``text[start:end]``, read once."""

    __slots__ = ("after", "before", "end", "start", "surface", "text")

    def __init__(self, text: str, start: int, end: int) -> None:
        self.text, self.start, self.end = text, start, end
        self.surface = text[start:end]
        head = text[max(0, start - REACH) : start]
        if start > REACH:
            head = head.partition(" ")[2]
        tail = text[end : end + REACH]
        if end + REACH < len(text):
            tail = tail.rpartition(" ")[0]
        self.before = _WORD.findall(head)[-7:]
        self.after = _WORD.findall(tail[2:] if tail[:2] == "'s" else tail)[:7]

    def opens(self) -> bool:
        """Whether a sentence (or a quotation, a bracket, a line) begins here."""
        head = self.text[: self.start].rstrip()
        return not head or head[-1] in _ENDS

    def written_out(self, share: int = 3) -> bool:
        """Whether the words around are written as in a sentence, so that capitals say something.

        In a title every long word has its capital; names do in a sentence as well.
        """
        small = large = 0
        for word in (*self.before, *self.after):
            if len(word) > 3 and word.lower() not in _STOP:
                if word[0].islower():
                    small += 1
                else:
                    large += 1
        return small >= 2 and small * share >= large

    def shouted(self) -> bool:
        """Whether the words around are in capitals, so that capitals say nothing."""
        words = [w for w in (*self.before[-4:], *self.after[:4]) if len(w) > 1]
        return len(words) > 1 and sum(w.isupper() for w in words) * 2 > len(words)

    def is_someone(self) -> bool:
        """Whether the words beside it make a person, a place or another institution of it."""
        if self.before and self.text[self.start - 1 : self.start] == " ":
            last = self.before[-1]
            low = last.lower()
            gap = self.text[self.start - 2 : self.start - 1]
            if (low in FIRST_NAMES and last[0].isupper() and gap.isalpha()) or low in TITLES:
                return True
        if self.after and self.text[self.end : self.end + 1] == " ":
            follow = self.after[0]
            if follow[0].isupper() and follow.lower() in NOT_AFTER:
                return self.written_out() or follow.lower() not in ("park", "family", "school")
        return False

    def contradicts(self, unless: frozenset[str]) -> bool:
        """Whether one of these words stands nearby."""
        near = (*self.before[-5:], *self.after[:5])
        return any(word.lower() in unless for word in near)

    def is_part(self) -> bool:
        """Whether a capitalised word before it makes a longer name of it: Vivienne Westwood."""
        if not self.before or self.text[self.start - 1 : self.start] != " ":
            return False
        last = self.before[-1]
        if not (last[0].isupper() and self.text[self.start - 2].isalnum()):
            return False
        low = last.lower()
        return low not in _NO_PART and not last.isupper() and self.written_out()

    def goes_on(self) -> bool:
        """Whether a capitalised word behind it makes a longer name of it: Chase Doak."""
        if not self.after or self.text[self.end : self.end + 1] != " ":
            return False
        word = self.after[0]
        if not word[0].isupper() or not self.text[self.end + 1].isupper():
            return False
        low = word.lower()
        known = low in PRODUCTS or low in VERBS or low in MARKET or low in _STOP
        return not known and word[1:].islower() and self.written_out()

    def points(self, unless: frozenset[str]) -> int:
        """Evidence for the company; negative where something else is meant."""
        before = [word.lower() for word in self.before]
        after = [word.lower() for word in self.after]
        near = {*before[-5:], *after[:5]}
        total = 0
        if unless and not unless.isdisjoint(near):
            total -= 4
        if self.is_part() or self.goes_on():
            total -= 3
        if self.is_someone():
            total -= 5
        if _LEGAL.match(self.text, self.end):
            total += 4
        capital = self.surface[:1].isupper()
        close = self.text[self.end : self.end + 1]
        follows = after[0] if after and close in " '" else ""
        if capital and self.written_out():
            total += 1 if self.opens() else 3
        elif not capital:
            total -= 2
            if follows in TRADING or (before and before[-1] in TRADING):
                total += 3
        total += min(2, sum(word in MARKET for word in near))
        possessive = self.text.startswith("'s", self.end)
        if capital and (possessive or follows in VERBS):
            total += 1
            if self.opens():
                total += 1
        if capital and self.opens() and follows == "to":
            total += 1
        if before and close != "-":
            last = before[-1]
            if last in NOT_BEFORE and self.text[self.start - 1 : self.start] == " ":
                total += 1 if follows in PRODUCTS else -2
            elif capital and last in BEFORE and not self.opens():
                total += 1
        if close == "-" and self.text[self.end + 1 : self.end + 2].islower():
            total -= 1
        return total

    def trades(self) -> bool:
        """Whether the neighbourhood speaks of a security, or names another by its symbol."""
        around = self.text[max(0, self.start - REACH) : self.end + REACH]
        if "$" in around and CASHTAG.search(around):
            return True
        return any(word.lower() in SECURITY for word in (*self.before[-5:], *self.after[:5]))


def well_cased(written: str, surface: str) -> bool:
    """Whether a name is written with the capitals that it has; all capitals will do as well."""
    if surface == written:
        return True
    if surface.isupper():
        return True
    if written.isupper() and len(written) <= 5:
        return False
    if written[0].isupper() and not (surface[0].isupper() or surface[0].isdigit()):
        return False
    tail = surface.rpartition(" ")[2]
    last = written.rpartition(" ")[2]
    return not (last[0].isupper() and tail[:1].islower())
