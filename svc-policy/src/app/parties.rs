//! Who is paid for a policy: nominees and the bank account, each a list of versions. A change is an endorsement without a
//! premium; it counts for what is decided from then on, and what was decided before keeps what held then.

use caremesh_db::Tx;
use caremesh_db::keys::{Field, PersonKey};
use caremesh_kernel::{Date, PolicyId, Timestamp};
use caremesh_mesh::{CallContext, Touched};
use futures::future::BoxFuture;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::change::{self, Decide, Draft, Target, must_be_in_force};
use super::policy::Policy;
use super::{App, Error, Once};
use crate::domain::life::{Amount, BankAccount, EndorsementKind, Nominee, NomineesRefused, check_nominees};
use crate::store::{Error as StoreError, Scope, party, policy};

const NOMINEES: &str = "NOMINEES";
const BANK: &str = "BANK";

/// What is to hold from now on.
#[derive(Clone)]
pub enum Party {
    /// The nominees.
    Nominees(Vec<Nominee>),
    /// The bank account.
    Bank(BankAccount),
}

/// What is asked.
#[derive(Clone)]
pub struct Input {
    /// Which policy.
    pub target: Target,
    /// What is to hold.
    pub party: Party,
}

/// What holds, or was known at an instant. It has no Debug.
pub struct Parties {
    /// The nominees, with the day from which they hold.
    pub nominees: Option<(Vec<Nominee>, Date)>,
    /// The bank account, with the day from which it holds.
    pub bank: Option<(BankAccount, Date)>,
}

/// Changes nominees or bank account, once per request_id.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Stale`], [`Error::Change`], [`Error::Field`].
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Policy, T>,
    input: Input,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    // The contract is its holder's alone.
    let scope = Scope { family: false, ..app.scope(context).await? };
    let found = policy::find(&app.db.read(context), app.db.kind(), &scope, input.target.policy).await?;
    let key = app.keys.key(context, found.ok_or(Error::NotFound)?.policy.policyholder).await?;
    let target = input.target.clone();
    change::run(app, context, scope, once, (target, Changing { party: input.party, key })).await
}

/// The nominees and the bank account of a policy, as they were known at an instant.
///
/// # Errors
/// [`Error::NotFound`] for a policy that the caller may not know.
pub async fn get(
    app: &App,
    context: &CallContext,
    id: PolicyId,
    as_of: Option<Timestamp>,
) -> Result<Parties, Error> {
    let scope = Scope { family: false, ..app.scope(context).await? };
    let reader = app.db.read(context);
    let found = policy::find(&reader, app.db.kind(), &scope, id).await?.ok_or(Error::NotFound)?;
    context.touched(Touched::read(found.policy.policyholder, id));
    let key = app.keys.key(context, found.policy.policyholder).await?;
    let instant = as_of.unwrap_or_else(|| app.clock.now());
    let nominees = party::known(&reader, app.db.kind(), (id, NOMINEES), instant).await?;
    let bank = party::known(&reader, app.db.kind(), (id, BANK), instant).await?;
    Ok(Parties {
        nominees: nominees.map(|row| opened(&key, &row)).transpose()?,
        bank: bank.map(|row| opened(&key, &row)).transpose()?,
    })
}

/// A new version, with the policyholder's key.
struct Changing {
    party: Party,
    key: PersonKey,
}

impl Decide for Changing {
    fn decide<'t>(&'t self, app: &'t App, tx: &'t Tx, draft: Draft) -> BoxFuture<'t, Result<Draft, Error>> {
        Box::pin(self.changed(app, tx, draft))
    }
}

impl Changing {
    async fn changed(&self, app: &App, tx: &Tx, mut draft: Draft) -> Result<Draft, Error> {
        must_be_in_force(app.living(&draft.next, tx.now())?.state)?;
        let (_, law) = app.plan_and_law(draft.next.plan_version())?;
        let today = law.zone.day_of(tx.now());
        let (policy, number) = (draft.next.policy.id, draft.next.policy.version);
        let (kind, endorsed, sealed, mark) = match &self.party {
            Party::Nominees(nominees) => {
                check_nominees(nominees, today).map_err(refused)?;
                let sealed = sealed(&self.key, &row_name(policy, NOMINEES, number), nominees)?;
                (NOMINEES, EndorsementKind::Nominees, sealed, None)
            }
            Party::Bank(bank) => {
                let sealed = sealed(&self.key, &row_name(policy, BANK, number), bank)?;
                let account = format!("{}:{}", bank.bank_code, bank.number);
                (
                    BANK,
                    EndorsementKind::Bank,
                    sealed,
                    Some(app.secrets.blind_index("policy_party.bank", &account)),
                )
            }
        };
        let row = party::Row {
            policy_id: policy,
            kind: kind.to_owned(),
            number,
            effective_on: today,
            mark,
            detail_sealed: sealed,
            known_from: tx.now().as_micros(),
        };
        draft.endorse(endorsed, (today, None), Amount::default(), Amount::default());
        draft.parties.push(row);
        Ok(draft)
    }
}

fn refused(refusal: NomineesRefused) -> Error {
    let field = |field: String, rule| Error::Field { field, rule };
    match refusal {
        NomineesRefused::Shares => field("nominees".to_owned(), "nominees.shares_are_10000_bps"),
        NomineesRefused::AppointeeMissing(place) => {
            field(format!("nominees[{place}].appointee_name"), "nominees.minor_has_appointee")
        }
        NomineesRefused::NotBorn(place) => {
            field(format!("nominees[{place}].birth_date"), "date.not_in_future")
        }
    }
}

/// Name of a row, to which its sealed column is bound.
fn row_name(policy: PolicyId, kind: &str, number: i64) -> String {
    format!("{policy}:{kind}:{number}")
}

fn detail(row: &str) -> Field<'_> {
    Field { table: "policy_party", column: "detail_sealed", row }
}

fn sealed<T: Serialize>(key: &PersonKey, row: &str, plain: &T) -> Result<String, Error> {
    let plain = serde_json::to_vec(plain).map_err(|_| StoreError::Corrupt("policy_party.detail"))?;
    Ok(hex::encode(key.seal(detail(row), &plain)?))
}

fn opened<T: DeserializeOwned>(key: &PersonKey, row: &party::Row) -> Result<(T, Date), Error> {
    let corrupt = |_| StoreError::Corrupt("policy_party.detail");
    let sealed = hex::decode(&row.detail_sealed).map_err(|_| StoreError::Corrupt("policy_party.detail"))?;
    let plain = key.open(detail(&row_name(row.policy_id, &row.kind, row.number)), &sealed)?;
    Ok((serde_json::from_slice(&plain).map_err(corrupt)?, row.effective_on))
}
