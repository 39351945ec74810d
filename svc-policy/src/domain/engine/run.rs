//! One run of the engine: the lines on their way through the steps, and the book they draw on.

use super::book::{Book, Drawer, Slot};
use super::opening;
use super::priced::{Breakdown, Cut, Part, Reason};
use super::request::{Cover, Event, Line};
use super::steps;
use super::waiting;
use crate::domain::account::Snapshot;
use crate::domain::plan::{
    Basis, Circumstance, Copay, Expansion, FixedBenefit, Network, PlanVersion, Step, Waiting,
};
use caremesh_kernel::{AccountId, Date};

/// What a deductible rule took of one line.
pub(super) struct DeductibleTake {
    pub(super) slots: Vec<Slot>,
    /// Another payer's money that satisfies it (ANY_PAYER).
    pub(super) by_other_payer: i64,
    /// The member's money.
    pub(super) by_member: i64,
}

/// What a sub-limit let through of one line, in its own basis.
pub(super) struct SubLimitUse {
    pub(super) slot: Slot,
    pub(super) basis: Basis,
    pub(super) amount: i64,
}

/// What a group of pools pays of one line, layer by layer.
pub(super) struct PoolUse {
    pub(super) slots: Vec<Slot>,
    pub(super) amount: i64,
}

/// A line on its way through the steps.
pub(super) struct LineRun<'a> {
    pub(super) line: &'a Line,
    pub(super) date: Date,
    /// What the plan would still pay.
    pub(super) amount: i64,
    pub(super) parts: Breakdown,
    pub(super) cuts: Vec<Cut>,
    pub(super) expansion: Option<&'a Expansion>,
    pub(super) fixed: Option<&'a FixedBenefit>,
    /// Waiting rules the line is subject to, served or not.
    pub(super) waits: Vec<&'a Waiting>,
    pub(super) sublimits: Vec<SubLimitUse>,
    pub(super) deductibles: Vec<DeductibleTake>,
    pub(super) copay: Option<&'a Copay>,
    pub(super) copay_slot: Option<Slot>,
    /// Accounts of out-of-pocket maxima that its cost share fills.
    pub(super) out_of_pocket: Vec<Slot>,
    pub(super) pools: Vec<PoolUse>,
    /// Times and days it uses up.
    pub(super) counts: Vec<(Slot, i64)>,
}

/// Which rule makes a cut, and why.
pub(super) struct Why<'r> {
    pub(super) step: Step,
    pub(super) rule: &'r str,
    pub(super) reason: Reason,
    pub(super) account: Option<AccountId>,
}

impl LineRun<'_> {
    /// Whether the sums of lines bind this one: a fixed benefit stands beside the actual cost.
    pub(super) fn is_indemnity(&self) -> bool {
        self.fixed.is_none()
    }

    /// Moves an amount from what the plan pays to a part; a negative amount moves back. Nothing is recorded for 0.
    pub(super) fn cut(&mut self, part: Part, amount: i64, why: &Why<'_>) {
        if amount == 0 {
            return;
        }
        let before = self.amount;
        self.amount -= amount;
        *self.parts.part_mut(part) += amount;
        self.cuts.push(Cut {
            step: why.step,
            rule: why.rule.to_owned(),
            reason: why.reason,
            part,
            before_minor: before,
            after_minor: self.amount,
            account: why.account,
        });
    }

    pub(super) fn drawer(&self) -> Drawer<'_> {
        Drawer { date: self.date, waits: &self.waits }
    }
}

/// Everything of one price.
pub(super) struct Run<'a> {
    pub(super) plan: &'a PlanVersion,
    pub(super) cover: &'a Cover,
    pub(super) event: &'a Event,
    pub(super) lines: Vec<LineRun<'a>>,
    pub(super) book: Book<'a>,
}

impl<'a> Run<'a> {
    /// The lines in ascending sequence (R1), nothing cut yet.
    pub(super) fn new(
        plan: &'a PlanVersion,
        cover: &'a Cover,
        event: &'a Event,
        lines: &'a [Line],
        snapshot: Option<&'a Snapshot>,
    ) -> Self {
        let book = Book::new(plan, cover, event, snapshot);
        let mut run = Self { plan, cover, event, lines: Vec::with_capacity(lines.len()), book };
        let mut ordered: Vec<&Line> = lines.iter().collect();
        ordered.sort_by_key(|line| line.sequence);
        for line in ordered {
            let start = run.start(line);
            run.lines.push(start);
        }
        run
    }

    fn start(&self, line: &'a Line) -> LineRun<'a> {
        let date = opening::spend_date(self.plan, self.cover, self.event, line);
        let circumstance = self.circumstance(line, date);
        let applies =
            |rule: &&'a Waiting| waiting::applies(rule, &circumstance, self.event, &self.cover.member);
        let fixed = self.plan.fixed_benefit(&line.benefit);
        let claimed = fixed.map_or(line.billed_minor, |benefit| steps::fixed::claimed(benefit, line));
        LineRun {
            line,
            date,
            amount: claimed,
            parts: Breakdown { claimed, ..Breakdown::default() },
            cuts: Vec::new(),
            expansion: self.plan.expansions.iter().find(|expansion| expansion.when.applies(&circumstance)),
            fixed,
            waits: self.plan.waiting.iter().filter(applies).collect(),
            sublimits: Vec::new(),
            deductibles: Vec::new(),
            copay: None,
            copay_slot: None,
            out_of_pocket: Vec::new(),
            pools: Vec::new(),
            counts: Vec::new(),
        }
    }

    /// What conditions of rules are asked about for a line.
    pub(super) fn circumstance(&self, line: &'a Line, date: Date) -> Circumstance<'a> {
        circumstance(self.cover, self.event, line, date)
    }

    /// Runs the steps in the order of the plan version.
    pub(super) fn steps(&mut self) {
        for step in &self.plan.steps {
            steps::run(*step, self);
        }
    }
}

/// What conditions of rules are asked about for a line.
pub(in crate::domain) fn circumstance<'a>(
    cover: &'a Cover,
    event: &'a Event,
    line: &'a Line,
    date: Date,
) -> Circumstance<'a> {
    Circumstance {
        event: event.kind,
        benefit: &line.benefit,
        kind: line.kind,
        conditions: &event.conditions,
        code: line.code.as_deref(),
        relation: cover.member.relation,
        birth: cover.member.birth,
        date,
        network: if event.in_network { Network::In } else { Network::Out },
        zone: event.zone.as_deref(),
        accident: event.accident,
        emergency: event.emergency,
    }
}
