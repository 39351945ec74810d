//! Persons and plans: profiles, masks, etags, replays; the price list, and what a published plan may not do.

use caremesh_proto::policy::v1::*;
use caremesh_proto::r#type::v1 as types;
use caremesh_testkit::for_each_database;

use crate::common::*;

fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

for_each_database! { with world;
    async fn a_profile_changes_by_mask_against_its_etag(world: World) {
        let who = somebody();
        let id = world.enter(&who, (1990, 5, 17), false).await;
        let mut client = world.persons(&who);
        let got = client.get_person(GetPersonRequest { person_id: id.clone() }).await.expect("a person").into_inner();
        let person = got.person.expect("a person");
        let update = |paths: &[&str], name: &str| UpdatePersonRequest {
            request_id: request_id(),
            person_id: id.clone(),
            etag: person.etag.clone(),
            profile: Some(PersonProfile { full_name: name.to_owned(), ..PersonProfile::default() }),
            update_mask: mask(paths),
        };
        let asked = update(&["full_name"], "Ngozi Obi");
        let changed = client.update_person(asked.clone()).await.expect("a change").into_inner();
        let after = changed.person.clone().expect("a person");
        assert_eq!(after.profile.as_ref().expect("a profile").full_name, "Ngozi Obi");
        assert_eq!(after.profile.expect("a profile").birth_date, person.profile.clone().expect("a profile").birth_date);
        assert_eq!(client.update_person(asked.clone()).await.expect("again").into_inner(), changed);
        let other = UpdatePersonRequest { update_mask: mask(&["language_tag"]), ..asked };
        assert_eq!(refused(client.update_person(other).await), "REQUEST_ID_REUSED");
        assert_eq!(refused(client.update_person(update(&["full_name"], "Late")).await), "STALE_VERSION");
        assert_eq!(refused(client.update_person(update(&["salary"], "X")).await), "FIELD_INVALID");
        assert_eq!(refused(client.update_person(update(&[], "X")).await), "FIELD_INVALID");
        let empty = UpdatePersonRequest { etag: after.etag.clone(), ..update(&["full_name"], "") };
        assert_eq!(refused(client.update_person(empty).await), "FIELD_INVALID");
    }

    async fn a_person_has_one_own_record_and_a_birth_that_has_been(world: World) {
        let who = somebody();
        let create = |managed, birth| CreatePersonRequest {
            request_id: request_id(),
            profile: Some(profile("Ada Obi", birth)),
            managed,
        };
        let mut client = world.persons(&who);
        assert_eq!(refused(client.create_person(create(true, (2015, 1, 1))).await), "FIELD_INVALID", "oneself first");
        let asked = create(false, (1990, 1, 1));
        let first = client.create_person(asked.clone()).await.expect("a person").into_inner();
        assert_eq!(client.create_person(asked.clone()).await.expect("again").into_inner(), first);
        assert_eq!(refused(client.create_person(create(false, (1990, 1, 1))).await), "FIELD_INVALID", "once");
        let other = CreatePersonRequest { managed: true, ..asked };
        assert_eq!(refused(client.create_person(other).await), "REQUEST_ID_REUSED");
        assert_eq!(refused(client.create_person(create(true, (2999, 1, 1))).await), "FIELD_INVALID");
        assert_eq!(refused(client.create_person(create(true, (2015, 2, 30))).await), "FIELD_INVALID");
    }

    async fn birth_and_gender_of_an_insured_person_change_by_endorsement_only(world: World) {
        let family = world.family().await;
        let id = family.policy.members[1].person_id.clone();
        let mut client = world.persons(&family.holder);
        let got = client.get_person(GetPersonRequest { person_id: id.clone() }).await.expect("a person").into_inner();
        let asked = UpdatePersonRequest {
            request_id: request_id(),
            person_id: id,
            etag: got.person.expect("a person").etag,
            profile: Some(PersonProfile {
                birth_date: Some(types::Date { year: 1970, month: 1, day: 1 }),
                ..PersonProfile::default()
            }),
            update_mask: mask(&["birth_date"]),
        };
        assert_eq!(refused(client.update_person(asked).await), "FIELD_INVALID");
    }

    async fn inv_p4_a_published_plan_never_changes(world: World) {
        let code = "NG-FAMILY-FLOATER";
        let id = world.plan_version(code).await;
        let get = GetPlanVersionRequest { plan_version_id: id };
        let version = world.plans().get_plan_version(get).await.expect("a version").into_inner().plan_version;
        let version = version.expect("a version");
        assert_eq!(version.content_digest.len(), 64);
        assert!(world.start_again().await.is_ok(), "the same files are the same plans");
        world.execute("UPDATE plan_version SET digest = 'of other content' WHERE code = 'NG-FAMILY-FLOATER'").await;
        let error = world.start_again().await.expect_err("a published plan has other content now");
        assert!(error.to_string().contains("NG-FAMILY-FLOATER 2026.1 was published with other content"), "{error}");
        let none = GetPlanVersionRequest { plan_version_id: nobody_id("plv") };
        assert_eq!(refused(world.plans().get_plan_version(none).await), "RESOURCE_NOT_FOUND");
    }

    async fn lists_go_on_where_a_page_ended_and_nowhere_else(world: World) {
        let page = |size, token: &str| Some(types::PageRequest { page_size: size, page_token: token.to_owned() });
        let mut client = world.plans();
        let list = |jurisdiction: &str, page| ListPlansRequest { jurisdiction_code: jurisdiction.to_owned(), page };
        let mut codes = Vec::new();
        let mut token = String::new();
        loop {
            let answer = client.list_plans(list("", page(2, &token))).await.expect("plans").into_inner();
            codes.extend(answer.plans.into_iter().map(|plan| plan.code));
            token = answer.page.expect("a page").next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert!(codes.len() >= 6 && codes.is_sorted(), "{codes:?}");
        let first = client.list_plans(list("NG", page(1, ""))).await.expect("plans").into_inner();
        let token = first.page.expect("a page").next_page_token;
        assert_eq!(refused(client.list_plans(list("IN", page(1, &token))).await), "PAGE_TOKEN_INVALID");
        assert_eq!(refused(client.list_plans(list("NG", page(1, "forged"))).await), "PAGE_TOKEN_INVALID");
        assert_eq!(refused(client.list_plans(list("NG", page(-1, ""))).await), "FIELD_INVALID");
        let wide = client.list_plans(list("NG", page(100_000, ""))).await.expect("coerced").into_inner();
        assert_eq!(wide.page.expect("a page").next_page_token, "");

        let family = world.family().await;
        for n in 0..3 {
            let asked = admission(&world, &family.member(n), 1_000_00);
            let price = world.price(&asked).await;
            world.post(posting(&asked, &price, PostingKind::Capture)).await;
        }
        let postings = |page| ListPostingsRequest { policy_id: family.policy.policy_id.clone(), page, ..ListPostingsRequest::default() };
        let mut claims = world.claims();
        let first = claims.list_postings(postings(page(2, ""))).await.expect("postings").into_inner();
        assert_eq!(first.postings.len(), 2);
        let token = first.page.expect("a page").next_page_token;
        let rest = claims.list_postings(postings(page(2, &token))).await.expect("postings").into_inner();
        assert_eq!(rest.postings.len(), 1);
        assert!(rest.page.expect("a page").next_page_token.is_empty());
        let cursor = ListEventsRequest { cursor: "not-a-cursor".to_owned(), limit: 1 };
        assert_eq!(refused(world.feed().list_events(cursor).await), "CURSOR_INVALID");
        let cover = GetCoverRequest { member_id: family.member(0), service_date: None };
        let cover = world.eligibility(&family.holder).get_cover(cover).await.expect("a cover").into_inner().cover;
        assert!(!cover.expect("a cover").balances.is_empty());
        let staff_without_person = world.policies(&staff("support_agent")).list_policies(ListPoliciesRequest::default()).await;
        assert_eq!(refused(staff_without_person), "FIELD_INVALID");
        let own = ListPoliciesRequest { page: page(1, ""), ..ListPoliciesRequest::default() };
        let own = world.policies(&family.holder).list_policies(own).await;
        assert_eq!(own.expect("a list").into_inner().policies.len(), 1);
    }

    async fn what_cannot_be_priced_is_refused_by_line_and_field(world: World) {
        let family = world.family().await;
        let good = admission(&world, &family.member(1), 1_000);
        let refuse = async |change: &dyn Fn(&mut PriceRequest)| {
            let mut asked = good.clone();
            change(&mut asked);
            refused(world.claims().price(asked).await)
        };
        let twice = |p: &mut PriceRequest| p.lines.push(p.lines[0].clone());
        assert_eq!(refuse(&twice).await, "LINES_INVALID");
        let rupees = |p: &mut PriceRequest| p.lines[0].billed.as_mut().expect("money").currency_code = "INR".to_owned();
        assert_eq!(refuse(&rupees).await, "CURRENCY_MISMATCH");
        let early = wire_date(world.today().plus_days(-1));
        assert_eq!(refuse(&|p| p.event.as_mut().expect("an event").event_date = early).await, "NO_COVER_AT_EVENT_DATE");
        assert_eq!(refuse(&|p| p.lines.clear()).await, "FIELD_INVALID");
        let checked = PriceRequest { validate_only: true, ..good };
        assert!(world.claims().price(checked).await.expect("checked").into_inner().price.is_none());
    }
}
