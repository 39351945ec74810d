//! Branches, licences and pharmacists: who may dispense where, on which days.

use std::time::Duration;

use caremesh_kernel::{Date, DateRange};
use caremesh_mesh::wire::ToWire as _;
use caremesh_proto::pharmacy::v1::branch_service_client::BranchServiceClient;
use caremesh_proto::pharmacy::v1::*;
use caremesh_proto::r#type::v1 as types;
use caremesh_testkit::for_each_database;
use caremesh_testkit::identity::TestPerson;
use caremesh_testkit::mesh::CallerChannel;

use crate::common::*;

/// A branch with its pharmacist, licensed for a year.
pub(crate) struct Shop {
    pub(crate) id: String,
    pub(crate) pharmacist: TestPerson,
    pub(crate) pharmacist_id: String,
}

/// Lagos Island, Ikeja, Abuja: two near each other and one far away.
pub(crate) const PLACES: [(i32, i32); 3] =
    [(6_524_400, 3_379_200), (6_601_800, 3_351_500), (9_076_500, 7_398_600)];

impl World {
    pub(crate) fn branches(&self, person: &TestPerson) -> BranchServiceClient<CallerChannel> {
        BranchServiceClient::new(self.person(person))
    }

    /// So many days from today where Nigeria counts them.
    pub(crate) fn days(&self, days: i64) -> Option<types::DateRange> {
        Some(DateRange::of_days(self.today(), days).to_wire())
    }

    pub(crate) async fn branch(&self, organisation: &str, place: (i32, i32)) -> Branch {
        let asked = create(organisation, place);
        let answer = self.branches(&staff("operator")).create_branch(asked).await.expect("a branch");
        answer.into_inner().branch.expect("a branch")
    }

    pub(crate) async fn license(&self, branch: &str, kind: LicenceKind, days: i64) -> Branch {
        let licence = Licence { kind: kind.into(), number: "PCN-1".to_owned(), valid: self.days(days) };
        let asked = RecordLicenceRequest {
            request_id: request_id(),
            branch_id: branch.to_owned(),
            licence: Some(licence),
        };
        let answer = self.branches(&staff("operator")).record_licence(asked).await.expect("a licence");
        answer.into_inner().branch.expect("a branch")
    }

    pub(crate) fn registration(
        &self,
        branch: &str,
        person: &TestPerson,
        days: i64,
    ) -> RegisterPharmacistRequest {
        RegisterPharmacistRequest {
            request_id: request_id(),
            branch_id: branch.to_owned(),
            issuer: self.mesh.issuer.url(),
            subject: person.subject.clone(),
            registration_number: "R-7".to_owned(),
            valid: self.days(days),
        }
    }

    pub(crate) async fn shop_of(&self, organisation: &str, place: (i32, i32)) -> Shop {
        let id = self.branch(organisation, place).await.branch_id;
        self.license(&id, LicenceKind::Premises, 365).await;
        self.license(&id, LicenceKind::Superintendent, 365).await;
        let pharmacist = staff("pharmacist");
        let asked = self.registration(&id, &pharmacist, 365);
        let answer =
            self.branches(&staff("operator")).register_pharmacist(asked).await.expect("a pharmacist");
        let pharmacist_id = answer.into_inner().pharmacist.expect("a pharmacist").pharmacist_id;
        Shop { id, pharmacist, pharmacist_id }
    }

    pub(crate) async fn shop(&self, place: (i32, i32)) -> Shop {
        self.shop_of(&fresh_id("org"), place).await
    }
}

fn create(organisation: &str, (latitude_e6, longitude_e6): (i32, i32)) -> CreateBranchRequest {
    CreateBranchRequest {
        request_id: request_id(),
        organisation_id: organisation.to_owned(),
        display_name: "Marina Pharmacy".to_owned(),
        jurisdiction_code: "NG".to_owned(),
        time_zone: "Africa/Lagos".to_owned(),
        location: Some(GeoPoint { latitude_e6, longitude_e6 }),
    }
}

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3_600);

for_each_database! { with world;
    async fn inv_r10_a_branch_may_dispense_while_both_licences_hold(world: World) {
        let branch = world.branch(&fresh_id("org"), PLACES[0]).await;
        assert!(!branch.may_dispense);
        assert!(!world.license(&branch.branch_id, LicenceKind::Premises, 10).await.may_dispense);
        let licensed = world.license(&branch.branch_id, LicenceKind::Superintendent, 3).await;
        assert!(licensed.may_dispense && licensed.licences.len() == 2 && licensed.etag != branch.etag);
        let get = GetBranchRequest { branch_id: branch.branch_id.clone() };
        let mut anyone = BranchServiceClient::new(world.mesh.nobody(&world.server).expect("a caller"));
        assert!(anyone.get_branch(get.clone()).await.expect("it").into_inner().branch.expect("it").may_dispense);
        world.clock.advance(3 * DAY);
        let later = anyone.get_branch(get).await.expect("it").into_inner().branch.expect("it");
        assert!(!later.may_dispense, "the superintendent's licence ended");
        assert_eq!(later.licences.len(), 1, "what is over is not shown");
    }

    async fn a_branch_is_entered_once_and_where_its_rules_are_known(world: World) {
        let operator = staff("operator");
        let mut client = world.branches(&operator);
        let asked = create(&fresh_id("org"), PLACES[0]);
        let first = client.create_branch(asked.clone()).await.expect("a branch").into_inner();
        assert_eq!(client.create_branch(asked.clone()).await.expect("again").into_inner(), first);
        let other = CreateBranchRequest { display_name: "Other".to_owned(), ..asked.clone() };
        assert_eq!(refused(client.create_branch(other).await), "REQUEST_ID_REUSED");
        let abroad = CreateBranchRequest { jurisdiction_code: "FR".to_owned(), request_id: request_id(), ..asked.clone() };
        assert_eq!(refused(client.create_branch(abroad).await), "FIELD_INVALID");
        let nowhere = CreateBranchRequest { time_zone: "Mars/Base".to_owned(), request_id: request_id(), ..asked };
        assert_eq!(refused(client.create_branch(nowhere).await), "FIELD_INVALID");
        let absent = GetBranchRequest { branch_id: fresh_id("brn") };
        assert_eq!(refused(client.get_branch(absent.clone()).await), "RESOURCE_NOT_FOUND");
        let licence = Licence { kind: LicenceKind::Premises.into(), number: "1".to_owned(), valid: world.days(1) };
        let mut asked = RecordLicenceRequest {
            request_id: request_id(),
            branch_id: absent.branch_id.clone(),
            licence: Some(licence),
        };
        assert_eq!(refused(client.record_licence(asked.clone()).await), "RESOURCE_NOT_FOUND");
        asked.branch_id = first.branch.expect("a branch").branch_id;
        let recorded = client.record_licence(asked.clone()).await.expect("a licence").into_inner();
        assert_eq!(client.record_licence(asked.clone()).await.expect("again").into_inner(), recorded);
        asked.licence.as_mut().expect("a licence").number = "2".to_owned();
        assert_eq!(refused(client.record_licence(asked).await), "REQUEST_ID_REUSED");
        let unknown = world.registration(&absent.branch_id, &operator, 1);
        assert_eq!(refused(client.register_pharmacist(unknown).await), "RESOURCE_NOT_FOUND");
    }

    async fn a_pharmacist_who_moves_keeps_the_name_of_the_register(world: World) {
        let (first, second) = (world.shop(PLACES[0]).await, world.shop(PLACES[1]).await);
        let asked = world.registration(&second.id, &first.pharmacist, 30);
        let operator = staff("operator");
        let moved = world.branches(&operator).register_pharmacist(asked.clone()).await.expect("moved").into_inner();
        let pharmacist = moved.pharmacist.clone().expect("a pharmacist");
        assert_eq!((pharmacist.pharmacist_id, pharmacist.branch_id), (first.pharmacist_id, second.id));
        let again = world.branches(&operator).register_pharmacist(asked.clone()).await.expect("again").into_inner();
        assert_eq!(again, moved);
        let other = RegisterPharmacistRequest { registration_number: "R-8".to_owned(), ..asked };
        assert_eq!(refused(world.branches(&operator).register_pharmacist(other).await), "REQUEST_ID_REUSED");
    }

    async fn branches_are_listed_by_name_page_by_page(world: World) {
        let organisation = fresh_id("org");
        for place in PLACES {
            world.branch(&organisation, place).await;
        }
        let mut client = world.branches(&somebody());
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = Some(types::PageRequest { page_size: 2, page_token: token });
            let asked = ListBranchesRequest { jurisdiction_code: "NG".to_owned(), page };
            let answer = client.list_branches(asked).await.expect("a page").into_inner();
            seen.extend(answer.branches.into_iter().map(|branch| branch.branch_id));
            token = answer.page.expect("a page").next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen.len(), 3);
        let page = Some(types::PageRequest { page_size: 2, page_token: "forged".to_owned() });
        let asked = ListBranchesRequest { jurisdiction_code: "NG".to_owned(), page };
        assert_eq!(refused(client.list_branches(asked).await), "PAGE_TOKEN_INVALID");
    }
}

/// A day as the contract writes it.
pub(crate) fn on(day: Date) -> Option<types::Date> {
    Some(day.to_wire())
}
