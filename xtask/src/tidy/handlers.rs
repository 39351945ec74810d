//! Every gRPC handler opens with `accept(`: what it works on is validated and has a context.

use super::size::functions;
use crate::findings::Findings;
use crate::tree::File;

/// Reports handlers that begin with something else.
pub(crate) fn check(file: &File, findings: &mut Findings) {
    if !file.is_under("grpc") || file.is_test() {
        return;
    }
    let lines: Vec<&str> = file.text.lines().collect();
    for function in functions(file) {
        let source = &lines[function.first - 1..function.last];
        if is_handler(source) && !opens_with_accept(source) {
            let place = format!("{}:{}", file.path, function.first);
            findings.fault(place, format!("`{}` does not open with `accept(`", function.name));
        }
    }
}

/// An async method that takes tonic's request and answers tonic's response.
fn is_handler(source: &[&str]) -> bool {
    let signature = signature(source).concat();
    signature.contains("async fn") && signature.contains("Request<") && signature.contains("Response<")
}

fn opens_with_accept(source: &[&str]) -> bool {
    let body = &source[signature(source).len()..];
    // A long first statement is broken over lines: it ends with its semicolon.
    let end = body.iter().position(|line| line.trim_end().ends_with(';')).unwrap_or(0);
    body.iter().take(end + 1).any(|line| line.contains("accept("))
}

/// The lines up to the opening brace of the body.
fn signature<'a>(source: &'a [&'a str]) -> &'a [&'a str] {
    let brace = source.iter().position(|line| line.trim_end().ends_with('{'));
    &source[..brace.map_or(source.len(), |at| at + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    const HEAD: &str = "    async fn get_plan(&self, request: Request<GetPlanRequest>) -> Result<Response<GetPlanResponse>, Status> {\n";

    fn faults(body: &str) -> Vec<String> {
        let text = format!("impl PlanService for Plans {{\n{HEAD}{body}    }}\n}}\n");
        let mut findings = Findings::default();
        check(&Tree::of(&[("svc-policy/src/grpc/plan.rs", &text)]).files[0], &mut findings);
        findings.faults().to_vec()
    }

    #[test]
    fn a_handler_that_accepts_first_passes() {
        assert!(faults("        let (ctx, asked) = accept(request)?;\n        todo(ctx)\n").is_empty());
        assert!(faults("        let (ctx, asked) =\n            mesh::accept(request)?;\n").is_empty());
    }

    #[test]
    fn a_handler_that_reads_first_fails() {
        let found = faults("        let asked = request.into_inner();\n        let x = accept(asked)?;\n");
        assert_eq!(found, ["svc-policy/src/grpc/plan.rs:2: `get_plan` does not open with `accept(`"]);
    }

    #[test]
    fn other_functions_of_the_room_are_free() {
        let mut findings = Findings::default();
        let text = "fn render(plan: Plan) -> wire::Plan {\n    plan.into()\n}\n";
        check(&Tree::of(&[("svc-policy/src/grpc/convert.rs", text)]).files[0], &mut findings);
        assert!(findings.faults().is_empty());
    }
}
