//! From an offer to cover: one quote makes one policy, one reference one receipt, one activation one welcome.

use std::time::Duration;

use caremesh_proto::policy::v1::policy_service_client::PolicyServiceClient;
use caremesh_proto::policy::v1::*;
use caremesh_testkit::for_each_database;

use crate::common::*;

for_each_database! { with world;
    async fn a_family_is_quoted_buys_pays_and_is_covered(world: World) {
        let holder = somebody();
        let quote = world.offer(&holder).await;
        let premium = quote.premium.clone().expect("a premium");
        assert_eq!(premium.members.len(), 5);
        let net: i64 = premium.members.iter().map(|m| m.net.as_ref().expect("net").minor_units).sum();
        assert_eq!(net, premium.net.as_ref().expect("net").minor_units);
        assert_eq!(quote.state(), QuoteState::Quoted);

        let asked = PurchasePolicyRequest { request_id: request_id(), quote_id: quote.quote_id.clone() };
        let bought = world.policies(&holder).purchase_policy(asked).await.expect("a policy").into_inner();
        let bought = bought.policy.expect("a policy");
        assert_eq!(bought.state(), PolicyState::PendingPayment);
        let check = CheckEligibilityRequest {
            member_id: bought.members[1].member_id.clone(),
            service_date: wire_date(world.today()),
            ..CheckEligibilityRequest::default()
        };
        let before = world.eligibility(&holder).check_eligibility(check.clone()).await.expect("an answer").into_inner();
        let before = before.eligibility.expect("an answer");
        assert!(!before.eligible);
        assert_eq!(before.reasons[0].reason(), IneligibilityReason::PolicyNotInForce);

        let finance = staff("finance_officer");
        let booked = world.policies(&finance).record_premium_payment(world.payment(&quote)).await.expect("a receipt");
        assert_eq!(booked.into_inner().policy_id, bought.policy_id);
        let asked = GetPolicyRequest { policy_id: bought.policy_id.clone(), as_of: None };
        let policy = world.policies(&holder).get_policy(asked).await.expect("the policy").into_inner().policy;
        let policy = policy.expect("the policy");
        assert_eq!(policy.state(), PolicyState::Active);
        assert_eq!(policy.receivable.expect("receivable").minor_units, 0);
        assert_eq!(policy.members.iter().filter(|m| m.state() == MemberState::Covered).count(), 5);
        let after = world.eligibility(&holder).check_eligibility(check).await.expect("an answer").into_inner();
        assert!(after.eligibility.expect("an answer").eligible);
    }

    async fn hard_case_10_a_purchase_retried_through_two_nodes_while_the_webhook_is_early_is_one_of_everything(world: World) {
        let holder = somebody();
        let finance = staff("finance_officer");
        let second = world.replica().await;
        let quote = world.offer(&holder).await;
        let purchase = PurchasePolicyRequest { request_id: request_id(), quote_id: quote.quote_id.clone() };
        let payment = world.payment(&quote);
        let mut calls = tokio::task::JoinSet::new();
        for n in 0..12 {
            let node = if n % 2 == 0 { world.server.clone() } else { second.clone() };
            let caller = if n % 3 == 2 { &finance } else { &holder };
            let mut client = PolicyServiceClient::new(world.mesh.person(&node, caller).expect("a caller"));
            let (purchase, mut payment) = (purchase.clone(), payment.clone());
            calls.spawn(async move {
                if n % 3 == 2 {
                    // The provider tells again under new ids: only its reference stays the same.
                    payment.request_id = request_id();
                    while again(client.record_premium_payment(payment.clone()).await.map(drop)).await {}
                } else {
                    while again(client.purchase_policy(purchase.clone()).await.map(drop)).await {}
                }
            });
        }
        while let Some(done) = calls.join_next().await {
            done.expect("no panic");
        }
        let asked = ListPoliciesRequest::default();
        let policies = world.policies(&holder).list_policies(asked).await.expect("a list").into_inner().policies;
        assert_eq!(policies.len(), 1, "one policy");
        assert_eq!(policies[0].state(), PolicyState::Active);
        assert_eq!(policies[0].receipts.len(), 1, "one receipt");
        let id = &policies[0].policy_id;
        let events = world.events(3).await;
        let welcomes = events.iter().filter(|e| e.r#type() == EventType::PolicyActivated && e.resource_id == *id);
        assert_eq!(welcomes.count(), 1, "one welcome");
        let receipts = events.iter().filter(|e| e.r#type() == EventType::PremiumReceived);
        assert_eq!(receipts.count(), 1, "one receipt is told once");
    }

    async fn inv_p6_a_policy_that_is_not_paid_in_time_never_covers_anybody(world: World) {
        let holder = somebody();
        let quote = world.offer(&holder).await;
        let asked = PurchasePolicyRequest { request_id: request_id(), quote_id: quote.quote_id.clone() };
        let bought = world.policies(&holder).purchase_policy(asked).await.expect("a policy").into_inner().policy;
        let bought = bought.expect("a policy");
        let mut late = world.payment(&quote);
        world.clock.advance(Duration::from_secs(25 * 3_600));
        late.receive_time = world.payment(&quote).receive_time;
        let finance = staff("finance_officer");
        assert_eq!(refused(world.policies(&finance).record_premium_payment(late).await), "QUOTE_EXPIRED");
        let asked = GetPolicyRequest { policy_id: bought.policy_id, as_of: None };
        let policy = world.policies(&holder).get_policy(asked).await.expect("the policy").into_inner().policy;
        assert_eq!(policy.expect("the policy").state(), PolicyState::ExpiredQuote);
        let priced = world.claims().price(admission(&world, &bought.members[0].member_id, 1_000)).await;
        assert_eq!(refused(priced), "NO_COVER_AT_EVENT_DATE");
    }

    async fn an_expired_quote_is_not_bought_unless_it_was_paid_in_time(world: World) {
        let holder = somebody();
        let quote = world.offer(&holder).await;
        let finance = staff("finance_officer");
        let paid = world.offer(&somebody()).await;
        world.policies(&finance).record_premium_payment(world.payment(&paid)).await.expect("a receipt");
        world.clock.advance(Duration::from_secs(25 * 3_600));
        let buy = |quote: &Quote| PurchasePolicyRequest { request_id: request_id(), quote_id: quote.quote_id.clone() };
        assert_eq!(refused(world.policies(&holder).purchase_policy(buy(&quote)).await), "QUOTE_EXPIRED");
        let agent = staff("support_agent");
        let bought = world.policies(&agent).purchase_policy(buy(&paid)).await.expect("a policy").into_inner().policy;
        assert_eq!(bought.expect("a policy").state(), PolicyState::Active);
    }

    async fn a_request_id_gives_the_first_answer_again_and_takes_no_other_body(world: World) {
        let holder = somebody();
        let asked = world.offer_request(&holder).await;
        let mut client = world.policies(&holder);
        let first = client.create_quote(asked.clone()).await.expect("a quote").into_inner();
        let again = client.create_quote(asked.clone()).await.expect("the same quote").into_inner();
        assert_eq!(first, again);
        let other = CreateQuoteRequest { instalment_count: 4, ..asked };
        assert_eq!(refused(client.create_quote(other).await), "REQUEST_ID_REUSED");

        let quote = first.quote.expect("a quote");
        let buy = PurchasePolicyRequest { request_id: request_id(), quote_id: quote.quote_id.clone() };
        let first = client.purchase_policy(buy.clone()).await.expect("a policy").into_inner();
        let again = client.purchase_policy(buy.clone()).await.expect("the same policy").into_inner();
        assert_eq!(first, again);
        let other = PurchasePolicyRequest { quote_id: nobody_id("quo"), ..buy.clone() };
        assert_eq!(refused(client.purchase_policy(other).await), "RESOURCE_NOT_FOUND");
        let anew = PurchasePolicyRequest { request_id: request_id(), ..buy };
        assert_eq!(refused(client.purchase_policy(anew).await), "QUOTE_ALREADY_PURCHASED");

        let finance = staff("finance_officer");
        let payment = world.payment(&quote);
        let mut client = world.policies(&finance);
        let first = client.record_premium_payment(payment.clone()).await.expect("a receipt").into_inner();
        let again = client.record_premium_payment(payment.clone()).await.expect("the same receipt").into_inner();
        assert_eq!(first, again);
        let other = RecordPremiumPaymentRequest { amount: naira(1), ..payment.clone() };
        assert_eq!(refused(client.record_premium_payment(other).await), "REQUEST_ID_REUSED");
        let reused = RecordPremiumPaymentRequest { request_id: request_id(), amount: naira(1), ..payment };
        assert_eq!(refused(client.record_premium_payment(reused).await), "PAYMENT_REFERENCE_REUSED");
    }

    async fn what_the_plan_does_not_sell_is_refused_with_its_reason(world: World) {
        let holder = somebody();
        let asked = world.offer_request(&holder).await;
        let mut client = world.policies(&holder);
        let mut refuse = async |change: &dyn Fn(&mut CreateQuoteRequest)| {
            let mut asked = CreateQuoteRequest { request_id: request_id(), ..asked.clone() };
            change(&mut asked);
            refused(client.create_quote(asked).await)
        };
        assert_eq!(refuse(&|q| q.sum_insured = naira(1)).await, "SUM_INSURED_NOT_OFFERED");
        let rupees = |q: &mut CreateQuoteRequest| {
            q.sum_insured.as_mut().expect("a sum").currency_code = "INR".to_owned();
        };
        assert_eq!(refuse(&rupees).await, "CURRENCY_MISMATCH");
        let yesterday = wire_date(world.today().plus_days(-1));
        assert_eq!(refuse(&|q| q.start_date = yesterday).await, "START_DATE_NOT_ALLOWED");
        assert_eq!(refuse(&|q| q.members[2].relation = Relation::Spouse.into()).await, "FAMILY_NOT_ALLOWED");
        assert_eq!(refuse(&|q| q.members[1].relation = Relation::Self_.into()).await, "FIELD_INVALID");
        assert_eq!(refuse(&|q| q.members[1] = q.members[0].clone()).await, "FIELD_INVALID");
        assert_eq!(refuse(&|q| q.members[1].person_id = nobody_id("per")).await, "RESOURCE_NOT_FOUND");
        assert_eq!(refuse(&|q| q.plan_version_id = nobody_id("plv")).await, "RESOURCE_NOT_FOUND");
        assert_eq!(refuse(&|q| q.instalment_count = 7).await, "FIELD_INVALID");
        let checked = CreateQuoteRequest { validate_only: true, ..asked.clone() };
        let quote = client.create_quote(checked).await.expect("a price").into_inner().quote.expect("a quote");
        assert!(quote.quote_id.is_empty() && quote.premium.is_some());
        let listed = client.get_quote(GetQuoteRequest { quote_id: nobody_id("quo") }).await;
        assert_eq!(refused(listed), "RESOURCE_NOT_FOUND");
        let five_years = Duration::from_secs(5 * 366 * 86_400);
        world.clock.advance(five_years);
        let late = CreateQuoteRequest { request_id: request_id(), start_date: wire_date(world.today()), ..asked };
        assert_eq!(refused(client.create_quote(late).await), "PLAN_NOT_ON_SALE");
    }

    async fn a_quote_is_given_again_as_it_was_offered(world: World) {
        let holder = somebody();
        let offered = world.offer(&holder).await;
        let asked = GetQuoteRequest { quote_id: offered.quote_id.clone() };
        let given = world.policies(&holder).get_quote(asked).await.expect("the quote").into_inner().quote;
        assert_eq!(given, Some(offered));
    }

    async fn a_payment_is_the_next_instalment_to_the_kobo(world: World) {
        let holder = somebody();
        let mut asked = world.offer_request(&holder).await;
        asked.instalment_count = 4;
        let quote = world.policies(&holder).create_quote(asked).await.expect("a quote").into_inner().quote;
        let quote = quote.expect("a quote");
        let finance = staff("finance_officer");
        let mut client = world.policies(&finance);
        let short = RecordPremiumPaymentRequest { amount: naira(1), ..world.payment(&quote) };
        assert_eq!(refused(client.record_premium_payment(short).await), "PAYMENT_AMOUNT_MISMATCH");
        let mut rupees = world.payment(&quote);
        rupees.amount.as_mut().expect("an amount").currency_code = "INR".to_owned();
        assert_eq!(refused(client.record_premium_payment(rupees).await), "CURRENCY_MISMATCH");
        let instalments = quote.premium.clone().expect("a premium").instalments;
        assert_eq!(instalments.len(), 4);
        for instalment in &instalments {
            let paid = RecordPremiumPaymentRequest { amount: instalment.amount.clone(), ..world.payment(&quote) };
            client.record_premium_payment(paid).await.expect("a receipt");
        }
        let again = world.payment(&quote);
        assert_eq!(refused(client.record_premium_payment(again).await), "PAYMENT_AMOUNT_MISMATCH");
    }
}

/// As a client does: an answer that says "running" or "collided" is asked again.
async fn again(answer: Result<(), tonic::Status>) -> bool {
    use tonic::Code::{Aborted, ResourceExhausted, Unavailable};
    match answer {
        Ok(()) => false,
        Err(status) if matches!(status.code(), Aborted | Unavailable | ResourceExhausted) => {
            tokio::time::sleep(Duration::from_millis(20)).await;
            true
        }
        Err(status) => panic!("{status:?}"),
    }
}
