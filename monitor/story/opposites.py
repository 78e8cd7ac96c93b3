"""Words that turn a report into its opposite: "approved" where another says "rejected".

Two texts that are the same but for such a word are not copies, however long they are. Each line of
a pair has all forms of its words; a word may stand in several pairs. English.
"""

from __future__ import annotations

from typing import Final

OPPOSITES: Final[tuple[tuple[str, str], ...]] = (
    (
        "rise rises rose risen rising climb climbs climbed climbing gain gains gained gaining "
        "jump jumps jumped jumping soar soars soared soaring surge surges surged surging rally "
        "rallies rallied advance advances advanced increase increases increased increasing grow "
        "grows grew grown growing growth higher up rebound rebounds rebounded raise raises raised "
        "raising lift lifts lifted hike hikes hiked boost boosts boosted widen widens widened "
        "expand expands expanded strengthen strengthens strengthened accelerate accelerates "
        "accelerated upward",
        "fall falls fell fallen falling drop drops dropped dropping slip slips slipped slide "
        "slides slid slump slumps slumped tumble tumbles tumbled plunge plunges plunged sink "
        "sinks sank decline declines declined declining decrease decreases decreased shrink "
        "shrinks shrank lower lowers lowered down cut cuts cutting trim trims trimmed reduce "
        "reduces reduced slash slashes slashed narrow narrows narrowed weaken weakens weakened "
        "slow slows slowed dip dips dipped contract contracts contracted contraction ease eases "
        "eased downward crash crashes crashed",
    ),
    (
        "approve approves approved approval grant grants granted accept accepts accepted back "
        "backs backed clear clears cleared allow allows allowed permit permits permitted pass "
        "passes passed endorse endorses endorsed uphold upholds upheld agree agrees agreed "
        "authorise authorises authorised authorize authorizes authorized adopt adopts adopted",
        "reject rejects rejected rejection refuse refuses refused deny denies denied block blocks "
        "blocked bar bars barred ban bans banned veto vetoes vetoed oppose opposes opposed "
        "overturn overturns overturned dismiss dismisses dismissed decline declines declined "
        "forbid forbids strike strikes struck revoke revokes revoked withhold withholds withheld",
    ),
    (
        "win wins won winning winner",
        "lose loses lost losing loser",
    ),
    (
        "beat beats beating top tops topped exceed exceeds exceeded above over surpass surpassed",
        "miss misses missed missing below under lag lags lagged short",
    ),
    (
        "buy buys bought buying buyer buyers acquire acquires acquired purchase purchases "
        "purchased",
        "sell sells sold selling seller sellers divest divests divested offload offloads offloaded",
    ),
    (
        "start starts started begin begins began begun resume resumes resumed restart restarts "
        "restarted launch launches launched open opens opened opening reopen reopens reopened "
        "reinstate reinstates reinstated restore restores restored continue continues continued "
        "extend extends extended proceed proceeds keep keeps kept revive revives revived maintain "
        "maintains maintained ahead",
        "stop stops stopped halt halts halted suspend suspends suspended end ends ended close "
        "closes closed closing shut shuts shelve shelves shelved scrap scraps scrapped cancel "
        "cancels cancelled canceled abandon abandons abandoned drop drops dropped pause pauses "
        "paused delay delays delayed postpone postpones postponed freeze freezes froze frozen "
        "withdraw withdraws withdrew withdrawn terminate terminates terminated axe axes axed "
        "discontinue",
    ),
    (
        "impose imposes imposed introduce introduces introduced tighten tightens tightened add "
        "adds added",
        "lift lifts lifted remove removes removed ease eases eased scrap scraps scrapped loosen "
        "loosens loosened relax relaxes relaxed repeal repeals repealed abolish abolishes "
        "abolished drop drops dropped waive waives waived",
    ),
    (
        "upgrade upgrades upgraded outperform outperforms outperformed overweight overvalued "
        "bullish bull bulls long call calls",
        "downgrade downgrades downgraded underperform underperforms underperformed underweight "
        "undervalued bearish bear bears short put puts",
    ),
    (
        "profit profits profitable",
        "loss losses lossmaking unprofitable",
    ),
    (
        "guilty convicted convict convicts conviction liable infringed infringes",
        "acquitted acquits acquit acquittal cleared clears innocent exonerated exonerates",
    ),
    (
        "yes favour favor support supports supported",
        "no against oppose opposes opposed",
    ),
    (
        "larger bigger",
        "fewer smaller",
    ),
    (
        "hire hires hired hiring appoint appoints appointed join joins joined recruit recruits",
        "fire fires fired firing sack sacks sacked dismiss dismisses dismissed leave leaves left "
        "resign resigns resigned quit quits oust ousts ousted layoffs",
    ),
    (
        "succeed succeeds succeeded success successful successfully meet meets met pass passes "
        "passed reach reaches reached works",
        "fail fails failed failure unsuccessful failing collapse collapses collapsed",
    ),
    (
        "strong stronger strongest better good best optimistic improve improves improved improving",
        "weak weaker weakest worse bad worst pessimistic worsen worsens worsened deteriorate "
        "deteriorates deteriorated",
    ),
    (
        "surplus inflow inflows import imports",
        "deficit outflow outflows export exports",
    ),
    (
        "confirm confirms confirmed affirm affirms affirmed",
        "deny denies denied",
    ),
    (
        "stay stays stayed staying remain remains remained keep keeps kept retain retains retained",
        "leave leaves left leaving exit exits exited quit quits",
    ),
    (
        "repay repays repaid pay pays paid",
        "default defaults defaulted skip skips skipped withhold withholds",
    ),
    (
        "legal lawful valid safe legally",
        "illegal unlawful invalid unsafe illegally",
    ),
    (
        "hawkish tightening",
        "dovish easing",
    ),
    (
        "settle settles settled agree agrees",
        "sue sues sued appeal appeals appealed",
    ),
    (
        "enter enters entered",
        "exit exits exited leave leaves",
    ),
    (
        "recover recovers recovered survive survives survived",
        "relapse die dies died",
    ),
    (
        "unchanged hold holds held",
        "change changes changed",
    ),
)

NEGATIONS: Final = "not never cannot t"
"""The last is what is left of "n't" where words end at an apostrophe."""

_NEGATIONS = tuple(NEGATIONS.split())
TURNS: Final = tuple(
    dict.fromkeys(
        (*_NEGATIONS, *(word for pair in OPPOSITES for side in pair for word in side.split()))
    )
)
"""All of them, negations first. A place here is part of what is stored: new ones come last."""
NEGATION_COUNT: Final = len(_NEGATIONS)


def sides() -> tuple[list[int], list[int]]:
    """For each of `TURNS` the pairs in which it stands on the first and on the second side, as
    bits."""
    first, second = [], []
    pairs = [(set(one.split()), set(other.split())) for one, other in OPPOSITES]
    for word in TURNS:
        first.append(sum(1 << bit for bit, (one, _) in enumerate(pairs) if word in one))
        second.append(sum(1 << bit for bit, (_, other) in enumerate(pairs) if word in other))
    return first, second
