//! The pages of the demo issuer: sign-in, signed out, and what is wrong. No script, no image, no font.
//! Must not know grants, keys or tokens.

use std::fmt::Write;

use crate::demo::DemoPerson;

/// The style sheet of all pages; served apart so that the content security policy forbids inline style.
pub(super) const STYLE: &str = include_str!("page.css");

/// The sign-in page: every demo person is one button.
#[must_use]
pub(super) fn sign_in(client_name: &str, request_id: &str, people: &[DemoPerson]) -> String {
    let body = format!(
        "<h1>Sign in to Caremesh</h1>\n\
         <p class=\"note\"><strong>This is a demo.</strong> The people below are invented and have no \
         passwords: choose whom to be in {client}. It answers on this machine only.</p>\n\
         <form method=\"post\" action=\"/authorize\">\n\
         <input type=\"hidden\" name=\"request\" value=\"{request}\">\n\
         {groups}\
         <p><button class=\"quiet\" name=\"cancel\" value=\"yes\">Cancel and go back</button></p>\n\
         </form>",
        client = escape(client_name),
        request = escape(request_id),
        groups = groups(people, button),
    );
    document("Sign in", &body)
}

/// The page of somebody who came without an application: who there is to be, and how to be them at a shell.
#[must_use]
pub(super) fn who_there_is(people: &[DemoPerson]) -> String {
    let body = format!(
        "<h1>Who can sign in to this demo</h1>\n\
         <p class=\"note\"><strong>This is a demo.</strong> The people below are invented and have no \
         passwords. An application that asks for a sign-in brings you to a page like this one, where you choose. \
         At a shell, the command beside a name prints an access token.</p>\n\
         {}",
        groups(people, card)
    );
    document("Who can sign in", &body)
}

/// The page after signing out when the client named no place to go.
#[must_use]
pub(super) fn signed_out() -> String {
    document("Signed out", "<h1>You are signed out</h1>\n<p>You can close this page.</p>")
}

/// A page for what cannot be answered to the client, because it is not known who asked.
#[must_use]
pub(super) fn problem(sentence: &str) -> String {
    let body = format!(
        "<h1>This sign-in cannot go on</h1>\n<p role=\"alert\">{}</p>\n\
         <p>Go back to the application and start again. If it happens again, the application's \
         settings need a look: see <code>issuer.clients</code>.</p>",
        escape(sentence)
    );
    document("Sign-in problem", &body)
}

fn groups(people: &[DemoPerson], one: fn(&DemoPerson) -> String) -> String {
    let mut html = String::new();
    for group in people.chunk_by(|left, right| left.group == right.group) {
        let title = group.first().map_or("", |person| person.group.as_str());
        // Writing to a String cannot fail.
        let _ = writeln!(html, "<section><h2>{}</h2>\n<ul>", escape(title));
        for person in group {
            html.push_str(&one(person));
        }
        html.push_str("</ul></section>\n");
    }
    html
}

fn button(person: &DemoPerson) -> String {
    let handle = escape(&person.handle);
    format!("<li><button name=\"person\" value=\"{handle}\">{}</button></li>\n", name_and_role(person))
}

fn card(person: &DemoPerson) -> String {
    let handle = escape(&person.handle);
    format!("<li class=\"card\">{} <code>caremesh token --as {handle}</code></li>\n", name_and_role(person))
}

fn name_and_role(person: &DemoPerson) -> String {
    format!(
        "<span class=\"name\">{}</span> <span class=\"role\">{}</span>",
        escape(&person.name),
        escape(&person.title)
    )
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · Caremesh demo</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n\
         </head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_become_markup() {
        let page = sign_in("<script>alert(1)</script>", "\"><b>", &[]);
        assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
        assert!(problem("<i>'").contains("&lt;i&gt;&#39;"));
    }
}
