//! What callers can learn of the contract through the gateway: reflection and health.

use caremesh_proto::options::v1::{Exposure, MethodPolicy};
use futures::StreamExt;
use prost::Message;
use prost_reflect::DescriptorPool;
use tokio_stream::wrappers::ReceiverStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use crate::native::Connection;
use crate::probe::Upstream;
use crate::world::World;

macro_rules! reflection {
    ($name:ident, $version:ident) => {
        /// Asks every question on one stream, as grpcurl does.
        async fn $name(
            world: &World,
            questions: Vec<$version::server_reflection_request::MessageRequest>,
        ) -> Vec<$version::server_reflection_response::MessageResponse> {
            let connection = Connection::open(world).await;
            let mut client = $version::server_reflection_client::ServerReflectionClient::new(connection);
            let (sender, receiver) = tokio::sync::mpsc::channel(questions.len());
            for question in questions {
                let request = $version::ServerReflectionRequest {
                    host: String::new(),
                    message_request: Some(question),
                };
                sender.send(request).await.expect("room");
            }
            drop(sender);
            let answers = client.server_reflection_info(ReceiverStream::new(receiver)).await;
            let answers = answers.expect("reflects").into_inner();
            let answers = answers.map(|it| it.expect("answer").message_response.expect("not empty"));
            answers.collect().await
        }
    };
}
reflection!(ask_v1, v1);
reflection!(ask_v1alpha, v1alpha);

#[tokio::test]
async fn both_reflection_versions_list_what_is_exposed_and_nothing_else() {
    let (world, _probe) = World::with_probe().await;
    let expected = ["caremesh.probe.v1.ProbeService", "grpc.health.v1.Health"];

    use v1::server_reflection_request::MessageRequest as Ask;
    use v1::server_reflection_response::MessageResponse as Answer;
    let answers = ask_v1(&world, vec![Ask::ListServices(String::new())]).await;
    let [Answer::ListServicesResponse(list)] = &answers[..] else { panic!("{answers:?}") };
    let names: Vec<_> = list.service.iter().map(|it| it.name.as_str()).collect();
    for name in expected {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    assert!(!names.iter().any(|it| it.contains("Backstage")), "{names:?}");

    use v1alpha::server_reflection_request::MessageRequest as OldAsk;
    use v1alpha::server_reflection_response::MessageResponse as OldAnswer;
    let answers = ask_v1alpha(&world, vec![OldAsk::ListServices(String::new())]).await;
    let [OldAnswer::ListServicesResponse(list)] = &answers[..] else { panic!("{answers:?}") };
    let names: Vec<_> = list.service.iter().map(|it| it.name.as_str()).collect();
    for name in expected {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
}

#[tokio::test]
async fn options_of_a_method_can_be_read_through_the_gateway() {
    let (world, _probe) = World::with_probe().await;
    use v1::server_reflection_request::MessageRequest as Ask;
    use v1::server_reflection_response::MessageResponse as Answer;
    let files = [
        Ask::FileContainingSymbol("caremesh.probe.v1.ProbeService".to_owned()),
        Ask::FileByFilename("caremesh/options/v1/options.proto".to_owned()),
        Ask::FileByFilename("google/protobuf/descriptor.proto".to_owned()),
        Ask::FileByFilename("google/protobuf/duration.proto".to_owned()),
    ];
    let mut set = Vec::new();
    for answer in ask_v1(&world, files.to_vec()).await {
        let Answer::FileDescriptorResponse(files) = answer else { panic!("{answer:?}") };
        for file in files.file_descriptor_proto {
            prost::encoding::bytes::encode(1, &file, &mut set);
        }
    }
    let pool = DescriptorPool::decode(set.as_slice()).expect("fits together");
    let extension = pool.get_extension_by_name("caremesh.options.v1.method").expect("known");
    let service = pool.get_service_by_name("caremesh.probe.v1.ProbeService").expect("known");
    let echo = service.methods().find(|it| it.name() == "Echo").expect("there");
    let options = echo.options();
    let policy: MethodPolicy =
        options.get_extension(&extension).as_message().expect("set").transcode_to().expect("fits");
    assert_eq!(policy.exposure(), Exposure::Edge);
    assert_eq!(policy.deadline.map(|it| it.seconds), Some(5));
}

#[tokio::test]
async fn health_speaks_for_the_gateway_and_for_each_exposed_service() {
    let (world, probe) = World::with_probe().await;
    let mut client = HealthClient::new(Connection::open(&world).await);
    let mut check = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        client.check(request).await.map(|it| it.into_inner().status())
    };
    assert_eq!(check("").await.expect("known"), ServingStatus::Serving);
    let name = "caremesh.probe.v1.ProbeService";
    assert_eq!(check(name).await.expect("known"), ServingStatus::Serving);
    let unknown = check("caremesh.probe.v1.BackstageService").await.expect_err("not exposed");
    assert_eq!(unknown.code(), tonic::Code::NotFound);

    probe.kill();
    world.wait_for("upstream svc-probe not serving").await;
    assert_eq!(check(name).await.expect("known"), ServingStatus::NotServing);
    assert_eq!(check("").await.expect("known"), ServingStatus::Serving, "the gateway itself is well");
}

#[tokio::test]
async fn a_watcher_of_the_health_sees_an_upstream_go_and_come() {
    let (world, probe) = World::with_probe().await;
    let mut client = HealthClient::new(Connection::open(&world).await);
    let request = HealthCheckRequest { service: "caremesh.probe.v1.ProbeService".to_owned() };
    let mut watch = client.watch(request).await.expect("watches").into_inner();
    let mut next = async || watch.next().await.expect("open").expect("message").status();
    assert_eq!(next().await, ServingStatus::Serving);
    let address = probe.kill();
    assert_eq!(next().await, ServingStatus::NotServing);
    let _back = Upstream::start_as("svc-probe", &world.trust, address).await;
    assert_eq!(next().await, ServingStatus::Serving);
}

#[tokio::test]
async fn the_admin_port_answers_grpc_health_without_tls() {
    let (world, _probe) = World::with_probe().await;
    let endpoint = format!("http://{}", world.admin);
    let channel =
        tonic::transport::Endpoint::from_shared(endpoint).expect("URL").connect().await.expect("h2c");
    let request = HealthCheckRequest { service: String::new() };
    let status = HealthClient::new(channel).check(request).await.expect("answers").into_inner().status();
    assert_eq!(status, ServingStatus::Serving);
}

#[tokio::test]
async fn the_shipped_contract_is_learned_and_described_with_every_file_it_imports() {
    let trust = crate::world::Trust::new().await;
    let upstream = Upstream::of_the_contract(&trust).await;
    let url = upstream.url();
    let world = World::start(trust, |config| {
        config.upstreams.insert("svc-policy".to_owned(), url);
    })
    .await;
    world.wait_for("upstream svc-policy serving").await;

    use v1::server_reflection_request::MessageRequest as Ask;
    use v1::server_reflection_response::MessageResponse as Answer;
    let mut wanted = vec![Ask::FileContainingSymbol("caremesh.policy.v1.PlanService".to_owned())];
    let mut known = std::collections::BTreeSet::new();
    let mut set = Vec::new();
    while !wanted.is_empty() {
        for answer in ask_v1(&world, std::mem::take(&mut wanted)).await {
            let Answer::FileDescriptorResponse(files) = answer else { panic!("{answer:?}") };
            for bytes in files.file_descriptor_proto {
                let file = prost_types::FileDescriptorProto::decode(bytes.as_slice()).expect("file");
                if known.insert(file.name().to_owned()) {
                    prost::encoding::bytes::encode(1, &bytes, &mut set);
                    wanted.extend(file.dependency.into_iter().map(Ask::FileByFilename));
                }
            }
        }
        wanted.retain(|ask| !matches!(ask, Ask::FileByFilename(name) if known.contains(name)));
    }
    let pool = DescriptorPool::decode(set.as_slice()).expect("nothing is missing");
    assert!(pool.get_service_by_name("caremesh.policy.v1.PlanService").is_some());
    assert!(known.contains("buf/validate/validate.proto"), "{known:?}");
}
