//! A partner's system: the generated Python client, natively over TLS.

use anyhow::{Context, Result, ensure};
use caremesh_e2e::demo::Demo;
use caremesh_e2e::story::Family;
use caremesh_e2e::tools;
use caremesh_kernel::{EventId, IdSource, SystemIds};
use serde_json::{Value, json};
use tokio::process::Command;

/// What a consultation costs: 15,000.00.
const BILLED_MINOR: i64 = 1_500_000;

/// What both scripted clients need to know. `gateway` is an address in the client's own form.
pub(crate) async fn scene(demo: &Demo, gateway: &str) -> Result<Value> {
    let holder = demo.token("ngozi").await?;
    let officer = demo.token("tunde").await?;
    let family = Family::find(demo.channel()?, holder.clone(), officer.clone()).await?;
    let today = family.first_day()?;
    Ok(json!({
        "gateway": gateway,
        "plan": "NG-FAMILY-FLOATER",
        "benefit": "CONSULTATION",
        "billed": BILLED_MINOR,
        "today": { "year": today.year, "month": today.month, "day": today.day },
        "member": holder,
        "officer": officer,
        "finance": demo.token("ifeoma").await?,
        "eventId": EventId::from_uuid(SystemIds.uuid()).to_string(),
    }))
}

/// The arithmetic of what a client saw: what the legs took is what the balances lost.
pub(crate) fn assert_story(story: &Value) -> Result<()> {
    assert_eq!(story["members"], 5, "{story}");
    // POLICY_STATE_ACTIVE
    assert_eq!(story["state"], 4, "{story}");
    let payable = story["payable"].as_i64().context("payable")?;
    assert!(payable > 0 && payable <= BILLED_MINOR, "{story}");
    assert_eq!(story["claimed"], BILLED_MINOR, "{story}");
    let legs = story["legs"].as_array().context("legs")?;
    assert!(!legs.is_empty(), "{story}");
    let mut compared = 0;
    for (code, before) in story["before"].as_object().context("before")? {
        let (before, after) = (before.as_i64().context("before")?, story["after"][code].as_i64());
        // -1: an account without a limit.
        if before < 0 {
            continue;
        }
        let taken =
            legs.iter().filter(|leg| leg["code"] == code.as_str()).filter_map(|leg| leg["amount"].as_i64());
        let taken: i64 = taken.sum();
        assert_eq!(after, Some(before - taken), "{code}: {story}");
        compared += i64::from(taken > 0);
    }
    assert!(compared > 0, "no balance moved: {story}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_python_client_buys_cover_prices_and_spends_natively() -> Result<()> {
    let (Some(python), Some(client)) = (tools::python(), tools::python_client()) else { return Ok(()) };
    let demo = Demo::start(&[]).await?;
    let mut order = scene(&demo, &format!("localhost:{}", demo.gateway_port)).await?;
    order["authority"] = demo.authority().display().to_string().into();
    order["client"] = client.display().to_string().into();
    let script = tools::root().join("e2e").join("python").join("story.py");
    let output = Command::new(python).arg(script).arg(order.to_string()).kill_on_drop(true).output().await?;
    ensure!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), demo.program.said()?);
    let seen: Value = serde_json::from_slice(&output.stdout)?;

    assert_story(&seen["story"])?;
    let refusals = &seen["refusals"];
    assert_eq!(refusals["brokenField"]["code"], 3, "{refusals}");
    assert_eq!(refusals["brokenField"]["reason"], "FIELD_INVALID", "{refusals}");
    // One violation for each rule that the value breaks.
    let fields = refusals["brokenField"]["fields"].as_array().context("fields")?;
    assert!(!fields.is_empty() && fields.iter().all(|field| field == "member_id"), "{refusals}");
    assert_eq!(refusals["noCredentials"]["reason"], "CREDENTIALS_MISSING", "{refusals}");
    assert_eq!(refusals["tooLate"]["code"], 4, "{refusals}");
    Ok(())
}
