//! Prices and postings of an order in svc-policy's words, and back. Accounts, layers and snapshots are kept as they came:
//! no plan rule is copied here.

use caremesh_kernel::{Date, EpisodeId, EventId, MemberId, Money, OrderId, Timestamp, Uuid};
use caremesh_mesh::CallContext;
use caremesh_mesh::client::request;
use caremesh_mesh::status::Answer;
use caremesh_mesh::wire::ToWire as _;
use caremesh_proto::policy::v1::{
    BenefitSnapshot, EventKind, ExpectedVersion, InsuredEvent, InsuredEventRef, LayerGrant, Leg as WireLeg,
    LineKind, LinePrice, ListPostingsRequest, Measure, PostRequest, PostResponse, PostedInstruction, Posting,
    PostingInstruction, PostingKind, PostingSource, Price, PriceLine, PriceRequest, Provider,
};
use prost::Message;

use super::{CallError, PolicyClient};
use crate::domain::order::{Leg, Priced, PricedLine, Shares, Why};

/// The benefit code of medicines in every plan.
const BENEFIT: &str = "PHARMACY";
/// This service, as the ledger knows it.
const SERVICE: &str = "svc-pharmacy";

/// Whose order it is, when.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The order.
    pub order: OrderId,
    /// The insured event.
    pub event: EventId,
    /// The member.
    pub member: MemberId,
    /// The day of the order.
    pub date: Date,
    /// The care episode.
    pub episode: Option<EpisodeId>,
}

/// A line to be priced.
#[derive(Clone, Copy, Debug)]
pub struct Billed {
    /// Its number.
    pub sequence: u32,
    /// The list price.
    pub list: Money,
}

/// What is to be posted.
#[derive(Clone, Debug)]
pub enum Movement {
    /// Reserves what was priced until an instant.
    Hold {
        /// What.
        legs: Vec<Leg>,
        /// Layers to be granted with it, encoded.
        grants: Vec<String>,
        /// Which part, from 0.
        part: i32,
        /// The first instant at which it no longer holds.
        until: Timestamp,
    },
    /// Uses a part of a hold.
    Capture {
        /// The hold.
        hold: String,
        /// What of it.
        legs: Vec<Leg>,
        /// Which part, from 0.
        part: i32,
        /// Releases the rest.
        last: bool,
    },
    /// Uses without a hold.
    Direct {
        /// What.
        legs: Vec<Leg>,
        /// Which part.
        part: i32,
    },
    /// Gives back what is still held.
    Release {
        /// The hold.
        hold: String,
    },
    /// Gives back what was captured.
    Reverse {
        /// The posting.
        posting: String,
        /// What of it.
        legs: Vec<Leg>,
        /// Which part.
        part: i32,
        /// Nothing of the event happened: counts come back too.
        nothing_happened: bool,
    },
}

impl PolicyClient {
    /// What the plan pays for lines: on the present balances, or on those of an earlier price.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn price_order(
        &self,
        context: &CallContext,
        about: &About,
        lines: &[Billed],
        on: Option<&str>,
    ) -> Result<Priced, CallError> {
        let asked = PriceRequest {
            event: Some(event(about)),
            lines: lines.iter().map(price_line).collect(),
            snapshot: on.map(decoded::<BenefitSnapshot>).transpose()?,
            ..PriceRequest::default()
        };
        Ok(priced(&self.price(context, asked).await?, lines))
    }

    /// Posts movements of an order as one: all or none.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn post_order(
        &self,
        context: &CallContext,
        request_id: Uuid,
        about: &About,
        revision: i32,
        movements: &[Movement],
        versions: &[(String, i64)],
    ) -> Result<PostResponse, CallError> {
        let mut instructions = Vec::new();
        for movement in movements {
            instructions.extend(instructions_of(movement)?);
        }
        let expected = |(account_id, version): &(String, i64)| ExpectedVersion {
            account_id: account_id.clone(),
            version: *version,
        };
        let asked = PostRequest {
            request_id: request_id.to_string(),
            source: Some(PostingSource {
                service: SERVICE.to_owned(),
                resource_id: about.order.to_string(),
                revision,
            }),
            event: Some(reference(about)),
            instructions,
            expected_versions: versions.iter().map(expected).collect(),
        };
        self.post(context, asked).await
    }

    /// The holds that an order has posted: for a step that was lost between the posting and its own row.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn holds_of(
        &self,
        context: &CallContext,
        policy: &str,
        about: &About,
    ) -> Result<Vec<String>, CallError> {
        let posted = self.postings_of(context, policy, about).await?;
        let instructions = posted.iter().flat_map(|posting| &posting.instructions);
        let holds = instructions.filter(|made| made.kind() == PostingKind::Hold);
        Ok(holds.map(|hold| hold.hold_id.clone()).collect())
    }

    /// The posting that captured a part of an order, if there is one: for the same reason.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn capture_of(
        &self,
        context: &CallContext,
        policy: &str,
        about: &About,
        part: i32,
    ) -> Result<Option<String>, CallError> {
        let captures = |made: &PostedInstruction| made.kind() == PostingKind::Capture && made.part == part;
        let posted = self.postings_of(context, policy, about).await?;
        let found = posted.into_iter().find(|posting| posting.instructions.iter().any(captures));
        Ok(found.map(|posting| posting.posting_id))
    }

    async fn postings_of(
        &self,
        context: &CallContext,
        policy: &str,
        about: &About,
    ) -> Result<Vec<Posting>, CallError> {
        let asked = ListPostingsRequest {
            policy_id: policy.to_owned(),
            event_id: about.event.to_string(),
            ..ListPostingsRequest::default()
        };
        let listed = self.benefits.clone().list_postings(request(context, asked)).await;
        let listed = listed.map_err(|status| Answer::of(&status))?.into_inner().postings;
        let order = about.order.to_string();
        let of_order =
            |posting: &Posting| posting.source.as_ref().is_some_and(|from| from.resource_id == order);
        Ok(listed.into_iter().filter(of_order).collect())
    }
}

fn event(about: &About) -> InsuredEvent {
    InsuredEvent {
        event_id: about.event.to_string(),
        kind: EventKind::PharmacyOrder.into(),
        member_id: about.member.to_string(),
        event_date: Some(about.date.to_wire()),
        provider: Some(Provider { in_network: true, ..Provider::default() }),
        episode_id: about.episode.map(|episode| episode.to_string()).unwrap_or_default(),
        ..InsuredEvent::default()
    }
}

fn reference(about: &About) -> InsuredEventRef {
    InsuredEventRef {
        event_id: about.event.to_string(),
        member_id: about.member.to_string(),
        event_date: Some(about.date.to_wire()),
        cause_id: String::new(),
        episode_id: about.episode.map(|episode| episode.to_string()).unwrap_or_default(),
    }
}

/// One fill is one count; an order of several lines is one fill, which its first line carries.
fn price_line(line: &Billed) -> PriceLine {
    PriceLine {
        sequence: number(line.sequence),
        benefit_code: BENEFIT.to_owned(),
        kind: LineKind::Pharmacy.into(),
        billed: Some(line.list.to_wire()),
        count: (line.sequence == 1).then_some(1),
        ..PriceLine::default()
    }
}

fn number(sequence: u32) -> i32 {
    i32::try_from(sequence).unwrap_or(i32::MAX)
}

fn priced(price: &Price, lines: &[Billed]) -> Priced {
    let list_of =
        |sequence| lines.iter().find(|line| line.sequence == sequence).map_or(0, |line| line.list.minor);
    let line = |line: &LinePrice| {
        let sequence = u32::try_from(line.sequence).unwrap_or_default();
        let (plan, discount) = line
            .breakdown
            .as_ref()
            .map_or((0, 0), |breakdown| (breakdown.payable_minor, breakdown.provider_writeoff_minor));
        let why = line.cuts.iter().map(|cut| Why {
            rule: cut.rule_id.clone(),
            reason: cut.reason.clone(),
            amount: cut.before_minor - cut.after_minor,
        });
        PricedLine {
            sequence,
            shares: Shares { list: list_of(sequence), plan, discount },
            why: why.collect(),
        }
    };
    Priced {
        lines: price.lines.iter().map(line).collect(),
        legs: price.legs.iter().map(leg).collect(),
        grants: price.grants.iter().map(|grant| hex::encode(grant.encode_to_vec())).collect(),
        versions: price.expected_versions.iter().map(|v| (v.account_id.clone(), v.version)).collect(),
        snapshot: price.snapshot.as_ref().map(|s| hex::encode(s.encode_to_vec())).unwrap_or_default(),
    }
}

fn leg(leg: &WireLeg) -> Leg {
    let counts =
        leg.account.as_ref().is_some_and(|key| matches!(key.measure(), Measure::Count | Measure::Days));
    Leg {
        line: u32::try_from(leg.line_sequence).unwrap_or_default(),
        account: hex::encode(leg.account.clone().unwrap_or_default().encode_to_vec()),
        layer: hex::encode(leg.layer.unwrap_or_default().encode_to_vec()),
        counts,
        amount: leg.amount,
    }
}

fn wire_legs(legs: &[Leg]) -> Result<Vec<WireLeg>, CallError> {
    let wire = |leg: &Leg| {
        Ok(WireLeg {
            account: Some(decoded(&leg.account)?),
            layer: Some(decoded(&leg.layer)?),
            amount: leg.amount,
            line_sequence: number(leg.line),
        })
    };
    legs.iter().map(wire).collect()
}

/// What this service stored of svc-policy's words and can no longer be read is a fault that no retry mends, and the call is
/// not made.
fn decoded<M: Message + Default>(text: &str) -> Result<M, CallError> {
    let bytes = hex::decode(text).map_err(|_| CallError::Unreadable)?;
    M::decode(bytes.as_slice()).map_err(|_| CallError::Unreadable)
}

fn instructions_of(movement: &Movement) -> Result<Vec<PostingInstruction>, CallError> {
    let of = |kind: PostingKind| PostingInstruction { kind: kind.into(), ..PostingInstruction::default() };
    Ok(match movement {
        Movement::Hold { legs, grants, part, until } => hold(legs, grants, *part, *until)?,
        Movement::Capture { hold, legs, part, last } => vec![PostingInstruction {
            legs: wire_legs(legs)?,
            hold_id: hold.clone(),
            part: *part,
            r#final: *last,
            ..of(PostingKind::Capture)
        }],
        Movement::Direct { legs, part } => {
            vec![PostingInstruction { legs: wire_legs(legs)?, part: *part, ..of(PostingKind::Capture) }]
        }
        Movement::Release { hold } => {
            vec![PostingInstruction { hold_id: hold.clone(), ..of(PostingKind::Release) }]
        }
        Movement::Reverse { posting, legs, part, nothing_happened } => vec![PostingInstruction {
            legs: wire_legs(legs)?,
            reverses_posting_id: posting.clone(),
            part: *part,
            event_did_not_happen: *nothing_happened,
            ..of(PostingKind::Reverse)
        }],
    })
}

fn hold(
    legs: &[Leg],
    grants: &[String],
    part: i32,
    until: Timestamp,
) -> Result<Vec<PostingInstruction>, CallError> {
    let mut made = Vec::new();
    if !grants.is_empty() {
        let grants = grants.iter().map(|grant| decoded::<LayerGrant>(grant));
        made.push(PostingInstruction {
            kind: PostingKind::Restore.into(),
            grants: grants.collect::<Result<_, _>>()?,
            ..PostingInstruction::default()
        });
    }
    made.push(PostingInstruction {
        kind: PostingKind::Hold.into(),
        legs: wire_legs(legs)?,
        part,
        expire_time: Some(until.to_wire()),
        ..PostingInstruction::default()
    });
    Ok(made)
}
