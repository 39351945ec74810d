//! A second, simple statement of the arithmetic in the default order: one pool, one deductible, one co-pay rate, one
//! out-of-pocket maximum, one sub-limit; plain numbers, one loop per step. Shares no code with the engine.

use std::sync::LazyLock;

use caremesh_kernel::Bps;
use proptest::prelude::*;

use super::world::{World, line, plan};
use crate::domain::account::Measure;
use crate::domain::engine::{Breakdown, Line};
use crate::domain::plan::{Basis, EventKind, Limit, LineKind, PlanVersion, SatisfiedBy};

/// A plan with one of everything.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) deductible: i64,
    pub(super) any_payer: bool,
    pub(super) copay_bps: i64,
    pub(super) maximum: i64,
    pub(super) basis: Basis,
    pub(super) sub_limit: i64,
    pub(super) pool: i64,
}

/// A line: billed, agreed, not payable, paid by another payer.
#[derive(Debug, Clone)]
pub(super) struct Bill {
    pub(super) billed: i64,
    pub(super) agreed: Option<i64>,
    pub(super) non_payable: i64,
    pub(super) other: i64,
}

pub(super) fn rules() -> impl Strategy<Value = Rules> {
    let basis = prop::sample::select(vec![Basis::Allowed, Basis::AfterDeductible, Basis::PlanPaid]);
    (0i64..3_000, any::<bool>(), 0i64..=10_000, 0i64..3_000, basis, 0i64..8_000, 0i64..12_000).prop_map(
        |(deductible, any_payer, copay_bps, maximum, basis, sub_limit, pool)| Rules {
            deductible,
            any_payer,
            copay_bps,
            maximum,
            basis,
            sub_limit,
            pool,
        },
    )
}

pub(super) fn bills() -> impl Strategy<Value = Vec<Bill>> {
    let bill = (0i64..4_000, prop::option::of(0i64..4_000), 0i64..500, 0i64..500)
        .prop_map(|(billed, agreed, non_payable, other)| Bill { billed, agreed, non_payable, other });
    prop::collection::vec(bill, 1..7)
}

/// The plan with everything of one kind, read once; `Rules::world` sets its numbers.
static ONE_OF_EVERYTHING: LazyLock<PlanVersion> = LazyLock::new(|| {
    let account = |code: &str, measure: &str, full: &str| {
        format!(
            "{{ code = \"{code}\", name = \"{code}\", measure = \"{measure}\", scope = \"MEMBER\", \
             period = \"TERM\", limit = {{ AMOUNT = 0 }}, when_full = \"{full}\" }}"
        )
    };
    let text = format!(
        "accounts = [{}, {}, {}, {}]\n\
         deductibles = [{{ id = \"DED\", accounts = [\"DED\"] }}]\n\
         copays = [{{ id = \"COPAY\", bps = 0 }}]\n\
         out_of_pocket = [{{ id = \"OOP\", accounts = [\"OOP\"] }}]\n\
         sublimits = [{{ id = \"SUB\", basis = \"ALLOWED\", account = \"SUB\" }}]\n",
        account("POOL", "PLAN_PAID", "CUT"),
        account("DED", "DEDUCTIBLE", "STOP_TAKING"),
        account("OOP", "MEMBER_PAID", "STOP_TAKING"),
        account("SUB", "ALLOWED", "CUT"),
    );
    plan("plain", Some(&text.parse().unwrap()))
});

impl Rules {
    pub(super) fn world(&self) -> World {
        let mut plan = ONE_OF_EVERYTHING.clone();
        let limits = [self.pool, self.deductible, self.maximum, self.sub_limit];
        for (account, limit) in plan.accounts.iter_mut().zip(limits) {
            account.limit = Limit::Amount(limit);
        }
        if self.basis == Basis::PlanPaid {
            plan.accounts[3].measure = Measure::PlanPaid;
        }
        plan.sublimits[0].basis = self.basis;
        plan.copays[0].bps = Some(Bps::new(u32::try_from(self.copay_bps).unwrap()).unwrap());
        if self.any_payer {
            plan.deductibles[0].satisfied_by = SatisfiedBy::AnyPayer;
        }
        World::simple(plan, 1)
    }
}

pub(super) fn lines(bills: &[Bill]) -> Vec<Line> {
    let make = |(sequence, bill): (u32, &Bill)| Line {
        agreed_minor: bill.agreed,
        non_payable_minor: bill.non_payable,
        other_payer_minor: bill.other,
        ..line(sequence, "ANY", LineKind::Package, bill.billed)
    };
    (1u32..).zip(bills).map(make).collect()
}

fn rounded(amount: i64, bps: i64) -> i64 {
    // floor(x + 1/2) of amount × bps ÷ 10,000, written another way than in the kernel.
    (amount * bps + 5_000).div_euclid(10_000)
}

/// What each line comes to, by the letter of R1 and R2.
fn by_hand(rules: &Rules, bills: &[Bill], claim_other: i64) -> Vec<Breakdown> {
    let n = bills.len();
    let mut left: Vec<i64> = bills.iter().map(|bill| bill.billed).collect();
    let mut out: Vec<Breakdown> =
        bills.iter().map(|b| Breakdown { claimed: b.billed, ..Breakdown::default() }).collect();
    for i in 0..n {
        out[i].writeoff = bills[i].agreed.map_or(0, |agreed| (left[i] - agreed).max(0));
        left[i] -= out[i].writeoff;
        out[i].noncovered = bills[i].non_payable.min(left[i]);
        left[i] -= out[i].noncovered;
    }
    let mut sub = rules.sub_limit;
    if rules.basis == Basis::Allowed {
        for i in 0..n {
            let allowed = left[i].min(sub);
            sub -= allowed;
            out[i].sublimit_cut = left[i] - allowed;
            left[i] = allowed;
        }
    }
    for i in 0..n {
        out[i].allowed = left[i];
        out[i].other_payer = bills[i].other.min(left[i]);
        left[i] -= out[i].other_payer;
    }
    for (i, part) in spread(claim_other, &left).into_iter().enumerate() {
        out[i].other_payer += part;
        left[i] -= part;
    }
    let mut deductible = rules.deductible;
    if rules.any_payer {
        deductible = (deductible - out.iter().map(|line| line.other_payer).sum::<i64>()).max(0);
    }
    let mut own = Vec::new();
    for i in 0..n {
        out[i].deductible = left[i].min(deductible);
        deductible -= out[i].deductible;
        left[i] -= out[i].deductible;
        own.push(rounded(left[i], rules.copay_bps));
    }
    let mut maximum = rules.maximum;
    for i in 0..n {
        let stays = out[i].deductible.min(maximum);
        left[i] += out[i].deductible - stays;
        out[i].deductible = stays;
        maximum -= stays;
    }
    for i in 0..n {
        out[i].copay = own[i].min(maximum);
        maximum -= out[i].copay;
        left[i] -= out[i].copay;
    }
    for i in 0..n {
        if rules.basis == Basis::AfterDeductible {
            let basis = left[i] + out[i].copay;
            let through = basis.min(sub);
            sub -= through;
            if through < basis {
                out[i].copay = out[i].copay.min(rounded(through, rules.copay_bps));
                out[i].sublimit_cut = basis - through;
                left[i] = through - out[i].copay;
            }
        }
        if rules.basis == Basis::PlanPaid {
            let through = left[i].min(sub);
            sub -= through;
            out[i].sublimit_cut = left[i] - through;
            left[i] = through;
        }
    }
    let mut pool = rules.pool;
    for i in 0..n {
        out[i].payable = left[i].min(pool);
        pool -= out[i].payable;
        out[i].exceeded = left[i] - out[i].payable;
    }
    out
}

/// Largest remainder by giving one unit at a time to whoever is furthest behind.
fn spread(total: i64, weights: &[i64]) -> Vec<i64> {
    let sum: i64 = weights.iter().sum();
    let total = total.min(sum);
    let mut parts: Vec<i64> = weights.iter().map(|w| if sum == 0 { 0 } else { total * w / sum }).collect();
    let behind = |parts: &[i64], i: usize| total * weights[i] - parts[i] * sum;
    while parts.iter().sum::<i64>() < total {
        let most = (0..weights.len()).rev().max_by_key(|i| behind(&parts, *i)).unwrap();
        parts[most] += 1;
    }
    parts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_engine_and_a_simple_model_agree_line_by_line(rules in rules(), bills in bills(), other in 0i64..3_000) {
        let mut world = rules.world();
        let cover = world.cover(world.member(crate::domain::plan::Relation::Holder, None));
        let mut event = world.event(EventKind::Outpatient, super::world::day("2026-03-10"));
        event.other_payer_minor = other;
        let priced = world.price(&cover, &event, &lines(&bills)).unwrap();
        let found: Vec<Breakdown> = priced.lines.iter().map(|line| line.breakdown).collect();
        prop_assert_eq!(found, by_hand(&rules, &bills, other));
    }
}
