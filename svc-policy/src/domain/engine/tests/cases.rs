//! Runs the hand-computed cases of `tests/cases/*.toml`. Each carries its working; this file only compares.

use std::collections::BTreeMap;

use caremesh_kernel::Date;
use serde::Deserialize;

use super::world::{Granted, World, cause, day, line, plan};
use crate::domain::account::LayerKind;
use crate::domain::engine::{Breakdown, Event, Line, Priced};
use crate::domain::plan::{EventKind, LineKind, Relation};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// How the expected amounts come about, by hand.
    working: String,
    plan: String,
    /// Fields of the plan that the case replaces.
    change: Option<toml::Table>,
    #[serde(default = "a_million")]
    sum_insured: i64,
    layers: Option<Vec<CaseLayer>>,
    since: Option<Date>,
    claim: Vec<Claim>,
}

fn a_million() -> i64 {
    1_000_000_00
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseLayer {
    kind: LayerKind,
    amount: i64,
    from: Option<Date>,
    waiting_from: Option<Date>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    #[serde(default = "the_holder")]
    member: Relation,
    member_since: Option<Date>,
    #[serde(default)]
    waiting_waived: bool,
    #[serde(default)]
    pre_existing: Vec<String>,
    #[serde(default = "a_stay")]
    event: EventKind,
    #[serde(default = "a_day_in_march")]
    date: String,
    discharge: Option<Date>,
    cause: Option<String>,
    /// Same name, same event.
    same_event: Option<String>,
    #[serde(default)]
    conditions: Vec<String>,
    #[serde(default)]
    accident: bool,
    #[serde(default)]
    emergency: bool,
    #[serde(default)]
    out_of_network: bool,
    #[serde(default)]
    uniform_billing: bool,
    zone: Option<String>,
    #[serde(default)]
    other_payer: i64,
    lines: Vec<CaseLine>,
    /// Per line; what is not given is 0, `claimed` is what was billed.
    gives: Vec<Parts>,
    /// All legs, summed by account and layer kind, if given.
    legs: Option<BTreeMap<String, i64>>,
    /// Grants by rule, if given.
    grants: Option<BTreeMap<String, i64>>,
}

fn the_holder() -> Relation {
    Relation::Holder
}
fn a_stay() -> EventKind {
    EventKind::Admission
}
fn a_day_in_march() -> String {
    "2026-03-10".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseLine {
    #[serde(default = "in_hospital")]
    benefit: String,
    #[serde(default = "a_package")]
    kind: LineKind,
    #[serde(default)]
    billed: i64,
    agreed: Option<i64>,
    count: Option<i64>,
    days: Option<i64>,
    date: Option<Date>,
    room_category: Option<String>,
    #[serde(default)]
    non_payable: i64,
    #[serde(default)]
    other_payer: i64,
    procedure: Option<String>,
    #[serde(default)]
    capitated: bool,
}

fn in_hospital() -> String {
    "PACKAGE".to_owned()
}
fn a_package() -> LineKind {
    LineKind::Package
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Parts {
    claimed: Option<i64>,
    writeoff: i64,
    noncovered: i64,
    room_cut: i64,
    sublimit_cut: i64,
    other_payer: i64,
    deductible: i64,
    copay: i64,
    exceeded: i64,
    payable: i64,
    allowed: Option<i64>,
    /// The reasons of the line's cuts, in order, if given.
    reasons: Option<Vec<String>>,
}

impl CaseLine {
    fn line(&self, sequence: u32) -> Line {
        Line {
            agreed_minor: self.agreed,
            count: self.count,
            days: self.days,
            date: self.date,
            room_category: self.room_category.clone(),
            non_payable_minor: self.non_payable,
            other_payer_minor: self.other_payer,
            procedure: self.procedure.clone(),
            capitated: self.capitated,
            ..line(sequence, &self.benefit, self.kind, self.billed)
        }
    }
}

impl Case {
    fn world(&self) -> World {
        let plan = plan(&self.plan, self.change.as_ref());
        let since = self.since.unwrap_or(day("2020-01-01"));
        let base = vec![CaseLayer {
            kind: LayerKind::Base,
            amount: self.sum_insured,
            from: None,
            waiting_from: None,
        }];
        let granted = |layer: &CaseLayer| Granted {
            kind: layer.kind,
            amount_minor: layer.amount,
            from: layer.from,
            waiting_from: layer.waiting_from,
        };
        let layers = self.layers.as_ref().unwrap_or(&base).iter().map(granted).collect();
        World::new(plan, layers, day("2026-01-01"), since)
    }

    fn run(&self, file: &str) {
        assert!(self.working.len() > 20, "{file}: {}: the working is missing", self.name);
        let mut world = self.world();
        let mut events: BTreeMap<&str, Event> = BTreeMap::new();
        for (number, claim) in self.claim.iter().enumerate() {
            let place = format!("{file}: {}, claim {}", self.name, number + 1);
            let mut event = claim.event(&mut world);
            if let Some(name) = &claim.same_event {
                let id = events.entry(name).or_insert_with(|| event.clone()).id;
                event.id = id;
            }
            let mut member = world.member(claim.member, claim.member_since);
            member.pre_existing.clone_from(&claim.pre_existing);
            member.waiting_waived = claim.waiting_waived;
            let cover = world.cover(member);
            let lines: Vec<Line> =
                (1u32..).zip(&claim.lines).map(|(sequence, line)| line.line(sequence)).collect();
            let priced =
                world.price(&cover, &event, &lines).unwrap_or_else(|error| panic!("{place}: {error}"));
            claim.compare(&place, &priced);
            world.post(&cover, &event, &lines, &priced);
        }
    }
}

impl Claim {
    fn event(&self, world: &mut World) -> Event {
        Event {
            discharge: self.discharge,
            cause: self.cause.as_deref().map(cause),
            conditions: self.conditions.clone(),
            accident: self.accident,
            emergency: self.emergency,
            in_network: !self.out_of_network,
            differential_billing: !self.uniform_billing,
            zone: self.zone.clone(),
            other_payer_minor: self.other_payer,
            ..world.event(self.event, day(&self.date))
        }
    }

    fn compare(&self, place: &str, priced: &Priced) {
        assert_eq!(priced.lines.len(), self.gives.len(), "{place}: number of lines");
        for ((price, expected), line) in priced.lines.iter().zip(&self.gives).zip(&self.lines) {
            let at = format!("{place}, line {}", price.sequence);
            assert!(price.breakdown.adds_up(), "{at}: {:?}", price.breakdown);
            let wanted = expected.breakdown(line.billed, price.breakdown.allowed);
            assert_eq!(price.breakdown, wanted, "{at}: found on the left, by hand on the right");
            if let Some(reasons) = &expected.reasons {
                let found: Vec<_> = price.cuts.iter().map(|cut| cut.reason.name()).collect();
                assert_eq!(&found, reasons, "{at}: reasons");
            }
        }
        if let Some(legs) = &self.legs {
            assert_eq!(&sums_of_legs(priced), legs, "{place}: legs");
        }
        if let Some(grants) = &self.grants {
            let found: BTreeMap<String, i64> =
                priced.grants.iter().map(|g| (g.rule.clone(), g.amount)).collect();
            assert_eq!(&found, grants, "{place}: grants");
        }
    }
}

fn sums_of_legs(priced: &Priced) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for leg in &priced.legs {
        *sums.entry(format!("{}/{}", leg.account.code, leg.layer.kind.name())).or_insert(0) += leg.amount;
    }
    sums
}

impl Parts {
    fn breakdown(&self, billed: i64, allowed: i64) -> Breakdown {
        Breakdown {
            claimed: self.claimed.unwrap_or(billed),
            writeoff: self.writeoff,
            noncovered: self.noncovered,
            room_cut: self.room_cut,
            sublimit_cut: self.sublimit_cut,
            other_payer: self.other_payer,
            deductible: self.deductible,
            copay: self.copay,
            exceeded: self.exceeded,
            payable: self.payable,
            allowed: self.allowed.unwrap_or(allowed),
        }
    }
}

fn read_file(name: &str) -> Vec<Case> {
    let path = format!("{}/tests/cases/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let file: File =
        toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
    file.case
}

/// In which currency a case is, without running it.
fn currency(case: &Case) -> String {
    let changed = case.change.as_ref().and_then(|change| change.get("currency")?.as_str());
    let of_plan = if case.plan.starts_with("in-") { "INR" } else { "NGN" };
    changed.unwrap_or(of_plan).to_owned()
}

macro_rules! files {
    ($($file:ident)*) => {
        $(
            #[test]
            fn $file() {
                read_file(stringify!($file)).iter().for_each(|case| case.run(stringify!($file)));
            }
        )*

        #[test]
        fn at_least_forty_cases_are_worked_by_hand_half_of_them_in_each_currency() {
            let cases = [$(read_file(stringify!($file))),*];
            let currencies: Vec<String> = cases.iter().flatten().map(currency).collect();
            let naira = currencies.iter().filter(|code| *code == "NGN").count();
            let rupees = currencies.iter().filter(|code| *code == "INR").count();
            assert!(naira >= 20 && rupees >= 20, "{naira} in NGN, {rupees} in INR");
        }
    };
}

files! {
    room_rent
    deductible_and_out_of_pocket
    layers_and_restoration
    sub_limits
    other_payer
    caps_and_counts
    order_of_steps
    fixed_benefits
    not_covered
}
