//! Change of insurer, from outside: what was served with another one is credited to the old sum and to nothing more.

use caremesh_kernel::{Date, Zone};
use caremesh_mesh::wire::{ToWire as _, date};
use caremesh_proto::policy::v1::*;
use caremesh_proto::r#type::v1 as types;
use caremesh_testkit::for_each_database;
use caremesh_testkit::insured::{Happened, Wanted, money, price_request};

use crate::common::*;
use crate::life::payable;

const OLD: i64 = 5_00_000_00;
const NEW: i64 = 10_00_000_00;

impl World {
    fn today_in_india(&self) -> Date {
        use caremesh_kernel::Clock as _;
        "Asia/Kolkata".parse::<Zone>().expect("a zone").day_of(self.clock.now())
    }

    /// An offer to a couple, the spouse with diabetes declared, who come from another insurer after a break.
    async fn coming_over(
        &self,
        who: &caremesh_testkit::identity::TestPerson,
        years: i32,
        pause: i64,
    ) -> CreateQuoteRequest {
        let starts = self.today_in_india();
        let wanted = Wanted {
            plan: "IN-FAMILY-PLUS",
            sum_insured: money("INR", NEW),
            starts,
            holder: (1986, 3, 14),
            others: &[((1988, 1, 30), Relation::Spouse), ((2015, 1, 30), Relation::Child)],
        };
        let mut asked = self.insurer().offer_request(who, &wanted).await.expect("a request");
        let diabetes = types::Coding {
            system: "http://hl7.org/fhir/sid/icd-10".to_owned(),
            code: "E11".to_owned(),
            display: String::new(),
        };
        asked.members[1].declared_conditions = vec![diabetes];
        let end = starts.plus_days(-pause);
        let period = types::DateRange {
            start: Some(end.plus_months(-12 * years).to_wire()),
            end: Some(end.to_wire()),
        };
        asked.prior_cover = Some(PriorCover {
            insurer_code: "IRDAI-110".to_owned(),
            sum_insured: Some(money("INR", OLD)),
            period: Some(period),
            person_ids: asked.members.iter().take(2).map(|member| member.person_id.clone()).collect(),
            credited_from_date: None,
        });
        asked
    }

    fn illness(&self, member: &str, billed: i64, code: &str) -> PriceRequest {
        let mut asked = price_request(Happened {
            member,
            day: self.today_in_india(),
            kind: EventKind::Admission,
            benefit: "SURGERY",
            line: LineKind::Associated,
            billed: money("INR", billed),
        });
        let event = asked.event.as_mut().expect("an event");
        event.accident = false;
        let system = "http://hl7.org/fhir/sid/icd-10".to_owned();
        event.conditions = vec![types::Coding { system, code: code.to_owned(), display: String::new() }];
        asked
    }
}

for_each_database! { with world;
    async fn hard_case_8_waiting_served_elsewhere_counts_for_the_old_sum_alone(world: World) {
        let holder = somebody();
        let asked = world.coming_over(&holder, 4, 20).await;
        let quote = world.policies(&holder).create_quote(asked).await.expect("a quote").into_inner().quote.expect("a quote");
        let start = world.today_in_india();
        let prior = quote.prior_cover.clone().expect("the prior cover");
        let days = prior.period.as_ref().expect("days");
        let had = date("start", days.start).expect("a day").days_until(date("end", days.end).expect("a day"));
        let credited = start.plus_days(-had);
        assert_eq!(prior.credited_from_date, wire_date(credited), "the break of twenty days is not counted");
        let buy = PurchasePolicyRequest { request_id: request_id(), quote_id: quote.quote_id.clone() };
        let policy = world.policies(&holder).purchase_policy(buy).await.expect("a policy").into_inner().policy.expect("a policy");
        world.policies(&staff("finance_officer")).record_premium_payment(world.payment(&quote)).await.expect("a receipt");
        let layers = &policy.terms[0].layers;
        let amounts: Vec<i64> = layers.iter().map(|layer| layer.amount.as_ref().expect("an amount").minor_units).collect();
        assert_eq!(amounts, vec![OLD, NEW - OLD]);
        let clock = |layer: usize, member: usize| layers[layer].clocks[member].clone();
        assert_eq!(clock(0, 1).waiting_start, wire_date(credited));
        assert_eq!(clock(0, 1).moratorium_end, wire_date(credited.plus_months(60)), "the moratorium is credited too");
        assert_eq!(clock(1, 1).moratorium_end, wire_date(start.plus_months(60)), "for the old sum alone");
        assert_eq!(clock(0, 2).waiting_start, wire_date(start), "the child was not covered there");
        let [holder_id, spouse, child] = [0, 1, 2].map(|n| policy.members[n].member_id.clone());
        // Diabetes, declared, waits thirty-six months: served on the old sum after four years, not on the increase.
        let diabetes = world.illness(&spouse, 7_00_000_00, "E11");
        assert_eq!(payable(&world.price(&diabetes).await), OLD);
        // The initial waiting is served on the old sum, too; the child waits for everything.
        assert_eq!(payable(&world.price(&world.illness(&holder_id, 7_00_000_00, "J18")).await), OLD);
        assert_eq!(payable(&world.price(&world.illness(&child, 7_00_000_00, "J18")).await), 0);
        let accident = PriceRequest {
            event: world.illness(&child, 1, "S72").event.map(|event| InsuredEvent { accident: true, ..event }),
            ..world.illness(&child, 7_00_000_00, "S72")
        };
        assert_eq!(payable(&world.price(&accident).await), 7_00_000_00);
    }

    async fn prior_cover_that_ended_too_long_ago_or_cannot_be_meant_is_refused(world: World) {
        let holder = somebody();
        let late = world.coming_over(&holder, 3, 31).await;
        let ask = async |asked: CreateQuoteRequest| {
            let asked = CreateQuoteRequest { request_id: request_id(), ..asked };
            refused(world.policies(&holder).create_quote(asked).await)
        };
        assert_eq!(ask(late.clone()).await, "PRIOR_COVER_NOT_CREDITED");
        let with = |change: &dyn Fn(&mut PriorCover)| {
            let mut asked = late.clone();
            change(asked.prior_cover.as_mut().expect("the prior cover"));
            asked
        };
        let overlaps = with(&|prior| prior.period.as_mut().expect("days").end = wire_date(world.today_in_india().plus_days(1)));
        assert_eq!(ask(overlaps).await, "FIELD_INVALID");
        assert_eq!(ask(with(&|prior| prior.person_ids = vec![nobody_id("per")])).await, "FIELD_INVALID");
        assert_eq!(ask(with(&|prior| prior.sum_insured = Some(money("INR", 0)))).await, "FIELD_INVALID");
        assert_eq!(ask(with(&|prior| prior.sum_insured = naira(1))).await, "CURRENCY_MISMATCH");
    }
}
