//! Whose trail a person may read: the own one and the family's, which svc-policy is asked for.

use caremesh_proto::pharmacy::v1::ListAccessRequest;
use caremesh_testkit::for_each_database;

use crate::common::*;

for_each_database! { with world;
    async fn a_trail_is_shown_to_the_person_and_the_family_and_to_nobody_else(world: World) {
        let family = world.family().await;
        let stranger = world.uninsured().await;
        let asked = |n: usize| ListAccessRequest { person_id: family.person(n), page: None };
        for n in [0, 1, 4] {
            world.audit(&family.holder).list_access(asked(n)).await.expect("the own family's trail");
            world.audit(&staff("auditor")).list_access(asked(n)).await.expect("any trail");
            assert_eq!(refused(world.audit(&stranger).list_access(asked(n)).await), "RESOURCE_NOT_FOUND");
        }
    }

    async fn a_cursor_that_the_feed_did_not_give_is_refused(world: World) {
        let asked = |cursor: &str| caremesh_proto::pharmacy::v1::ListEventsRequest { cursor: cursor.to_owned(), limit: 0 };
        assert_eq!(refused(world.feed().list_events(asked("yesterday")).await), "CURSOR_INVALID");
        assert_eq!(refused(world.feed().list_events(asked("-1")).await), "CURSOR_INVALID");
        assert!(world.feed().list_events(asked("")).await.expect("an answer").into_inner().events.is_empty());
    }
}
