//! Names of substances as people and registers write them, made comparable. Knows no list of substances.

/// Words that name a salt, a form or a strength and not the substance.
const NOT_A_SUBSTANCE: [&str; 24] = [
    "hydrochloride",
    "hcl",
    "sodium",
    "potassium",
    "sulphate",
    "sulfate",
    "phosphate",
    "maleate",
    "besylate",
    "besilate",
    "tartrate",
    "citrate",
    "acetate",
    "mesylate",
    "hydrobromide",
    "dihydrate",
    "trihydrate",
    "monohydrate",
    "calcium",
    "succinate",
    "fumarate",
    "ip",
    "bp",
    "usp",
];

/// The substances of a generic name, in lower case without salts and strengths, in the order given, each once.
///
/// `Amoxicillin (500mg) + Clavulanic Acid (125mg)` is `amoxicillin`, `clavulanic acid`. A salt alone is a substance
/// (`sodium chloride`, `potassium citrate`): what would leave nothing is kept.
#[must_use]
pub fn substances(generic: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for part in without_brackets(generic).split(['+', ';', ',', '/', '&', '|']) {
        let name = plain_name(part);
        if !name.is_empty() && !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// One name in lower case, single spaces, without salts and strengths.
#[must_use]
pub fn plain_name(name: &str) -> String {
    let lower = name.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().filter(|word| !is_strength(word)).collect();
    let bare: Vec<&str> = words.iter().copied().filter(|word| !NOT_A_SUBSTANCE.contains(word)).collect();
    let kept = if bare.is_empty() || is_mineral(&words) { words } else { bare };
    kept.join(" ").trim_matches(|letter: char| !letter.is_alphanumeric()).to_owned()
}

/// "sodium chloride": here the metal is part of the name.
fn is_mineral(words: &[&str]) -> bool {
    const MINERALS: [&str; 6] = ["chloride", "bicarbonate", "iodide", "fluoride", "carbonate", "gluconate"];
    words.iter().any(|word| MINERALS.contains(word))
}

/// `500mg`, `0.5`, `5%`: a word that begins with a digit, or a unit that stands alone.
fn is_strength(word: &str) -> bool {
    const UNITS: [&str; 9] = ["mg", "mcg", "g", "ml", "iu", "%", "w/w", "w/v", "units"];
    word.starts_with(|letter: char| letter.is_ascii_digit()) || UNITS.contains(&word)
}

fn without_brackets(text: &str) -> String {
    let mut depth = 0_u32;
    let mut kept = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => kept.push(letter),
            _ => {}
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_registers_become_substances() {
        assert_eq!(
            substances("Amoxicillin (500mg) + Clavulanic Acid (125mg)"),
            ["amoxicillin", "clavulanic acid"]
        );
        assert_eq!(substances("ARTEMETHER 20mg, LUMEFANTRINE 120 mg"), ["artemether", "lumefantrine"]);
        assert_eq!(substances("Metformin Hydrochloride"), ["metformin"]);
        assert_eq!(substances("Diclofenac Sodium + diclofenac"), ["diclofenac"]);
        assert_eq!(substances("Potassium Chloride"), ["potassium chloride"]);
        assert_eq!(substances("Sodium"), ["sodium"]);
        assert!(substances(" 500 mg ").is_empty());
    }

    proptest! {
        #[test]
        fn no_text_breaks_it_and_each_substance_is_named_once(text in ".{0,200}") {
            let found = substances(&text);
            for (index, name) in found.iter().enumerate() {
                prop_assert!(!name.is_empty() && !found[..index].contains(name));
            }
        }
    }
}
