//! The benefit engine alone: lines priced in a second on one core, for a hospital bill and a small order.

use std::time::{Duration, Instant};

use anyhow::Context;
use caremesh_svc_policy::domain::account::Snapshot;
use caremesh_svc_policy::domain::engine::{Cover, Event, Line, accounts_needed, price};
use caremesh_svc_policy::domain::plan::{Catalogue, PlanVersion};
use clap::Args;
use serde_json::json;

use crate::measure::{Limit, Spread, report};

/// How long and how often.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Milliseconds of one round.
    #[arg(long, default_value_t = 1_000)]
    round_ms: u64,
}

/// What is priced again and again.
struct Bill {
    name: &'static str,
    cover: Cover,
    event: Event,
    lines: Vec<Line>,
}

/// Prices two kinds of bills.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let catalogue = Catalogue::built_in()?;
    let plan = *catalogue
        .current_versions()
        .iter()
        .find(|version| version.code == "IN-FAMILY-FLOATER")
        .context("the demo plan is gone")?;
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    println!("benefit engine, {build}, one core, {} rounds", options.rounds);
    for bill in [hospital_bill()?, medication_order()?] {
        let rates = (0..options.rounds)
            .map(|_| rate(plan, &bill, options.round_ms))
            .collect::<Result<Vec<_>, _>>()?;
        let name = format!("{} ({} lines)", bill.name, bill.lines.len());
        report(&name, Spread::of(&rates)?, "lines/s", Limit::AtLeast(100_000.0));
    }
    Ok(())
}

/// Lines priced in a second. Choosing the accounts is part of the work; reading them is the store's.
#[expect(clippy::disallowed_methods, reason = "wall time is what is measured")]
#[expect(clippy::cast_precision_loss, reason = "a count of lines")]
fn rate(plan: &PlanVersion, bill: &Bill, round_ms: u64) -> anyhow::Result<f64> {
    let (started, length) = (Instant::now(), Duration::from_millis(round_ms));
    let mut priced = 0_usize;
    while started.elapsed() < length {
        let needs = accounts_needed(plan, &bill.cover, &bill.event, &bill.lines)?;
        let snapshot = Snapshot {
            plan_version: plan.id(),
            accounts: needs.into_iter().map(|need| need.opening).collect(),
            draws: Vec::new(),
        };
        priced += price(plan, &bill.cover, &bill.event, &bill.lines, &snapshot)?.lines.len();
    }
    Ok(priced as f64 / started.elapsed().as_secs_f64())
}

/// Ten days in hospital, four of them in intensive care, in a room above what the plan pays.
fn hospital_bill() -> anyhow::Result<Bill> {
    let kinds = [
        ("ROOM", "ROOM", 900_000, 6),
        ("ICU", "ICU", 2_400_000, 4),
        ("SURGERY", "ASSOCIATED", 12_000_000, 1),
        ("HOSPITAL", "ASSOCIATED", 3_500_000, 1),
        ("IMPLANT", "IMPLANT", 6_000_000, 1),
        ("CONSUMABLE", "CONSUMABLE", 450_000, 1),
        ("INPATIENT_MEDICINE", "PHARMACY", 800_050, 1),
        ("INPATIENT_DIAGNOSTIC", "DIAGNOSTIC", 1_250_000, 1),
    ];
    let lines = (1..=40_u32)
        .zip(kinds.iter().cycle())
        .map(|(sequence, (benefit, kind, billed, days))| {
            json!({"sequence": sequence, "benefit": benefit, "kind": kind, "billed_minor": billed / 5, "days": days})
        })
        .collect::<Vec<_>>();
    let event = json!({
        "id": "evt_01h455vb4pex5vsknk084sn02q", "kind": "ADMISSION", "date": "2026-06-01",
        "discharge": "2026-06-11", "in_network": true, "differential_billing": true, "conditions": ["K35.8"],
    });
    Ok(Bill {
        name: "hospital bill",
        cover: cover()?,
        event: serde_json::from_value(event)?,
        lines: serde_json::from_value(json!(lines))?,
    })
}

/// Three medicines.
fn medication_order() -> anyhow::Result<Bill> {
    let lines = (1..=3_u32)
        .map(|sequence| json!({"sequence": sequence, "benefit": "PHARMACY", "kind": "PHARMACY", "billed_minor": 34_550}))
        .collect::<Vec<_>>();
    let event = json!({
        "id": "evt_01h455vb4pex5vsknk084sn02q", "kind": "PHARMACY_ORDER", "date": "2026-06-01", "in_network": true,
    });
    Ok(Bill {
        name: "medication order",
        cover: cover()?,
        event: serde_json::from_value(event)?,
        lines: serde_json::from_value(json!(lines))?,
    })
}

/// A member who has been covered for years.
fn cover() -> anyhow::Result<Cover> {
    let year = json!({"start": "2026-01-01", "end": "2027-01-01"});
    let cover = json!({
        "policy": "pol_01h455vb4pex5vsknk084sn02q",
        "term": "trm_01h455vb4pex5vsknk084sn02q",
        "first_term": "trm_01h455vb4pex5vsknk084sn02q",
        "term_range": year, "segment": year, "currency": "INR", "continuous_since": "2020-01-01",
        "layers": [{"kind": "BASE", "ordinal": 0, "amount_minor": 100_000_000, "valid": year, "waiting_from": "2020-01-01"}],
        "member": {
            "id": "mem_01h455vb4pex5vsknk084sn02q", "relation": "SELF", "birth": "1985-05-05", "covered": year,
            "continuous_since": "2020-01-01",
        },
    });
    Ok(serde_json::from_value(cover)?)
}
