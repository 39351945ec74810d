//! The formats of files that are known by their header, and how a row of each is a product. It knows no file.

use caremesh_kernel::Currency;

use super::price::price;
use crate::domain::product::{DispensingClass, Product};

/// A format of files of medicines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Our own: `product_id`, `country`, `name` and more.
    Catalogue,
    /// The "A-Z Medicine Dataset of India": `id`, `name`, `price(₹)`, `Is_discontinued`, `manufacturer_name`, `type`,
    /// `pack_size_label`, `short_composition1`, `short_composition2`.
    AzIndia,
}

const CATALOGUE: &[&str] = &[
    "product_id",
    "country",
    "name",
    "generic",
    "strength",
    "form",
    "route",
    "pack",
    "manufacturer",
    "price",
    "currency",
    "rx",
    "atc",
    "reg_no",
    "expires",
];
const AZ_INDIA: &[&str] = &[
    "id",
    "name",
    "price",
    "is_discontinued",
    "manufacturer_name",
    "type",
    "pack_size_label",
    "short_composition1",
    "short_composition2",
];
/// Columns without which a file is not of the format.
const NEEDED: usize = 3;

/// Words of pack labels and names that tell a form, as the catalogue names it.
const FORMS: &[(&str, &str)] = &[
    ("tablet sr", "SR Tablet"),
    ("tablet er", "ER Tablet"),
    ("tablet dt", "Dispersible Tablet"),
    ("tablet md", "Mouth-dissolving Tablet"),
    ("tablet", "Tablet"),
    ("capsule", "Capsule"),
    ("dry syrup", "Dry Syrup"),
    ("syrup", "Syrup"),
    ("oral suspension", "Oral Suspension"),
    ("suspension", "Suspension"),
    ("injection", "Injection"),
    ("infusion", "Infusion"),
    ("eye drop", "Eye Drops"),
    ("drop", "Drops"),
    ("cream", "Cream"),
    ("ointment", "Ointment"),
    ("lotion", "Lotion"),
    ("gel", "Gel"),
    ("inhaler", "Inhaler"),
    ("powder", "Powder"),
    ("solution", "Solution"),
];

type Places = Vec<Option<usize>>;

impl Format {
    const ALL: [Self; 2] = [Self::Catalogue, Self::AzIndia];

    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Catalogue => CATALOGUE,
            Self::AzIndia => AZ_INDIA,
        }
    }

    /// The format of a header, and where its columns stand; otherwise the column that is missing.
    pub(super) fn of(header: &[String], wanted: Option<Self>) -> Result<(Self, Places), &'static str> {
        let names: Vec<String> = header.iter().map(|name| plain(name)).collect();
        let mut missing = CATALOGUE[0];
        for format in Self::ALL.into_iter().filter(|format| wanted.is_none_or(|wanted| wanted == *format)) {
            let columns = format.columns();
            let places: Places =
                columns.iter().map(|column| names.iter().position(|name| name == column)).collect();
            match places.iter().take(NEEDED).position(Option::is_none) {
                None => return Ok((format, places)),
                Some(place) if place > 0 || wanted.is_some() => missing = columns[place],
                Some(_) => {}
            }
        }
        Err(missing)
    }

    /// The product of a row, whose texts stand in the order of the columns; and whether a price stands there that cannot be
    /// read.
    pub(super) fn product(self, texts: &[&str]) -> (Product, bool) {
        match self {
            Self::Catalogue => catalogue(texts),
            Self::AzIndia => az_india(texts),
        }
    }
}

/// `price(₹)` is `price`, whatever the encoding has made of the sign.
fn plain(name: &str) -> String {
    let name = name.trim_start_matches('\u{feff}').trim().to_lowercase();
    name.split('(').next().unwrap_or_default().trim().to_owned()
}

fn catalogue(texts: &[&str]) -> (Product, bool) {
    let text = |place: usize| texts.get(place).copied().unwrap_or_default().trim();
    let currency: Option<Currency> = text(10).parse().ok();
    let amount = currency.and_then(|currency| price(text(9), currency));
    let product = Product {
        code: text(0).to_owned(),
        country: text(1).to_owned(),
        name: text(2).to_owned(),
        generic: text(3).to_owned(),
        strength: text(4).to_owned(),
        form: text(5).to_owned(),
        route: text(6).to_owned(),
        pack: text(7).to_owned(),
        manufacturer: text(8).to_owned(),
        atc: if is_atc(text(12)) { text(12).to_owned() } else { String::new() },
        class: class(text(11)),
        price: amount,
        registration: text(13).to_owned(),
        ..Product::default()
    };
    (product, !text(9).is_empty() && amount.is_none())
}

fn az_india(texts: &[&str]) -> (Product, bool) {
    let text = |place: usize| texts.get(place).copied().unwrap_or_default().trim();
    let amount = price(text(2), Currency::INR);
    let parts: Vec<&str> = [text(7), text(8)].into_iter().filter(|part| !part.is_empty()).collect();
    let strengths: Vec<&str> = parts.iter().filter_map(|part| in_brackets(part)).collect();
    let code = if text(0).is_empty() { String::new() } else { format!("AZ-{}", text(0)) };
    let product = Product {
        code,
        country: "IN".to_owned(),
        name: text(1).to_owned(),
        generic: parts.join(" + "),
        strength: strengths.join("; "),
        form: form(text(6)).or_else(|| form(text(1))).unwrap_or_default().to_owned(),
        pack: text(6).to_owned(),
        manufacturer: text(4).to_owned(),
        price: amount,
        discontinued: text(3).eq_ignore_ascii_case("true"),
        ..Product::default()
    };
    (product, !text(2).is_empty() && amount.is_none())
}

/// `Amoxycillin  (500mg)` has `500mg`.
fn in_brackets(part: &str) -> Option<&str> {
    let (_, rest) = part.rsplit_once('(')?;
    rest.split_once(')').map(|(inside, _)| inside.trim())
}

fn form(text: &str) -> Option<&'static str> {
    let text = text.to_lowercase().replace("tablets", "tablet");
    FORMS.iter().find(|(word, _)| text.contains(word)).map(|(_, form)| *form)
}

fn class(word: &str) -> DispensingClass {
    match word {
        "RX" => DispensingClass::PrescriptionOnly,
        "OTC" => DispensingClass::OverTheCounter,
        "CONTROLLED" => DispensingClass::Controlled,
        _ => DispensingClass::Unknown,
    }
}

/// Letter, two digits, two letters, two digits; a shorter one names a branch of the classification.
fn is_atc(code: &str) -> bool {
    let fits = |(place, byte): (usize, u8)| match place {
        0 | 3 | 4 => byte.is_ascii_uppercase(),
        _ => byte.is_ascii_digit(),
    };
    matches!(code.len(), 1 | 3 | 4 | 5 | 7) && code.bytes().enumerate().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_known_in_any_order_and_a_missing_column_is_named() {
        let names = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let found = |text: &str| Format::of(&names(text), None).map(|(format, _)| format);
        assert_eq!(found("\u{feff}name,product_id,country"), Ok(Format::Catalogue));
        let az = "id,name,price(₹),Is_discontinued,manufacturer_name,type,pack_size_label,short_composition1";
        assert_eq!(found(az), Ok(Format::AzIndia));
        assert_eq!(found("id,title"), Err("name"));
        assert_eq!(found("a,b"), Err("product_id"));
    }

    #[test]
    fn a_row_of_the_india_dataset_gives_ingredients_strengths_and_form() {
        let row = [
            "1",
            "Augmentin 625 Duo Tablet",
            "223.42",
            "FALSE",
            "Glaxo SmithKline Pharmaceuticals Ltd",
            "allopathy",
            "strip of 10 tablets",
            "Amoxycillin  (500mg)",
            " Clavulanic Acid (125mg)",
        ];
        let (product, unread) = Format::AzIndia.product(&row);
        assert!(!unread);
        assert_eq!((product.code.as_str(), product.form.as_str()), ("AZ-1", "Tablet"));
        assert_eq!(product.strength, "500mg; 125mg");
        assert_eq!(product.price.map(|price| price.minor), Some(22_342));
    }
}
