//! A person's key opens what it sealed, there and only there, until it is destroyed.

use std::sync::Arc;

use caremesh_db::keys::{Field, LocalKeys, PersonKeys, rotate};
use caremesh_db::{Db, Error};
use caremesh_kernel::{IdSource as _, PersonId, SystemIds};
use caremesh_mesh::Touched;
use caremesh_testkit::for_each_database;

use crate::common::{Store, call, number, store};

const PHONE: Field<'_> = Field { table: "person", column: "phone", row: "per_1" };

fn keys(store: &Store, db: &Db, service: &str) -> (PersonKeys, Arc<LocalKeys>) {
    let provider = Arc::new(LocalKeys::open_or_create(store.folder.path().join("kek.json")).expect("keys"));
    (PersonKeys::new(db, Arc::clone(&provider) as _, service), provider)
}

fn person() -> PersonId {
    PersonId::from_uuid(SystemIds.uuid())
}

for_each_database! { with store;
    async fn destroying_a_key_makes_its_fields_unreadable_for_every_replica_and_for_good(store: Store) {
        let db = store.open().await;
        let (keys_here, _) = keys(&store, &db, "svc-policy");
        let (ada, bayo) = (person(), person());
        let sealed = keys_here.key(&call(), ada).await.expect("made").seal(PHONE, b"+2348012345678").expect("sealed");
        let other = keys_here.key(&call(), bayo).await.expect("made").seal(PHONE, b"+2348000000000").expect("sealed");
        assert!(!sealed.windows(8).any(|window| window == b"+2348012"));

        let (elsewhere, _) = keys(&store, &db, "svc-policy");
        let opened = elsewhere.key(&call(), ada).await.expect("found").open(PHONE, &sealed).expect("opened");
        assert_eq!(opened.as_slice(), b"+2348012345678");

        keys_here.destroy(&call(), ada).await.expect("destroyed");
        let (fresh, _) = keys(&store, &db, "svc-policy");
        for keys in [&keys_here, &fresh] {
            assert!(matches!(keys.key(&call(), ada).await, Err(Error::KeyDestroyed)));
            assert!(keys.find(&call(), ada).await.expect("read").is_none());
        }
        let bayos = fresh.key(&call(), bayo).await.expect("untouched");
        assert_eq!(bayos.open(PHONE, &other).expect("opened").as_slice(), b"+2348000000000");
        assert!(bayos.open(PHONE, &sealed).is_err(), "another person's key");
        assert_eq!(fresh.erasures(&call()).await.expect("list"), vec![ada]);
    }

    async fn a_restored_backup_is_erased_again_by_replaying_the_list(store: Store) {
        let db = store.open().await;
        let (keys, _) = keys(&store, &db, "svc-policy");
        let ada = person();
        keys.key(&call(), ada).await.expect("made");
        db.write(&call(), |tx| Box::pin(async move {
            use sea_orm::ConnectionTrait as _;
            tx.execute_unprepared("CREATE TABLE backup AS SELECT * FROM data_key").await.map(|_| ()).map_err(Error::from)
        })).await.expect("backup");
        keys.destroy(&call(), ada).await.expect("destroyed");
        let list = keys.erasures(&call()).await.expect("list");
        db.write(&call(), |tx| Box::pin(async move {
            use sea_orm::ConnectionTrait as _;
            tx.execute_unprepared("DELETE FROM erasure").await?;
            tx.execute_unprepared("INSERT INTO data_key SELECT * FROM backup").await.map(|_| ()).map_err(Error::from)
        })).await.expect("restored");
        assert!(keys.find(&call(), ada).await.expect("read").is_some(), "the restore brought it back");
        keys.replay_erasures(&call(), &list).await.expect("replayed");
        assert!(keys.find(&call(), ada).await.expect("read").is_none());
        assert_eq!(number(&db, "SELECT count(*) FROM data_key").await, 0);
    }

    async fn a_field_opens_only_where_it_was_stored_and_only_in_its_service(store: Store) {
        let db = store.open().await;
        let (policy, _) = keys(&store, &db, "svc-policy");
        let (claims, _) = keys(&store, &db, "svc-claims");
        let ada = person();
        let key = policy.key(&call(), ada).await.expect("made");
        let sealed = key.seal(PHONE, b"x").expect("sealed");
        for moved in [Field { row: "per_2", ..PHONE }, Field { column: "email", ..PHONE }, Field { table: "t", ..PHONE }] {
            assert!(matches!(key.open(moved, &sealed), Err(Error::Sealed)), "{moved:?}");
        }
        assert!(claims.key(&call(), ada).await.expect("made").open(PHONE, &sealed).is_err());
    }

    async fn keys_rotate_and_are_wrapped_anew_without_losing_a_field(store: Store) {
        let db = store.open().await;
        let (keys_before, provider) = keys(&store, &db, "svc-policy");
        let persons: Vec<PersonId> = (0..5).map(|_| person()).collect();
        let mut sealed = Vec::new();
        for person in &persons {
            sealed.push(keys_before.key(&call(), *person).await.expect("made").seal(PHONE, b"old").expect("sealed"));
        }
        let newer = keys_before.rotate(&call(), persons[0]).await.expect("rotated");
        assert_eq!(newer.open(PHONE, &sealed[0]).expect("older version").as_slice(), b"old");
        assert_ne!(newer.seal(PHONE, b"new").expect("sealed")[1..5], sealed[0][1..5]);

        provider.rotate().expect("a new key-encryption key");
        assert_eq!(keys_before.rewrap(&call(), 4).await.expect("some"), 4);
        assert_eq!(keys_before.rewrap(&call(), 4).await.expect("rest"), 2);
        assert_eq!(keys_before.rewrap(&call(), 4).await.expect("none"), 0);
        let (after, _) = keys(&store, &db, "svc-policy");
        let found = after.find_many(&call(), &persons).await.expect("one query");
        for (person, sealed) in persons.iter().zip(&sealed) {
            assert_eq!(found[person].open(PHONE, sealed).expect("opened").as_slice(), b"old");
        }
    }

    async fn a_rotation_that_broke_off_is_gone_on_with_and_no_field_is_unreadable_in_between(store: Store) {
        let db = store.open().await;
        let (service, provider) = keys(&store, &db, "svc-policy");
        let persons: Vec<PersonId> = (0..450).map(|_| person()).collect();
        let mut sealed = Vec::new();
        for person in &persons {
            sealed.push(service.key(&call(), *person).await.expect("made").seal(PHONE, b"x").expect("sealed"));
        }
        // The command broke off after its first step.
        provider.rotate().expect("a new key-encryption key");
        assert_eq!(service.rewrap(&call(), 200).await.expect("some"), 200);
        let (command, ring) = keys(&store, &db, "svc-policy");
        let (half, _) = keys(&store, &db, "svc-policy");
        let found = half.find_many(&call(), &persons).await.expect("half and half");
        assert!(persons.iter().zip(&sealed).all(|(person, sealed)| found[person].open(PHONE, sealed).is_ok()));

        let told = std::sync::Mutex::new(Vec::new());
        let progress = |done: i64, all: i64| told.lock().expect("told").push((done, all));
        let outcome = rotate(&command, &ring, &call(), &progress).await.expect("rotated");
        assert_eq!((outcome.kek.as_str(), outcome.resumed, outcome.rewrapped), ("local-2", true, 250));
        assert_eq!(*told.lock().expect("told"), [(200, 450), (400, 450), (450, 450)]);
        // A service that was there before the rotation makes keys that a service started after it can open.
        let late = person();
        let field = service.key(&call(), late).await.expect("made").seal(PHONE, b"y").expect("sealed");
        let (after, _) = keys(&store, &db, "svc-policy");
        assert_eq!(after.key(&call(), late).await.expect("found").open(PHONE, &field).expect("opened").as_slice(), b"y");
        let next = rotate(&command, &ring, &call(), &|_, _| ()).await.expect("the next one");
        assert_eq!((next.kek.as_str(), next.resumed, next.rewrapped), ("local-3", false, 451));
        assert_eq!(number(&db, "SELECT count(*) FROM data_key WHERE kek <> 'local-3'").await, 0);
    }

    async fn what_a_call_has_touched_stays_with_the_call_when_a_key_is_made_for_it(store: Store) {
        let db = store.open().await;
        let context = call();
        let ada = person();
        context.touched(Touched::read(ada, ada));
        keys(&store, &db, "svc-policy").0.key(&context, ada).await.expect("made");
        assert_eq!(context.take_touched(), vec![Touched::read(ada, ada)], "the service's own trail gets it");
    }

    async fn fifty_first_uses_at_once_make_one_key(store: Store) {
        let db = store.open().await;
        let ada = person();
        let first = keys(&store, &db, "svc-policy").0;
        let sealed = first.key(&call(), ada).await.expect("made").seal(PHONE, b"x").expect("sealed");
        let bayo = person();
        let users: Vec<_> = (0..50).map(|_| {
            let keys = keys(&store, &db, "svc-policy").0;
            tokio::spawn(async move { keys.key(&call(), bayo).await.expect("made").seal(PHONE, b"x").expect("sealed") })
        }).collect();
        let key = first.key(&call(), bayo).await.expect("found");
        for user in users {
            assert_eq!(key.open(PHONE, &user.await.expect("no panic")).expect("one key for all").as_slice(), b"x");
        }
        assert!(key.open(PHONE, &sealed).is_err());
        assert_eq!(number(&db, "SELECT count(*) FROM data_key").await, 2);
    }
}
