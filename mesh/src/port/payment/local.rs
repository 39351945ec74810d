//! The local payment provider: a book in memory and, if wanted, in a file that survives the process. It can be late, double
//! (the movement happens and the answer is lost), declining, failing and reversing on demand, so that those who call it can
//! be tried. Must not know what is paid for.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use caremesh_kernel::Money;
use serde::{Deserialize, Serialize};

use super::{Payment, PaymentError, PaymentRefusal, Payments, Source};

/// What goes wrong with the next movement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happens and there is no answer.
    Failing,
    /// It happens, and the answer is lost: the caller asks twice.
    Double,
    /// It is not decided yet.
    Late,
    /// It is declined for good.
    Declined,
    /// It happens and is answered, and the authorisation is taken back right after.
    Reversed,
}

/// The local provider. A cheap clone; clones share the book.
#[derive(Debug, Clone, Default)]
pub struct LocalPayments(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    payments: BTreeMap<String, Payment>,
    done: HashSet<String>,
    faults: VecDeque<Fault>,
    file: Option<File>,
}

/// A movement as it stands in the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Movement {
    payment: String,
    key: String,
    kind: Kind,
    amount: Option<Money>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Authorise,
    Capture,
    Refund,
    Void,
}

impl LocalPayments {
    /// A provider whose book is this file: read when it is there, and written through to the disk with each movement.
    ///
    /// # Errors
    /// When the file cannot be read or written. A last line that was cut off by a crash was never answered and is dropped.
    pub fn open(path: &Path) -> Result<Self, std::io::Error> {
        let mut book = Book::default();
        if path.is_file() {
            for line in BufReader::new(File::open(path)?).lines() {
                let Ok(movement) = serde_json::from_str::<Movement>(&line?) else { continue };
                let applied = book.apply(&movement);
                debug_assert!(applied.is_ok(), "what the book holds was possible once");
            }
        }
        book.file = Some(OpenOptions::new().create(true).append(true).open(path)?);
        Ok(Self(Arc::new(Mutex::new(book))))
    }

    /// The next movements go wrong in these ways, one after the other.
    pub fn will(&self, faults: impl IntoIterator<Item = Fault>) {
        self.book().faults.extend(faults);
    }

    /// A payment as the book has it.
    #[must_use]
    pub fn find(&self, payment: &str) -> Option<Payment> {
        self.book().payments.get(payment).cloned()
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn go(&self, movement: &Movement) -> Result<(), PaymentError> {
        let mut book = self.book();
        match book.faults.pop_front() {
            Some(Fault::Failing) => return Err(PaymentError::Unavailable),
            Some(Fault::Late) => return Err(PaymentError::Pending),
            Some(Fault::Declined) => return Err(PaymentError::Declined),
            Some(Fault::Double) => {
                book.keep(movement)?;
                return Err(PaymentError::Unavailable);
            }
            Some(Fault::Reversed) => {
                book.keep(movement)?;
                let reversal = Movement { key: "reversed".to_owned(), kind: Kind::Void, ..movement.clone() };
                return book.keep(&reversal);
            }
            None => {}
        }
        book.keep(movement)
    }
}

impl Book {
    /// The same key again changes nothing.
    fn apply(&mut self, movement: &Movement) -> Result<bool, PaymentRefusal> {
        let key = format!("{}/{:?}/{}", movement.payment, movement.kind, movement.key);
        if self.done.contains(&key) {
            return Ok(false);
        }
        let found = self.payments.get(&movement.payment).cloned();
        let after = match (movement.kind, found, movement.amount) {
            (Kind::Authorise, None, Some(amount)) => Payment::authorised(amount)?,
            (Kind::Authorise, Some(_), _) => return Err(PaymentRefusal::Over),
            (Kind::Capture, Some(payment), Some(amount)) => payment.captured(amount)?,
            (Kind::Refund, Some(payment), Some(amount)) => payment.refunded(amount)?,
            (Kind::Void, Some(payment), _) => payment.voided(),
            (Kind::Void, None, _) => return Ok(false),
            _ => return Err(PaymentRefusal::Unknown),
        };
        self.payments.insert(movement.payment.clone(), after);
        self.done.insert(key);
        Ok(true)
    }

    /// Applies and writes down; what could not be written has not happened, as far as the caller may know.
    fn keep(&mut self, movement: &Movement) -> Result<(), PaymentError> {
        if !self.apply(movement)? {
            return Ok(());
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let line = serde_json::to_string(movement).map_err(|_| PaymentError::Unavailable)?;
        // Each line begins anew, so that one that a crash cut off spoils none after it.
        let written = write!(file, "\n{line}").and_then(|()| file.sync_data());
        written.map_err(|error| {
            tracing::error!(error = %error, "the local payment book cannot be written");
            PaymentError::Unavailable
        })
    }
}

#[async_trait]
impl Payments for LocalPayments {
    async fn authorise(&self, payment: &str, amount: Money, _: &Source) -> Result<(), PaymentError> {
        self.go(&movement(payment, "", Kind::Authorise, Some(amount)))
    }

    async fn capture(&self, payment: &str, key: &str, amount: Money) -> Result<(), PaymentError> {
        self.go(&movement(payment, key, Kind::Capture, Some(amount)))
    }

    async fn refund(&self, payment: &str, key: &str, amount: Money) -> Result<(), PaymentError> {
        self.go(&movement(payment, key, Kind::Refund, Some(amount)))
    }

    async fn void(&self, payment: &str) -> Result<(), PaymentError> {
        self.go(&movement(payment, "", Kind::Void, None))
    }
}

fn movement(payment: &str, key: &str, kind: Kind, amount: Option<Money>) -> Movement {
    Movement { payment: payment.to_owned(), key: key.to_owned(), kind, amount }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::payment::PaymentState;
    use caremesh_kernel::Currency;

    fn naira(minor: i64) -> Money {
        Money::new(Currency::NGN, minor)
    }

    fn card() -> Source {
        Source::from("card")
    }

    #[tokio::test]
    async fn the_same_key_moves_money_once_also_when_the_answer_was_lost() {
        let bank = LocalPayments::default();
        bank.will([Fault::Double]);
        assert_eq!(bank.authorise("p", naira(100), &card()).await, Err(PaymentError::Unavailable));
        bank.authorise("p", naira(100), &card()).await.unwrap();
        bank.will([Fault::Failing, Fault::Double]);
        assert_eq!(bank.capture("p", "1", naira(60)).await, Err(PaymentError::Unavailable));
        assert_eq!(bank.capture("p", "1", naira(60)).await, Err(PaymentError::Unavailable));
        bank.capture("p", "1", naira(60)).await.unwrap();
        bank.capture("p", "2", naira(40)).await.unwrap();
        assert_eq!(bank.find("p").unwrap().captured, naira(100));
        for _ in 0..2 {
            bank.refund("p", "1", naira(30)).await.unwrap();
        }
        assert_eq!(bank.find("p").unwrap().kept_minor(), 70);
    }

    #[tokio::test]
    async fn a_late_or_declined_movement_has_not_happened_and_a_reversed_one_can_take_nothing() {
        let bank = LocalPayments::default();
        bank.will([Fault::Late, Fault::Declined]);
        assert_eq!(bank.authorise("p", naira(9), &card()).await, Err(PaymentError::Pending));
        assert_eq!(bank.authorise("p", naira(9), &card()).await, Err(PaymentError::Declined));
        assert!(bank.find("p").is_none());
        bank.void("p").await.unwrap();
        bank.will([Fault::Reversed]);
        bank.authorise("p", naira(9), &card()).await.unwrap();
        assert_eq!(bank.capture("p", "1", naira(9)).await, Err(PaymentRefusal::Over.into()));
        assert_eq!(bank.find("p").unwrap().state(), PaymentState::Failed);
    }

    #[tokio::test]
    async fn the_book_survives_its_process_and_a_line_that_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("payments.jsonl");
        let bank = LocalPayments::open(&path).unwrap();
        bank.authorise("p", naira(100), &card()).await.unwrap();
        bank.capture("p", "1", naira(60)).await.unwrap();
        drop(bank);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"payment\":\"p\"").unwrap();
        let again = LocalPayments::open(&path).unwrap();
        again.capture("p", "1", naira(60)).await.unwrap();
        again.capture("p", "2", naira(40)).await.unwrap();
        drop(again);
        assert_eq!(LocalPayments::open(&path).unwrap().find("p").unwrap().captured, naira(100));
    }
}
