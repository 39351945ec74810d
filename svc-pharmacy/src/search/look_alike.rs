//! Names that are taken for each other in reading, hearing or typing, with the letters raised that tell them apart
//! (Tall-Man). Data; it decides nothing about a result.

use std::collections::HashMap;

/// Pairs of look-alike, sound-alike names.
pub(crate) struct LookAlikes {
    partners: HashMap<String, Vec<&'static str>>,
    tall_man: HashMap<String, &'static str>,
}

const BUILT_IN: &str = include_str!("data/look_alike.txt");

impl LookAlikes {
    /// Those that ship with the product.
    pub(crate) fn built_in() -> Self {
        let mut pairs = Self { partners: HashMap::new(), tall_man: HashMap::new() };
        for line in BUILT_IN.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let names: Vec<&str> = line.split('|').collect();
            for name in &names {
                let others = names.iter().copied().filter(|other| other != name);
                pairs.partners.entry(name.to_lowercase()).or_default().extend(others);
                pairs.tall_man.insert(name.to_lowercase(), name);
            }
        }
        pairs
    }

    /// Every name that has a look-alike, in lower case.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tall_man.keys().map(String::as_str)
    }

    /// A name in Tall-Man letters, if it has a look-alike.
    pub(crate) fn tall_man(&self, name: &str) -> Option<&'static str> {
        self.tall_man.get(name).copied()
    }

    /// The look-alikes of a name, in Tall-Man letters.
    pub(crate) fn partners(&self, name: &str) -> &[&'static str] {
        self.partners.get(name).map(Vec::as_slice).unwrap_or_default()
    }
}
