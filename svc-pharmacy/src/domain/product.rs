//! A medicinal product as it is sold, and what of a source's row can be one. Knows no file, no index and no price of a branch.

use std::fmt;

use caremesh_kernel::{Money, ProductId, Timestamp, Uuid};

/// Under which rule a product leaves the counter in its country.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DispensingClass {
    /// The source does not say; sold like one that needs a prescription.
    #[default]
    Unknown,
    /// Sold without a prescription.
    OverTheCounter,
    /// Sold against a prescription only.
    PrescriptionOnly,
    /// Under a controlled schedule; never sold online.
    Controlled,
}

impl DispensingClass {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Unknown, Self::OverTheCounter, Self::PrescriptionOnly, Self::Controlled];

    /// Its word in a column, in a facet and in the feed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::OverTheCounter => "OVER_THE_COUNTER",
            Self::PrescriptionOnly => "PRESCRIPTION_ONLY",
            Self::Controlled => "CONTROLLED",
        }
    }

    /// The class of a word; an unknown word is no class.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.word() == word)
    }
}

/// A product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Product {
    /// Its code at its source, unique.
    pub code: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// The name on the pack.
    pub name: String,
    /// Active ingredients as the source writes them.
    pub generic: String,
    /// Strength of each ingredient.
    pub strength: String,
    /// Dose form.
    pub form: String,
    /// How it is taken.
    pub route: String,
    /// What one pack is.
    pub pack: String,
    /// Who makes it.
    pub manufacturer: String,
    /// ATC code.
    pub atc: String,
    /// The rule under which it is handed out.
    pub class: DispensingClass,
    /// The schedule of its country.
    pub schedule: String,
    /// Price of one pack in the list of its country.
    pub price: Option<Money>,
    /// The register's number.
    pub registration: String,
    /// No longer sold.
    pub discontinued: bool,
}

/// A product as the catalogue has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogued {
    /// The product.
    pub product: Product,
    /// 1 and up, by one at every change.
    pub version: i64,
    /// When it last changed.
    pub updated: Timestamp,
}

/// Why a row is no product. Its name is what an import reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowRefusal {
    /// It has no code.
    #[error("code_missing")]
    CodeMissing,
    /// Its code is longer than 64 characters or holds control characters.
    #[error("code_malformed")]
    CodeMalformed,
    /// It has no name with a letter or a digit.
    #[error("name_missing")]
    NameMissing,
    /// A text is longer than the catalogue keeps.
    #[error("text_too_long")]
    TextTooLong,
    /// Its country is no ISO 3166-1 alpha-2 code.
    #[error("country_malformed")]
    CountryMalformed,
    /// Its price is negative or no amount.
    #[error("price_malformed")]
    PriceMalformed,
    /// Another row of the same request has its code.
    #[error("code_repeated")]
    CodeRepeated,
    /// The line has not the columns of the header, or is no UTF-8.
    #[error("line_malformed")]
    LineMalformed,
}

/// Longest code, in characters.
const CODE: usize = 64;
/// Longest other text.
const TEXT: usize = 1_000;
/// What a code is derived under: the same code is the same product for ever.
const NAMESPACE: Uuid = Uuid::from_u128(0x7c1d_5d3e_06f0_4d0e_9d8c_2c57_4d2a_61b0);

impl Product {
    /// Its id, derived from its code.
    #[must_use]
    pub fn id(&self) -> ProductId {
        id_of(&self.code)
    }

    /// The product that a row means: texts trimmed, blanks and control characters made one blank.
    ///
    /// # Errors
    /// [`RowRefusal`] names the first thing that cannot be meant.
    pub fn accepted(mut self) -> Result<Self, RowRefusal> {
        for text in self.texts() {
            *text = tidy(text);
        }
        if self.code.is_empty() {
            return Err(RowRefusal::CodeMissing);
        }
        if self.code.chars().count() > CODE {
            return Err(RowRefusal::CodeMalformed);
        }
        if !self.name.chars().any(char::is_alphanumeric) {
            return Err(RowRefusal::NameMissing);
        }
        if self.country.len() != 2 || !self.country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(RowRefusal::CountryMalformed);
        }
        if self.texts().iter().any(|text| text.chars().count() > TEXT) {
            return Err(RowRefusal::TextTooLong);
        }
        if self.price.is_some_and(|price| price.minor < 0) {
            return Err(RowRefusal::PriceMalformed);
        }
        Ok(self)
    }

    fn texts(&mut self) -> [&mut String; 12] {
        [
            &mut self.code,
            &mut self.country,
            &mut self.name,
            &mut self.generic,
            &mut self.strength,
            &mut self.form,
            &mut self.route,
            &mut self.pack,
            &mut self.manufacturer,
            &mut self.atc,
            &mut self.schedule,
            &mut self.registration,
        ]
    }
}

impl fmt::Display for DispensingClass {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

/// The id of the product with a code.
#[must_use]
pub fn id_of(code: &str) -> ProductId {
    ProductId::from_uuid(Uuid::new_v5(&NAMESPACE, code.as_bytes()))
}

fn tidy(text: &str) -> String {
    let blank = |c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}';
    let words: Vec<&str> = text.split(blank).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Product {
        Product { code: "IN-1".into(), country: "IN".into(), name: "Crocin".into(), ..Product::default() }
    }

    #[test]
    fn texts_are_tidied_and_the_id_follows_from_the_code() {
        let product =
            Product { name: " \u{feff}Crocin\t 500\u{0} mg ".into(), ..row() }.accepted().expect("a product");
        assert_eq!(product.name, "Crocin 500 mg");
        assert_eq!(product.id(), row().id());
        assert_ne!(product.id(), id_of("IN-2"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        let refused = |row: Product| row.accepted().expect_err("not a product").to_string();
        assert_eq!(refused(Product { code: " ".into(), ..row() }), "code_missing");
        assert_eq!(refused(Product { code: "x".repeat(65), ..row() }), "code_malformed");
        assert_eq!(refused(Product { name: " - ".into(), ..row() }), "name_missing");
        assert_eq!(refused(Product { country: "India".into(), ..row() }), "country_malformed");
        assert_eq!(refused(Product { generic: "x".repeat(1_001), ..row() }), "text_too_long");
    }
}
