//! A family with a plan and a ledger in memory: prices on what was posted, and posts without any of the ledger's guards.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use caremesh_kernel::{AccountId, Currency, Date, DateRange, EventId, MemberId, PolicyId, TermId, Uuid};

use crate::domain::account::{Account, CauseId, LayerKind, PriorDraw, Snapshot};
use crate::domain::engine::{
    Cover, CoverLayer, CoveredMember, Event, Line, PriceError, Priced, accounts_needed, price,
};
use crate::domain::plan::{EventKind, LineKind, PlanVersion, Relation};

pub(super) fn day(text: &str) -> Date {
    text.parse().unwrap()
}

/// A layer of the sum insured in a case.
#[derive(Debug, Clone)]
pub(super) struct Granted {
    pub(super) kind: LayerKind,
    pub(super) amount_minor: i64,
    pub(super) from: Option<Date>,
    pub(super) waiting_from: Option<Date>,
}

pub(super) struct World {
    pub(super) plan: PlanVersion,
    pub(super) term: DateRange,
    pub(super) since: Date,
    pub(super) layers: Vec<Granted>,
    pub(super) accounts: BTreeMap<AccountId, Account>,
    pub(super) draws: Vec<PriorDraw>,
    next_event: u128,
}

impl World {
    pub(super) fn new(plan: PlanVersion, layers: Vec<Granted>, term_start: Date, since: Date) -> Self {
        let term = plan.term_from(term_start);
        Self { plan, term, since, layers, accounts: BTreeMap::new(), draws: Vec::new(), next_event: 100 }
    }

    /// A world with one base layer and cover since long ago.
    pub(super) fn simple(plan: PlanVersion, sum_insured_minor: i64) -> Self {
        let base = Granted {
            kind: LayerKind::Base,
            amount_minor: sum_insured_minor,
            from: None,
            waiting_from: None,
        };
        Self::new(plan, vec![base], day("2026-01-01"), day("2020-01-01"))
    }

    pub(super) fn currency(&self) -> Currency {
        self.plan.currency
    }

    /// A member of the family: one of each relation, ages typical for it.
    pub(super) fn member(&self, relation: Relation, since: Option<Date>) -> CoveredMember {
        let birth = match relation {
            Relation::Child | Relation::Grandchild => "2014-07-21",
            Relation::Parent | Relation::ParentInLaw | Relation::Grandparent => "1955-01-30",
            _ => "1986-03-14",
        };
        CoveredMember {
            id: MemberId::from_uuid(Uuid::from_u128(10 + relation as u128)),
            relation,
            birth: day(birth),
            covered: DateRange::new(since.unwrap_or(self.since), self.term.end()).unwrap(),
            continuous_since: since.unwrap_or(self.since),
            pre_existing: Vec::new(),
            layers: Vec::new(),
            excluded: Vec::new(),
            waiting_waived: false,
        }
    }

    pub(super) fn cover(&self, member: CoveredMember) -> Cover {
        let mut ordinals: BTreeMap<LayerKind, u16> = BTreeMap::new();
        let layers = self.layers.iter().map(|layer| {
            let ordinal = ordinals.entry(layer.kind).or_insert(0);
            *ordinal += 1;
            CoverLayer {
                kind: layer.kind,
                ordinal: *ordinal - 1,
                amount_minor: layer.amount_minor,
                valid: DateRange::new(layer.from.unwrap_or(self.term.start()), self.term.end()).unwrap(),
                waiting_from: layer.waiting_from.unwrap_or(self.since),
            }
        });
        Cover {
            policy: PolicyId::from_uuid(Uuid::from_u128(1)),
            term: TermId::from_uuid(Uuid::from_u128(2)),
            first_term: TermId::from_uuid(Uuid::from_u128(2)),
            term_range: self.term,
            segment: self.term,
            currency: self.currency(),
            continuous_since: self.since,
            layers: layers.collect(),
            member,
        }
    }

    pub(super) fn event(&mut self, kind: EventKind, date: Date) -> Event {
        self.next_event += 1;
        Event {
            id: EventId::from_uuid(Uuid::from_u128(self.next_event)),
            kind,
            date,
            discharge: None,
            emergency: false,
            accident: false,
            conditions: Vec::new(),
            cause: None,
            in_network: true,
            differential_billing: true,
            zone: None,
            claim: None,
            other_payer_minor: 0,
        }
    }

    /// What the store would read for an event.
    pub(super) fn snapshot(
        &self,
        cover: &Cover,
        event: &Event,
        lines: &[Line],
    ) -> Result<Snapshot, PriceError> {
        let needs = accounts_needed(&self.plan, cover, event, lines)?;
        let asked: Vec<AccountId> =
            needs.iter().filter(|need| need.draws).map(|need| need.opening.id()).collect();
        let known = |opening: Account| self.accounts.get(&opening.id()).cloned().unwrap_or(opening);
        Ok(Snapshot {
            plan_version: self.plan.id(),
            accounts: needs.into_iter().map(|need| known(need.opening)).collect(),
            draws: self.draws.iter().filter(|draw| asked.contains(&draw.account)).cloned().collect(),
        })
    }

    pub(super) fn price(&self, cover: &Cover, event: &Event, lines: &[Line]) -> Result<Priced, PriceError> {
        price(&self.plan, cover, event, lines, &self.snapshot(cover, event, lines)?)
    }

    /// Captures a price; panics where a layer would be overdrawn (INV-P1).
    pub(super) fn post(&mut self, cover: &Cover, event: &Event, lines: &[Line], priced: &Priced) {
        let snapshot = self.snapshot(cover, event, lines).unwrap();
        for account in snapshot.accounts {
            self.accounts.entry(account.id()).or_insert(account);
        }
        for grant in &priced.grants {
            let account = self.accounts.get_mut(&grant.layer.account).unwrap();
            account.layers.push(crate::domain::account::Layer::fresh(
                grant.layer,
                grant.amount,
                grant.valid,
                grant.waiting_from,
                grant.draw_order,
            ));
            account.sort_layers();
        }
        for leg in &priced.legs {
            self.draw(cover, event, leg);
        }
    }

    fn draw(&mut self, cover: &Cover, event: &Event, leg: &crate::domain::account::Leg) {
        let account =
            self.accounts.get_mut(&leg.account.id()).expect("a leg is on an account that was needed");
        account.version += 1;
        let layer =
            account.layers.iter_mut().find(|layer| layer.key == leg.layer).expect("a leg names a layer");
        layer.used += leg.amount;
        assert!(leg.amount > 0 && layer.used <= layer.granted, "layer overdrawn by {leg:?}");
        self.draws.push(PriorDraw {
            account: leg.layer.account,
            layer_kind: leg.layer.kind,
            event: event.id,
            member: cover.member.id,
            cause: event.cause.clone(),
        });
    }

    /// What is used of all accounts with this code.
    pub(super) fn used(&self, code: &str) -> i64 {
        let of_code = self.accounts.values().filter(|account| account.key.code == code);
        of_code.flat_map(|account| &account.layers).map(|layer| layer.used).sum()
    }
}

pub(super) fn line(sequence: u32, benefit: &str, kind: LineKind, billed_minor: i64) -> Line {
    Line {
        sequence,
        benefit: benefit.to_owned(),
        kind,
        billed_minor,
        agreed_minor: None,
        count: None,
        days: None,
        date: None,
        room_category: None,
        non_payable_minor: 0,
        other_payer_minor: 0,
        procedure: None,
        code: None,
        capitated: false,
    }
}

pub(super) fn cause(text: &str) -> CauseId {
    CauseId(text.to_owned())
}

/// The plan files without changes that properties use over and over, read once.
pub(super) static PLAIN: LazyLock<PlanVersion> = LazyLock::new(|| plan("plain", None));
pub(super) static FLOATER: LazyLock<PlanVersion> = LazyLock::new(|| plan("in-family-floater", None));

/// A plan file of the test data or of the product, with some of its fields replaced.
pub(super) fn plan(name: &str, change: Option<&toml::Table>) -> PlanVersion {
    let root = env!("CARGO_MANIFEST_DIR");
    let text = std::fs::read_to_string(format!("{root}/tests/cases/plans/{name}.toml"))
        .or_else(|_| std::fs::read_to_string(format!("{root}/plans/{name}.toml")))
        .unwrap_or_else(|error| panic!("plan {name}: {error}"));
    let mut table: toml::Table = text.parse().unwrap();
    table.extend(change.cloned().unwrap_or_default());
    let text = toml::to_string(&table).unwrap();
    PlanVersion::from_toml(name, &text).unwrap_or_else(|error| panic!("{error}"))
}
