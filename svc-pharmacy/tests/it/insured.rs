//! A family whose policy is bought and paid at svc-policy, as the tests of prices and orders need it.

use caremesh_kernel::Date;
use caremesh_mesh::wire::ToWire as _;
use caremesh_proto::policy::v1::benefit_service_client::BenefitServiceClient;
use caremesh_proto::policy::v1::person_service_client::PersonServiceClient;
use caremesh_proto::policy::v1::plan_service_client::PlanServiceClient;
use caremesh_proto::policy::v1::policy_service_client::PolicyServiceClient;
use caremesh_proto::policy::v1::*;
use caremesh_proto::r#type::v1 as types;
use caremesh_testkit::identity::TestPerson;
use caremesh_testkit::mesh::CallerChannel;

use crate::common::*;

/// A policyholder, signed in with a record, and the policy of the family.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    pub(crate) holder: TestPerson,
    pub(crate) policy: Policy,
}

impl Family {
    pub(crate) fn person(&self, n: usize) -> String {
        self.policy.members[n].person_id.clone()
    }
}

/// The sum insured that these families buy, in kobo.
pub(crate) const SUM_INSURED: i64 = 300_000_000;

impl World {
    fn at_policy(&self, person: &TestPerson) -> CallerChannel {
        self.mesh.person(&self.policy, person).expect("a caller")
    }

    /// svc-policy's ledger, as svc-pharmacy calls it.
    pub(crate) fn ledger(&self) -> BenefitServiceClient<CallerChannel> {
        BenefitServiceClient::new(self.mesh.service(&self.policy, "svc-pharmacy").expect("a caller"))
    }

    /// Enters a person at svc-policy and answers the id.
    pub(crate) async fn enter(&self, who: &TestPerson, birth: (i32, i32, i32), managed: bool) -> String {
        let profile = PersonProfile {
            full_name: "Ada Obi".to_owned(),
            birth_date: Some(types::Date { year: birth.0, month: birth.1, day: birth.2 }),
            gender: AdministrativeGender::Female.into(),
            language_tag: "en-NG".to_owned(),
            ..PersonProfile::default()
        };
        let asked = CreatePersonRequest { request_id: request_id(), profile: Some(profile), managed };
        let made =
            PersonServiceClient::new(self.at_policy(who)).create_person(asked).await.expect("a person");
        made.into_inner().person.expect("a person").person_id
    }

    /// Somebody with a record and without a policy, signed in under it.
    pub(crate) async fn uninsured(&self) -> TestPerson {
        let person = somebody();
        let id = self.enter(&person, (1985, 3, 3), false).await;
        person.with_record(id.parse().expect("an id"))
    }

    /// A family of five under a floater, paid, in force from today.
    pub(crate) async fn family(&self) -> Family {
        self.family_under("NG-FAMILY-FLOATER", self.today()).await
    }

    /// The same under another plan or from another day.
    pub(crate) async fn family_under(&self, plan: &str, start: Date) -> Family {
        let holder = somebody();
        let own = self.enter(&holder, (1990, 5, 17), false).await;
        let spouse = self.enter(&holder, (1991, 2, 3), true).await;
        let mut members = vec![(own.clone(), Relation::Self_), (spouse, Relation::Spouse)];
        for year in [2015, 2017, 2020] {
            members.push((self.enter(&holder, (year, 6, 1), true).await, Relation::Child));
        }
        let member = |(person_id, relation): (String, Relation)| ProposedMember {
            person_id,
            relation: relation.into(),
            declared_conditions: Vec::new(),
        };
        let asked = CreateQuoteRequest {
            request_id: request_id(),
            plan_version_id: self.plan_version(plan).await,
            sum_insured: naira(SUM_INSURED),
            policyholder_person_id: own.clone(),
            members: members.into_iter().map(member).collect(),
            start_date: Some(start.to_wire()),
            instalment_count: 0,
            validate_only: false,
            prior_cover: None,
        };
        let mut policies = PolicyServiceClient::new(self.at_policy(&holder));
        let quote = policies.create_quote(asked).await.expect("a quote").into_inner().quote.expect("a quote");
        let policy = self.buy(&mut policies, &quote).await;
        Family { holder: holder.with_record(own.parse().expect("an id")), policy }
    }

    async fn buy(&self, policies: &mut PolicyServiceClient<CallerChannel>, quote: &Quote) -> Policy {
        let asked = PurchasePolicyRequest { request_id: request_id(), quote_id: quote.quote_id.clone() };
        let bought = policies.purchase_policy(asked).await.expect("a policy").into_inner();
        let payment = RecordPremiumPaymentRequest {
            request_id: request_id(),
            quote_id: quote.quote_id.clone(),
            payment_reference: format!("psp-{}", request_id()),
            amount: quote.premium.as_ref().expect("a premium").instalments[0].amount.clone(),
            receive_time: Some(caremesh_kernel::Clock::now(self.clock.as_ref()).to_wire()),
        };
        let finance = staff("finance_officer");
        let mut till = PolicyServiceClient::new(self.at_policy(&finance));
        till.record_premium_payment(payment).await.expect("a receipt");
        let asked = GetPolicyRequest { policy_id: bought.policy.expect("a policy").policy_id, as_of: None };
        policies.get_policy(asked).await.expect("the policy").into_inner().policy.expect("the policy")
    }

    async fn plan_version(&self, code: &str) -> String {
        let mut plans = PlanServiceClient::new(self.mesh.nobody(&self.policy).expect("a caller"));
        let listed = plans.list_plans(ListPlansRequest::default()).await.expect("plans").into_inner().plans;
        let plan = listed.into_iter().find(|plan| plan.code == code).expect("the plan");
        plan.current_version.expect("a version").plan_version_id
    }

    /// What is used and reserved of an account of a family.
    pub(crate) async fn balance(&self, family: &Family, code: &str) -> (i64, i64) {
        let asked = ListBalancesRequest {
            policy_id: family.policy.policy_id.clone(),
            ..ListBalancesRequest::default()
        };
        let balances = self.ledger().list_balances(asked).await.expect("balances").into_inner().balances;
        let named = balances.iter().filter(|b| b.key.as_ref().is_some_and(|key| key.code == code));
        let layers: Vec<&LayerBalance> = named.flat_map(|balance| &balance.layers).collect();
        (layers.iter().map(|layer| layer.used).sum(), layers.iter().map(|layer| layer.reserved).sum())
    }
}
