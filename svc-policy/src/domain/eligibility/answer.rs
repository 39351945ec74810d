//! The answer before care is given. It asks the engine's own steps about a line of one minor unit, so that eligibility
//! and price can never disagree about waiting, exclusions or room.

use caremesh_kernel::{AccountId, Date, EventId, Uuid};

use crate::domain::account::Snapshot;
use crate::domain::engine::{
    AccountNeed, Cover, Event, Line, PriceError, Reason, accounts_needed, circumstance, room_for,
    waiting_applies, waiting_ends_on,
};
use crate::domain::plan::{EventKind, Expansion, LineKind, PlanVersion, When};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The day of care, in the policy's zone.
    pub date: Date,
    /// Benefit codes; none: is there cover at all.
    pub benefits: Vec<String>,
    /// ICD-10 codes of what the member has, as far as known.
    pub conditions: Vec<String>,
    /// Whether it was an accident.
    pub accident: bool,
}

/// One reason against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ineligible {
    /// No policy covers the member.
    NoCover,
    /// Cover starts later.
    CoverNotStarted {
        /// First day of cover.
        starts: Date,
    },
    /// Cover has ended.
    CoverEnded {
        /// First day without cover.
        ended: Date,
    },
    /// The policy is not in force: unpaid, lapsed, suspended, cancelled.
    NotInForce,
    /// A waiting period has not passed.
    WaitingPeriod {
        /// The benefit.
        benefit: String,
        /// The plan's rule.
        rule: String,
        /// First day on which it has passed.
        until: Date,
    },
    /// The plan never covers it.
    Excluded {
        /// The benefit.
        benefit: String,
        /// The plan's rule.
        rule: String,
    },
    /// The plan has no such benefit.
    BenefitNotInPlan {
        /// The benefit.
        benefit: String,
    },
    /// The plan has the benefit, but not for this member's relation or age.
    NotForMember {
        /// The benefit.
        benefit: String,
    },
    /// Nothing is left.
    Exhausted {
        /// The benefit.
        benefit: String,
        /// The plan's rule.
        rule: String,
        /// The account that is full, where one is.
        account: Option<AccountId>,
    },
}

/// The answer for all that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// No reason against it.
    pub eligible: bool,
    /// Every reason against it.
    pub reasons: Vec<Ineligible>,
}

/// The accounts that the answer rests on: those the asked benefits draw on, or every account where none is asked.
///
/// # Errors
/// As [`accounts_needed`], but a day without cover needs no account.
pub fn accounts_asked(
    plan: &PlanVersion,
    cover: &Cover,
    question: &Question,
) -> Result<Vec<AccountNeed>, PriceError> {
    let benefits = if question.benefits.is_empty() { every_benefit(plan) } else { question.benefits.clone() };
    let mut needs: Vec<AccountNeed> = Vec::new();
    for benefit in &benefits {
        let Some((event, line)) = example(plan, question, benefit) else { continue };
        match accounts_needed(plan, cover, &event, std::slice::from_ref(&line)) {
            Ok(found) => needs.extend(found),
            Err(PriceError::NoCover { .. }) => return Ok(Vec::new()),
            Err(other) => return Err(other),
        }
    }
    needs.sort_by_cached_key(|need| need.opening.id());
    needs.dedup_by(|later, kept| later.opening.key == kept.opening.key);
    Ok(needs)
}

fn every_benefit(plan: &PlanVersion) -> Vec<String> {
    let mut benefits: Vec<String> =
        plan.expansions.iter().flat_map(|rule| rule.when.benefits.clone()).collect();
    benefits.sort_unstable();
    benefits.dedup();
    benefits
}

/// Whether the member is covered, and every reason why not. `cover` is the cover that is nearest to the day, if any;
/// `in_force` whether the policy's state lets it be used on that day.
#[must_use]
pub fn answer(
    plan: &PlanVersion,
    cover: Option<&Cover>,
    in_force: bool,
    question: &Question,
    snapshot: &Snapshot,
) -> Answer {
    let mut reasons = Vec::new();
    match cover {
        None => reasons.push(Ineligible::NoCover),
        Some(cover) => {
            reasons.extend(cover_reason(cover, question.date));
            if !in_force {
                reasons.push(Ineligible::NotInForce);
            }
            if reasons.is_empty() {
                reasons = question
                    .benefits
                    .iter()
                    .flat_map(|b| against(plan, cover, question, b, snapshot))
                    .collect();
            }
        }
    }
    Answer { eligible: reasons.is_empty(), reasons }
}

fn cover_reason(cover: &Cover, date: Date) -> Option<Ineligible> {
    let days = cover.segment.intersect(cover.member.covered)?;
    if date < days.start() {
        return Some(Ineligible::CoverNotStarted { starts: days.start() });
    }
    (date >= days.end()).then_some(Ineligible::CoverEnded { ended: days.end() })
}

/// An event and a line as the plan means them by this benefit: as its list of benefits says, or else as the expansion
/// that takes the benefit does.
fn example(plan: &PlanVersion, question: &Question, benefit: &str) -> Option<(Event, Line)> {
    let means = |rule: &&Expansion| rule.when.benefits.iter().any(|known| known == benefit);
    let rule = plan
        .expansions
        .iter()
        .find(means)
        .or_else(|| plan.expansions.iter().find(|r| r.when.benefits.is_empty()))?;
    let listed = plan.benefit(benefit);
    let event = Event {
        // No event has this id, so that it was never counted before.
        id: EventId::from_uuid(Uuid::nil()),
        kind: listed
            .map(|benefit| benefit.event)
            .or(first(&rule.when.events))
            .unwrap_or(EventKind::Outpatient),
        date: question.date,
        discharge: None,
        emergency: rule.when.emergency.unwrap_or(false),
        accident: question.accident,
        conditions: question.conditions.clone(),
        cause: None,
        in_network: rule.when.network != Some(crate::domain::plan::Network::Out),
        differential_billing: false,
        zone: rule.when.zones.first().cloned(),
        claim: None,
        other_payer_minor: 0,
    };
    let line = Line {
        sequence: 1,
        benefit: benefit.to_owned(),
        kind: listed.map(|benefit| benefit.kind).or(first(&rule.when.kinds)).unwrap_or(LineKind::Other),
        billed_minor: 1,
        agreed_minor: None,
        count: None,
        days: None,
        date: None,
        room_category: None,
        non_payable_minor: 0,
        other_payer_minor: 0,
        procedure: None,
        code: rule.when.codes.first().cloned(),
        capitated: false,
    };
    Some((event, line))
}

fn first<T: Copy>(choices: &[T]) -> Option<T> {
    choices.first().copied()
}

fn against(
    plan: &PlanVersion,
    cover: &Cover,
    question: &Question,
    benefit: &str,
    snapshot: &Snapshot,
) -> Vec<Ineligible> {
    let not_in_plan = vec![Ineligible::BenefitNotInPlan { benefit: benefit.to_owned() }];
    let Some((event, line)) = example(plan, question, benefit) else { return not_in_plan };
    let asked = circumstance(cover, &event, &line, question.date);
    if !plan.expansions.iter().any(|rule| rule.when.applies(&asked)) {
        let for_others = |rule: &Expansion| anyone(&rule.when).applies(&asked);
        let exists = plan.expansions.iter().any(for_others);
        return if exists {
            vec![Ineligible::NotForMember { benefit: benefit.to_owned() }]
        } else {
            not_in_plan
        };
    }
    let mut reasons = Vec::new();
    for rule in plan.exclusions.iter().filter(|rule| rule.when.applies(&asked)) {
        reasons.push(Ineligible::Excluded { benefit: benefit.to_owned(), rule: rule.id.clone() });
    }
    let member = &cover.member;
    if member.excluded.iter().any(|one| one.applies(&question.conditions, question.date)) {
        let rule = "UNDERWRITING".to_owned();
        reasons.push(Ineligible::Excluded { benefit: benefit.to_owned(), rule });
    }
    let clock = cover.first_clock_of_member();
    for rule in plan.waiting.iter().filter(|rule| waiting_applies(rule, &asked, &event, member)) {
        let until = waiting_ends_on(rule, clock);
        if until > question.date {
            reasons.push(Ineligible::WaitingPeriod {
                benefit: benefit.to_owned(),
                rule: rule.id.clone(),
                until,
            });
        }
    }
    for cut in room_for(plan, cover, &event, &line, snapshot) {
        if matches!(
            cut.reason,
            Reason::BenefitExhausted | Reason::SublimitReached | Reason::TimesUsedUp | Reason::DaysUsedUp
        ) {
            reasons.push(Ineligible::Exhausted {
                benefit: benefit.to_owned(),
                rule: cut.rule,
                account: cut.account,
            });
        }
    }
    reasons
}

/// The same condition without what it asks of the member.
fn anyone(when: &When) -> When {
    When { relations: Vec::new(), min_age: None, max_age: None, ..when.clone() }
}
