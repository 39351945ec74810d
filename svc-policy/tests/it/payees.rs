//! Nominees and the bank account of a policy, from outside.

use std::time::Duration;

use caremesh_kernel::Clock as _;
use caremesh_mesh::wire::ToWire as _;
use caremesh_proto::policy::v1::*;
use caremesh_proto::r#type::v1 as types;
use caremesh_testkit::for_each_database;

use crate::common::*;

fn nominee(share_bps: i32, year: i32, appointee: &str) -> Nominee {
    Nominee {
        full_name: "Chidi Obi".to_owned(),
        birth_date: Some(types::Date { year, month: 3, day: 9 }),
        share_bps,
        appointee_name: appointee.to_owned(),
    }
}

fn account(number: &str) -> BankAccount {
    BankAccount { holder_name: "Ada Obi".to_owned(), number: number.to_owned(), bank_code: "058".to_owned() }
}

impl World {
    fn naming(&self, family: &Family, nominees: Vec<Nominee>) -> ChangeNomineesRequest {
        ChangeNomineesRequest {
            request_id: request_id(),
            policy_id: family.policy.policy_id.clone(),
            nominees,
            etag: String::new(),
        }
    }

    fn paying_to(&self, family: &Family, number: &str) -> ChangeBankAccountRequest {
        ChangeBankAccountRequest {
            request_id: request_id(),
            policy_id: family.policy.policy_id.clone(),
            bank_account: Some(account(number)),
            etag: String::new(),
        }
    }

    fn payees(&self, family: &Family) -> GetPayeesRequest {
        GetPayeesRequest { policy_id: family.policy.policy_id.clone(), as_of: None }
    }
}

for_each_database! { with world;
    async fn who_is_paid_can_change_and_what_held_before_can_be_told(world: World) {
        let family = world.family().await;
        let mut holder = world.endorsements(&family.holder);
        let nobody = holder.get_payees(world.payees(&family)).await.expect("payees").into_inner();
        assert_eq!(nobody, GetPayeesResponse::default());
        let asked = world.naming(&family, vec![nominee(6_000, 1980, ""), nominee(4_000, 2020, "Ngozi Obi")]);
        let named = holder.change_nominees(asked.clone()).await.expect("nominees").into_inner();
        assert_eq!(holder.change_nominees(asked.clone()).await.expect("again").into_inner(), named, "once per request");
        let kinds = |policy: &Policy| policy.endorsements.iter().map(Endorsement::kind).collect::<Vec<_>>();
        assert_eq!(kinds(named.policy.as_ref().expect("the policy")), vec![EndorsementKind::Nominees]);
        holder.change_bank_account(world.paying_to(&family, "0123456789")).await.expect("an account");
        let between = world.clock.now();
        world.clock.advance(Duration::from_secs(1));
        let changed = holder.change_bank_account(world.paying_to(&family, "9876543210")).await.expect("another").into_inner();
        let policy = changed.policy.expect("the policy");
        assert_eq!(policy.premium, family.policy.premium, "it costs nothing");
        let now = holder.get_payees(world.payees(&family)).await.expect("payees").into_inner();
        assert_eq!((now.nominees, now.bank_account), (asked.nominees, Some(account("9876543210"))));
        assert_eq!(now.nominees_effective_date, wire_date(world.today()));
        // What was decided before can be told with the account that held then.
        let then = GetPayeesRequest { as_of: Some(between.to_wire()), ..world.payees(&family) };
        let then = world.endorsements(&staff("finance_officer")).get_payees(then).await.expect("then").into_inner();
        assert_eq!(then.bank_account, Some(account("0123456789")));
        let other = world.family().await;
        let foreign = world.endorsements(&other.holder).get_payees(world.payees(&family)).await;
        assert_eq!(refused(foreign), "RESOURCE_NOT_FOUND");
    }

    async fn nominees_that_cannot_be_paid_and_policies_that_have_ended_are_refused(world: World) {
        let family = world.family().await;
        let ask = async |nominees| {
            refused(world.endorsements(&family.holder).change_nominees(world.naming(&family, nominees)).await)
        };
        assert_eq!(ask(vec![nominee(9_999, 1980, "")]).await, "FIELD_INVALID", "not the whole");
        assert_eq!(ask(vec![nominee(10_000, 2020, "")]).await, "FIELD_INVALID", "a minor without an appointee");
        let mut holder = world.endorsements(&family.holder);
        let nobody = holder.change_nominees(world.naming(&family, Vec::new())).await;
        nobody.expect("nobody is named any more");
        world.cancel(&family.holder, world.cancellation(&family, CancelReason::FreeLook, None)).await.expect("cancelled");
        assert_eq!(ask(vec![nominee(10_000, 1980, "")]).await, "POLICY_NOT_IN_FORCE");
        let late = holder.change_bank_account(world.paying_to(&family, "0123456789")).await;
        assert_eq!(refused(late), "POLICY_NOT_IN_FORCE");
    }
}
