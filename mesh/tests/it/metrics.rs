//! Every answer is counted under its method and code, those that never reached a handler included.

use caremesh_mesh::telemetry::{TelemetryConfig, init_to};

use super::world::World;

#[tokio::test]
async fn an_answer_a_refusal_and_a_call_past_its_deadline_are_all_counted() {
    let telemetry = init_to(&TelemetryConfig::default(), "svc-probe", std::io::sink).expect("the only one");
    let world = World::new().await;
    world.ask("ok").await.expect("an answer");
    world.client.ask("Ask", "ok", &[("test-role", "COURIER")]).await.expect_err("kept out");
    world.client.ask("AskOpen", "hang", &[("grpc-timeout", "50m")]).await.expect_err("too late");
    world.client.ask("Nothing", "ok", &[]).await.expect_err("unknown");
    let text = telemetry.metrics().render();
    for (method, code) in [("Ask", 0), ("Ask", 7), ("AskOpen", 4), ("other", 12)] {
        let counted = text.lines().any(|line| {
            line.starts_with("rpc_server_call_duration_seconds_count")
                && line.contains(&format!("rpc_method=\"{method}\""))
                && line.contains(&format!("rpc_grpc_status_code=\"{code}\""))
        });
        assert!(counted, "{method} with code {code} is not in\n{text}");
    }
}
